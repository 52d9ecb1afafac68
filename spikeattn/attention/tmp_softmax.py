"""Ternary scores with softmax: BSA with its normaliser exchanged, the control of the paper's ablation.

    Q, K  = TSN(BN(W_q x)), TSN(BN(W_k x))       in {-1, 0, 1}
    V     = BN(W_v x)                            real: a membrane current
    A     = softmax(Q K^T)                       base e, no scale: exponentials and divisions
    out   = BN(W_o TSN(A V))

Source: "TMP + Softmax" in Wang et al., "Bipolar Self-attention for Spiking Transformers" (NeurIPS 2025), Table 4
(80.76 % on CIFAR-100 against 80.48 % with Shiftmax). Whether the paper scales the scores by 1/sqrt(d) before
softmax is not stated; here they are not scaled, as in BSA.
"""

from torch import Tensor

from spikeattn.attention.bsa import BipolarSelfAttention
from spikeattn.neurons import LIF, Neuron
from spikeattn.ops import ternary_matmul


class TernarySoftmaxAttention(BipolarSelfAttention):
    """Attention with ternary queries and keys, softmax weights, and values as membrane currents."""

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        scores = ternary_matmul(q, k)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        # a row without any key would be 0/0; it attends to nothing
        weights = scores.softmax(-1).nan_to_num(0.0)
        return weights @ v.to(weights.dtype)
