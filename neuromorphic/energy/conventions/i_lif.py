"""Integer LIF (SpikeYOLO, SDT-V3): an activation of level n is n spikes.

    E = E_MAC * T * R_C * FL_stem + E_AC * sum over other layers of T * R * FL        R = mean level, may exceed 1

The measured R holds the levels D already, and not the steps T: it is not multiplied by D again.
"""

from neuromorphic.energy.conventions.convention import AC, RATED_MAC, SPIKE_DRIVEN, Convention

I_LIF = Convention(
    "i_lif", "Integer LIF", "BICLab/SpikeYOLO issue 31; E-SpikeFormer (SDT-V3)",
    {**SPIKE_DRIVEN, "stem": RATED_MAC, "head": AC},
)  # fmt: skip
