"""How each family of operations is counted: one file, one family, one line here.

`COUNTERS` maps the name of an operation to the function that turns one call of it into ledger rows
(the contract is in `count/call.py`); `FREE` names what costs nothing. All else is uncovered.
"""

from neuromorphic.count import conv, converted, elementwise, fft, matmul, neuron, norm, pool, reduce, shiftmax, softmax
from neuromorphic.count.call import Call, Counter
from neuromorphic.count.free import FREE

FAMILIES = (
    matmul,  # with linear: a product with weights
    conv,
    neuron,
    norm,
    softmax,
    shiftmax,
    fft,
    pool,
    reduce,
    elementwise,
    converted,
)
COUNTERS: dict[str, Counter] = {name: count for family in FAMILIES for name, count in family.COUNTERS.items()}

__all__ = ["COUNTERS", "FREE", "Call", "Counter"]
