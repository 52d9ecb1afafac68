"""Spiking self-attention (SSA).

    Q, K, V = LIF(BN(W x))                       in {0, 1}
    A       = (Q K^T) V * scale                  no softmax: the scores are already non-negative
    out     = BN(W_o LIF(A))                     threshold 0.5 on the inner neuron

Both orders of the product give the same integers; Q (K^T V) is taken where it is cheaper, that is for N > d.
The scale multiplies the integer result, never a factor, so that ties with the threshold stay exact.

Source: Zhou et al., "Spikformer" (ICLR 2023), Eq. 6-8, with the code's scale of 0.125 whatever the width (0.25
in its CIFAR10-DVS file); the same module stands in Spikingformer (Zhou et al., 2023).
"""

from statistics import NormalDist

from torch import Tensor

from spikeattn.attention.score import ScoreAttention
from spikeattn.neurons import LIF, Neuron


class SpikingSelfAttention(ScoreAttention):
    """Attention with binary queries, keys and values and no normalisation.

    scale: factor of the integer product, 0.125 in the published code.
    """

    citation = "zhou2023spikformer"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, scale: float = 0.125):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias)
        self.scale = scale
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None and q.shape[-2] > q.shape[-1]:
            summary = self.product(v.mT, k.mT)  # (.., d, d): V^T K
            return self.product(q, summary) * self.scale
        scores = self.product(q, k)
        if mask is not None:
            scores = scores * mask.to(scores.dtype)
        return self.product(scores, v.mT) * self.scale

    def value_scale(self, tokens: int) -> float:
        return self.v_neuron.threshold_current

    def start_rate(self, tokens: int) -> float:
        """The common rate f of queries, keys and values at which the mean current meets the threshold:

            scale * N * d * f^3 = threshold_current(output neuron)
        """
        keys = self.scale * tokens * (self.dim // self.heads)
        return min(0.4, max(0.05, (self.attn_neuron.threshold_current / keys) ** (1 / 3)))

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Queries, keys and values start at `start_rate`."""
        super().init_firing(tokens, output_scale)
        rate = self.start_rate(tokens)
        for projection, neuron in ((self.q, self.q_neuron), (self.k, self.k_neuron), (self.v, self.v_neuron)):
            self.init_input(projection, neuron.threshold_current * deviation(neuron, rate))


def deviation(neuron: Neuron, mean: float) -> float:
    """Standard deviation of a current, in `threshold_current`, at which the mean output of `neuron` is `mean`.

        mean = sum_k P(s z > k-th threshold)         k = 1 for spikes; 1, 3, 5 ... of its halves for integer levels

    Of a signed neuron it is the mean on one side.

    >>> round(deviation(LIF(), 0.1587), 2)
    1.0
    """
    if neuron.alphabet not in ("graded", "signed_graded"):
        return -1 / NormalDist().inv_cdf(mean)
    wanted = mean * (neuron.levels if neuron.normalise else 1)
    low, high = 0.1, 100.0
    for _ in range(40):  # bisection: the mean grows with s
        s = (low + high) / 2
        level = sum(1 - NormalDist().cdf((2 * k + 1) / s) for k in range(neuron.levels))
        low, high = (s, high) if level < wanted else (low, s)
    return s
