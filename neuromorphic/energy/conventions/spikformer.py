"""Spikformer (Zhou et al., ICLR 2023), also of Spikingformer, MaxFormer and TDFormer tables.

    E = E_MAC * FL_stem + E_AC * (sum over later convolutions and linear layers of SOP + sum SOP_attention)

The stem is charged at every step although the picture repeats. Sums of spikes after a residual count as spikes. The
head reads a mean over time and is a MAC layer, as in the figure of ZK-Zhou/spikformer issue 23. The printed rows
of Spikformer-8-384 and 8-768 fit only a stem of 64 channels, whatever D / 8 is.
"""

from neuromorphic.energy.conventions.convention import SPIKE_DRIVEN, Convention

SPIKFORMER = Convention(
    "spikformer", "Spikformer", "Zhou et al., Spikformer, ICLR 2023; QKFormer, appendix on energy", SPIKE_DRIVEN
)
