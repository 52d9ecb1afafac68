"""Rounding shift: division of integers by a power of two, rounded (the mathematics is in README.md)."""

import torch
from torch import Tensor

from spikeattn.ops.op import Op, explained

from . import reference

__all__ = ["round_shift"]

ROUND_SHIFT = Op(
    "round_shift", "(Tensor a, Tensor shift) -> Tensor",
    reference=reference.round_shift,
    fake=lambda a, shift: a.new_empty(torch.broadcast_shapes(a.shape, shift.shape)),
    check=reference.check_shifts,
)


@explained(ROUND_SHIFT)
def round_shift(a: Tensor, shift: Tensor | int) -> Tensor:
    """a / 2**shift rounded to the nearest integer, halves upwards; exact, for a negative shift too.

        (a + 2**(s-1)) >> s    for s > 0            a    for s = 0            a << -s    for s < 0

    a: int64, any shape. shift: int64 in [-62, 62], broadcastable against a. A left shift keeps the low 64 bits, as
    integers do.

    >>> round_shift(torch.tensor([-6, -5, 5, 6]), 2).tolist()      # -1.5, -1.25, 1.25, 1.5
    [-1, -1, 1, 2]
    """
    reference.check_integers("round_shift", a)
    return ROUND_SHIFT(a, torch.as_tensor(shift, dtype=torch.int64, device=a.device))
