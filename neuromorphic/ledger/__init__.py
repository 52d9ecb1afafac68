"""The ledger: a frozen, addable record of what a model executed. Counts only, never joules.

A row is raw evidence for one executed operation site, that is one module path, one family of operations and
one call index within a forward pass. Whether a product is an accumulate or a multiply-accumulate is *not*
stored: it follows from the values that were seen over the whole data set, so it is decided on read, from the
sum of all batches (`neuromorphic.energy.rule`). Every number in a row is an exact Python integer, summed over
all samples; the two magnitudes of an operand are the exact extremes seen.

    ledger_a + ledger_b       associative and commutative: batches may come in any order and any split
    Ledger.from_json(text)    the exact inverse of `ledger.to_json()`

Steps: `steps` is T where the leading axis of the operation ran over T time steps, else 1.
"""

from neuromorphic.ledger.evidence import Emission, Row
from neuromorphic.ledger.ledger import SCHEMA, Coverage, Ledger, ModelInfo, Touch
from neuromorphic.ledger.operand import KINDS, SPIKES, Kind, Operand

__all__ = ["KINDS", "SCHEMA", "SPIKES", "Coverage", "Emission", "Kind", "Ledger", "ModelInfo", "Operand", "Row",
           "Touch"]
