"""An ANN in a spiking paper's table: every operation is a multiply-accumulate, whatever the rates.

    E = E_MAC * sum FLOPs
"""

from neuromorphic.energy.bill import Rule
from neuromorphic.energy.conventions.convention import KINDS, MAC, Convention

ANN_FP32 = Convention(
    "ann_fp32", "ANN, fp32", "ANN rows of the tables of Spikformer and its successors",
    dict.fromkeys(KINDS, MAC),
    Rule(graded="mac", taps="padded"),
)  # fmt: skip
