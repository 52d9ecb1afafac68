"""Spike-driven self-attention of the second Spike-driven Transformer (SDSA-3).

    Q, K, V = LIF(BN(RepConv x))                 in {0, 1}; RepConv sees a 3x3 neighbourhood: the grid is needed
    A       = Q (K^T V) * scale                  the integers of SSA
    out     = BN(RepConv LIF(A))                 threshold 0.5 on the inner neuron

Source: Yao et al., "Spike-driven Transformer V2: Meta Spiking Neural Network Architecture Inspiring the Design of
Next-generation Neuromorphic Chips" (ICLR 2024) and its code (`MS_Attention_RepConv_qkv_id`).
Differs from the paper in: it folds the scale into the threshold; here, as in the code, the scale multiplies the
integer product.
"""

from spikeattn.attention.rep_projection import RepProjection
from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.neurons import LIF, Neuron


class SpikeDrivenSelfAttentionV2(SpikingSelfAttention):
    """SSA whose four projections are re-parameterised 3x3 convolutions; `grid` is required.

    scale: factor of the integer product, 0.125 in the published code (1/sqrt(d) in the block of its successor).

    >>> import torch
    >>> attention = SpikeDrivenSelfAttentionV2(dim=32, heads=4).eval()
    >>> out, state = attention(torch.randint(0, 2, (4, 1, 16, 32)).float(), grid=(4, 4))
    >>> out.shape
    torch.Size([4, 1, 16, 32])
    """

    citation = "yao2024sdt"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, scale: float = 0.125):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, scale=scale)
        self.build_projections(RepProjection, bias=bias)
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)
