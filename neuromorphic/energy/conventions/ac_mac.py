"""Two counters, accumulates and multiply-accumulates: syops-counter (iCGY96).

    E = E_AC * ACs + E_MAC * MACs         a layer's operations are ACs if all of its inputs are 0 or 1, else MACs

Rows that are totals: ("ACs", n, 1.0, "linear") and ("MACs", n, 1.0, "real").
"""

from neuromorphic.energy.bill import Rule
from neuromorphic.energy.conventions.convention import MAC, SPIKE_DRIVEN, Convention

AC_MAC = Convention(
    "ac_mac", "AC and MAC totals", "iCGY96/syops-counter",
    {**SPIKE_DRIVEN, "residual_int": MAC},
    Rule(graded="mac", taps="padded"),
)  # fmt: skip
