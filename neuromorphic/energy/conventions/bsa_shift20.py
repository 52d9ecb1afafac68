"""Bipolar self-attention as its paper speaks of it: a shift costs one twentieth of an accumulate.

    E = Spikformer's E of all other layers + E_AC / 20 * (values weighted by Shiftmax)

An attention row is the product of scores with V: FLOPs T h N^2 d_h, rate 1, a shift for each value and no addition,
which real hardware also needs (`Rule.shift_accounting`). The ternary product Q K^T is accumulates: give it as a
linear row with its rate. Shiftmax itself is not priced. Horowitz's table, which the paper names, has no shift. The
twentieth is that of the fp32 profile, 0.045 pJ; under another profile a shift costs what that profile says.
"""

from neuromorphic.energy.bill import Rule
from neuromorphic.energy.conventions.convention import SHIFT, SPIKE_DRIVEN, Convention

BSA_SHIFT20 = Convention(
    "bsa_shift20", "Bipolar self-attention, shift = AC / 20",
    "Wang et al., Bipolar Self-attention for Spiking Transformers, NeurIPS 2025",
    {**SPIKE_DRIVEN, "attention": SHIFT},
    Rule(shift_accounting="shift_only", graded="unit_ac", taps="padded"),
)  # fmt: skip
