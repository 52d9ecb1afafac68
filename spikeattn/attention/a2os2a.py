"""Addition-only spiking self-attention with three kinds of neuron (A2OS2A).

    Q     = LIF(BN(W_q x))                       in {0, 1}
    K     = ReLU(BN(W_k x))                      real, not negative
    V     = TSN(BN(W_v x))                       in {-1, 0, 1}
    A     = (Q K^T) V                            no softmax, no scale; each product has a spiking operand
    out   = BN(W_o LIF(A))

Both orders of the product are equal up to rounding; Q (K^T V) is taken where it is cheaper, that is for N > d.

Source: the Spiking Transformer of arXiv 2503.00226 (CVPR 2025), whose abstract names a hybrid of binary, ReLU and
ternary neurons without softmax and scale. Our reading, unverified: which of Q, K, V has which neuron (as in an
independent re-implementation), and the threshold 0.5 on the attention, which is SSA's.
"""

import math

from torch import Tensor

from spikeattn.attention.attention import as_neuron
from spikeattn.attention.projection import SPIKE_POWER
from spikeattn.attention.score import ScoreAttention
from spikeattn.neurons import LIF, Neuron, ReLU


class AdditionOnlySelfAttention(ScoreAttention):
    """Attention with binary queries, rectified real keys and ternary values, and no normalisation.

    neuron: the host's neuron; on the values stands its signed form.

    >>> import torch
    >>> attention = AdditionOnlySelfAttention(dim=32, heads=4).eval()
    >>> out, state = attention(torch.randint(0, 2, (4, 1, 16, 32)).float())
    >>> out.shape, state.k                               # keys have no membrane
    (torch.Size([4, 1, 16, 32]), None)
    """

    citation = "guo2025a2os2a"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias)
        self.k_neuron = ReLU()
        self.v_neuron = as_neuron(self.q_neuron.signed(), type(self).__name__)
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None and q.shape[-2] > q.shape[-1]:
            return q @ (k.mT @ v)
        scores = q @ k.mT
        if mask is not None:
            scores = scores * mask.to(scores.dtype)
        return scores @ v

    def value_scale(self, tokens: int) -> float:
        return self.v_neuron.threshold_current

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Keys start so small that the current, without a scale of its own, deviates by about the threshold:

            score ~ d p m,  current^2 ~ N 2p score^2       p rate of a side, m = 0.4 s mean of a rectified normal
        """
        super().init_firing(tokens, output_scale)
        score = (self.dim // self.heads) * SPIKE_POWER * 0.4
        spread = score * math.sqrt(tokens * 2 * SPIKE_POWER)
        self.init_input(self.k, self.attn_neuron.threshold_current / spread)
