"""Alpha-XNOR attention: pairs of silent channels count too, a little.

    Q, K, V  = LIF(BN(W x))                                      in {0, 1}
    S_ij     = sum_c q_ic k_jc + alpha (1 - q_ic) (1 - k_jc)     two spikes: 1, two silences: alpha, else 0
             = (1 + alpha) q_i.k_j + alpha (d - |q_i| - |k_j|)   one product and the spike counts of rows
    out      = BN(W_o LIF(S V * scale))

Per head and per time step; alpha = 0 is spiking self-attention. A power of two for alpha is a shift.

Source: Xiao et al., alpha-XNOR similarity (CVPR 2025): silent pairs, the majority, get a similarity alpha, and
spikes weigh more than silences. Our reading where we know no more than that: mismatches count 0, alpha is fixed
(1/64 unless told otherwise), and everything around the similarity is that of SSA.
"""

from torch import Tensor

from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.neurons import LIF, Neuron
from spikeattn.ops import ternary_matmul


class AlphaXNORAttention(SpikingSelfAttention):
    """SSA whose scores also count the channels in which query and key are both silent.

    alpha: what two silences count, in [0, 1). neuron: a binary one; silence has no meaning for levels.

    >>> import torch
    >>> attention = AlphaXNORAttention(dim=4, heads=1, alpha=0.25)
    >>> q, k = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    >>> attention.similarity(q, k)                       # one pair of spikes, two pairs of silences
    tensor([[1.5000]])
    """

    citation = "xiao2025alphaxnor"
    alpha: float = 0.0

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, scale: float = 0.125, alpha: float = 1 / 64):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias, scale=scale)
        owner, alphabet = type(self).__name__, self.q_neuron.alphabet
        if alphabet != "binary":
            raise ValueError(
                f"{owner}: neuron must send 0 or 1, got the {alphabet} {type(self.q_neuron).__name__}. Its scores "
                "compare spikes with silences; use SpikingSelfAttention for other alphabets."
            )
        if not 0 <= alpha < 1:
            raise ValueError(f"{owner}: alpha must lie in [0, 1), got {alpha}. A power of two such as 1/64 is a shift.")
        self.alpha = float(alpha)
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def similarity(self, q: Tensor, k: Tensor) -> Tensor:
        """Spikes (..., N, d) and (..., M, d) -> scores (..., N, M)."""
        counts = q.sum(-1, keepdim=True) + k.sum(-1, keepdim=True).mT  # |q_i| + |k_j|
        return (1 + self.alpha) * ternary_matmul(q, k) + self.alpha * (q.shape[-1] - counts)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        scores = self.similarity(q, k)
        if mask is not None:
            scores = scores * mask.to(scores.dtype)
        return (scores @ v.to(scores.dtype)) * self.scale

    def start_rate(self, tokens: int) -> float:
        """As in SSA, with the silences: scale N d f (f^2 + alpha (1 - f)^2) = threshold_current, by bisection."""
        keys = self.scale * tokens * (self.dim // self.heads)
        low, high = 0.02, 0.4
        for _ in range(20):
            rate = (low + high) / 2
            enough = keys * rate * (rate**2 + self.alpha * (1 - rate) ** 2) > self.attn_neuron.threshold_current
            low, high = (low, rate) if enough else (rate, high)
        return rate
