"""Sorbet's power-of-two softmax (PTsoftmax) on ternary scores.

    Q, K  = TSN(BN(W_q x)), TSN(BN(W_k x))       in {-1, 0, 1}
    V     = BN(W_v x)                            real: a membrane current
    X     = ceil(Q K^T / sqrt(d))                integers
    gamma = round(log2 sum_j 2^X_ij)             per row: the nearest power of two of the sum
    A_ij  = 2^(X_ij - gamma_i)                   powers of two, row sum in [3/4, 3/2)
    out   = BN(W_o TSN(A V))

"Nearest" is that of the sum, not of its logarithm: the lower neighbour if the sum is strictly closer to it.
Against Shiftmax: scores divided by sqrt(d), hence flatter rows, and a row sum around 1 instead of at most 1.

Source: Sorbet's code (Kaiwen-Tang/Sorbet, a spiking BERT), `PTsoftmax` of its self-attention.
Differs from the code in: queries, keys and values are those of BSA, so that the normaliser is all that differs from
it (the code quantises activations to several bits); the weights are not quantised again.
"""

import math

from torch import Tensor

from spikeattn.attention.bsa import BipolarSelfAttention
from spikeattn.neurons import LIF, Neuron
from spikeattn.ops import shiftmax, ternary_matmul


class PowerOfTwoSoftmaxAttention(BipolarSelfAttention):
    """Attention with ternary queries and keys, power-of-two softmax weights, and values as membrane currents.

    >>> import torch
    >>> attention = PowerOfTwoSoftmaxAttention(dim=4, heads=1)
    >>> q, k = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.eye(4)[:3]       # scores 1, 1, 1 over sqrt(4), up to 1
    >>> attention.mix(q, k, torch.ones(3, 4), None)[..., 0]                 # 2 + 2 + 2 is not closer to 4 than to 8
    tensor([0.7500])
    """

    citation = "tang2024sorbet"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias, normaliser="round")

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        scores = ceil_straight_through(ternary_matmul(q, k) / math.sqrt(q.shape[-1]))
        weights = shiftmax(scores, mask, normaliser=self.normaliser)
        return weights @ v.to(weights.dtype)


def ceil_straight_through(x: Tensor) -> Tensor:
    """ceil(x) with the gradient of the identity."""
    return x + (x.ceil() - x).detach()
