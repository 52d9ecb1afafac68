"""Efficient spike-driven self-attention (E-SDSA) of the third Spike-driven Transformer.

    Q, K = S(BN(W x))                            width D, levels {0 ... 4} / 4 of I-LIF neurons
    V    = S(BN(W_v x))                          width value_ratio * D
    A    = (Q K^T) V * 2 / sqrt(d)               per head; levels are multiples of 1/4, so the product is exact
    out  = BN(W_o S(A))                          value_ratio * D -> D

Source: Yao et al., "Scaling Spike-driven Transformer with Efficient Spike Firing Approximation Training" (TPAMI
2025), arXiv 2411.16061, and its code (`MS_Attention_linear`).
"""

from spikeattn.attention.projection import Projection
from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.neurons import ILIF, Neuron


class SpikeDrivenSelfAttentionV3(SpikingSelfAttention):
    """SSA on normalised integer levels with wide values.

    value_ratio: width of V over D, 4 in the published code. scale: None for 2 / sqrt(d).

    >>> attention = SpikeDrivenSelfAttentionV3(dim=32, heads=4).eval()
    >>> attention.scale == 2 * 8 ** -0.5, attention.v.linear.out_features
    (True, 128)
    """

    citation = "yao2025sdt"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = ILIF(levels=4, normalise=True),  # noqa: B008
                 attn_threshold: float = 1.0, bias: bool = False, scale: float | None = None, value_ratio: int = 4):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold,
                         scale=2 * (dim // heads) ** -0.5 if scale is None else scale)
        self.value_ratio = value_ratio
        self.build_projections(Projection, value_dim=value_ratio * dim, bias=bias)
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)
