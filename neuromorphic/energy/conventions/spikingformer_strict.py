"""Spikingformer's counter with `Nspks_max = 1`: what is not 0 or 1 is real-valued.

    E = E_MAC * sum FLOPs of layers whose input rate is 1 + E_AC * (sum of all other SOP + sum SOP_attention)

The counter sets the rate of an input that is not binary to 100 %, and takes a rate within 1e-4 per cent of that as
real-valued: so sums of spikes after a SEW residual are MAC. The head is charged once.
"""

from neuromorphic.energy.bill import Rule
from neuromorphic.energy.conventions.convention import MAC, SPIKE_DRIVEN, Convention

SPIKINGFORMER_STRICT = Convention(
    "spikingformer_strict", "Spikingformer, strict",
    "zhouchenlin2096/Spikingformer, energy_consumption_calculation/flops_counter.py",
    {**SPIKE_DRIVEN, "residual_int": MAC},
    Rule(graded="mac", taps="padded"),
    dense_within=1e-6,
)  # fmt: skip
