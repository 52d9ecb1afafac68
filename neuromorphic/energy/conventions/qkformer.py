"""QKFormer (Zhou et al., NeurIPS 2024): Spikformer's convention, worked out by hand by its authors.

    E = E_MAC * FL_stem + E_AC * (sum SOP + sum SOP_SSA + sum SOP_QKTA)        SOP_QKTA = T N d f_Q

Attention rows of both kinds are accumulates: FLOPs T h N d_h^2 for SSA, T N d with rate f_Q for token attention.
Sums of spikes after a SEW residual are priced as accumulates. Rates by layer were not published.
"""

from neuromorphic.energy.conventions.convention import SPIKE_DRIVEN, Convention

QKFORMER = Convention(
    "qkformer", "QKFormer", "Zhou et al., QKFormer, NeurIPS 2024, appendix; zhouchenlin2096/QKFormer issue 7",
    SPIKE_DRIVEN,
)  # fmt: skip
