"""Row factors: what brings the row sums of Shiftmax near to 1 (the mathematics is in README.md)."""

import torch
from torch import Tensor

from spikeattn.errors import nearest
from spikeattn.ops.op import Op, explained
from spikeattn.ops.round_shift.reference import check_integers

from . import reference
from .reference import STEPS

__all__ = ["NORMALISERS", "row_factor", "scale_rows"]

NORMALISERS = tuple(STEPS)

ROW_FACTOR = Op(
    "row_factor", "(Tensor row_sum, str normaliser) -> Tensor",
    reference=reference.row_factor,
    fake=lambda row_sum, normaliser: row_sum.new_empty(row_sum.shape),
    check=reference.check_rows,
)
SCALE_ROWS = Op(
    "scale_rows", "(Tensor a, Tensor eighths) -> Tensor",
    reference=reference.scale_rows,
    fake=lambda a, eighths: a.new_empty(torch.broadcast_shapes(a.shape, eighths.shape)),
    check=reference.check_eighths,
)


@explained(ROW_FACTOR)
def row_factor(row_sum: Tensor, normaliser: str = "row5") -> Tensor:
    """The factor of each row in eighths, int64: exact Shiftmax times r(M) has row sums M r.

        M = S / 2^ceil(log2 S) in (1/2, 1]            the row sum of Shiftmax
        ceil       r = 1                              M r in (1/2, 1]             the paper's Shiftmax
        ceil_gain  r = 11/8                           (.6875, 1.375]
        nearest    r = 2 if M < 1/sqrt(2), else 1     [.7071, 1.4142)
        row3       r in 2, 3/2, 9/8                   [.874, 1.189)
        row5       r in 2, 7/4, 3/2, 5/4, 9/8, 1      [.898, 1.094)

    row_sum: int64, S = sum_j 2^(w - n_j) of one row in any unit 2^-w, below 2**61 (0 for a row without keys).

    >>> row_factor(torch.tensor([4, 3, 41])).tolist()      # M = 1, 3/4 and 41/64
    [8, 10, 12]
    """
    check_integers("row_factor", row_sum)
    if normaliser not in STEPS:
        raise ValueError(f"row_factor: the normaliser must be known, got {normaliser!r}. {nearest(normaliser, STEPS)}")
    return ROW_FACTOR(row_sum, normaliser)


@explained(SCALE_ROWS)
def scale_rows(a: Tensor, eighths: Tensor) -> Tensor:
    """8 r a, int64: shifts and one addition a value. The unit of the result is an eighth of that of a.

    a: int64, such as A V (..., N, d); eighths: what `row_factor` gave, broadcastable, (..., N, 1).

    >>> scale_rows(torch.tensor([[3, -1]]), torch.tensor([[14]])).tolist()      # 16 a - 2 a
    [[42, -14]]
    """
    check_integers("scale_rows", a)
    return SCALE_ROWS(a, eighths)
