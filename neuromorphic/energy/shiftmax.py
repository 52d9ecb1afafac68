"""What bipolar attention pays beyond its matrix products, shown apart: with and without the additions.

    Shiftmax        N SHIFT, N - 1 ADD, N ADD (gamma - x), 1 LOD for each row
    Score times V   one SHIFT and one ADD for every pair and channel, dense; the paper speaks of the shift alone
"""

from dataclasses import dataclass
from math import fsum

from neuromorphic.energy.bill import Bill, Line

PJ_PER_MJ = 1e9
ROUNDING = 1e-12  # relative, of the difference of two totals


@dataclass(frozen=True)
class ShiftmaxCost:
    """pJ per sample. total: of the whole bill, by its own accounting.

    score_value_shift_only, score_value_shift_add: both accountings of the product of power-of-two weights with V,
    whichever of them the bill has; None where the bill does not tell.
    """

    shiftmax: float
    score_value_shift_only: float | None
    score_value_shift_add: float | None
    total: float
    shiftmax_without_adds: float = 0.0

    @property
    def share(self) -> float:
        """Shiftmax alone over the whole bill."""
        return self.shiftmax / self.total if self.total else 0.0

    @property
    def share_without_adds(self) -> float:
        """The same if its additions were free."""
        return self.shiftmax_without_adds / self.total if self.total else 0.0


def shiftmax_cost(bill: Bill) -> ShiftmaxCost | None:
    """Arithmetic of Shiftmax and of Score times V; None where neither ran.

    >>> from neuromorphic.energy.price import price
    >>> from neuromorphic.ledger import Ledger, ModelInfo, Row
    >>> row = Row("attn", "shiftmax", counts={"SHIFT": 16, "ADD": 28, "LOD": 4})
    >>> cost = shiftmax_cost(price(Ledger(ModelInfo("net", "Net", 1, 1, (4,)), 1, (row,)), "horowitz45_int32"))
    >>> round(cost.shiftmax, 6), round(cost.shiftmax_without_adds, 6)      # 16 * .13 + 28 * .1 + 4 * .1
    (5.28, 2.48)
    """
    normaliser = [line for line in bill.lines if line.op == "shiftmax" and line.part == "compute"]
    product = [line for line in bill.lines if line.op == "score_value" and line.part == "compute"]
    if not normaliser and not product:
        return None
    here = _pj(bill, product)
    accounted = bill.rule.shift_accounting
    other = "shift_add" if accounted == "shift_only" else "shift_only"
    total = bill.alternatives.get(f"shift_accounting={other}")
    there = None if total is None else here + (total - bill.total_mj) * PJ_PER_MJ
    if there is not None and there < ROUNDING * bill.total_mj * PJ_PER_MJ:
        there = 0.0  # a shift without a price; what is left is the rounding of two totals
    both = {accounted: here, other: there}
    return ShiftmaxCost(
        shiftmax=_pj(bill, normaliser),
        score_value_shift_only=both["shift_only"],
        score_value_shift_add=both["shift_add"],
        total=bill.total_mj * PJ_PER_MJ,
        shiftmax_without_adds=_pj(bill, [line for line in normaliser if line.operation != "ADD"]),
    )


def _pj(bill: Bill, lines: list[Line]) -> float:
    return fsum(line.total_pj for line in lines) / bill.samples
