"""Any function of one integer: round it to an index, read a table."""

from torch import Tensor

from spikeattn.ops.round_shift.reference import check_shifts, round_shift


def table_lookup(a: Tensor, shift: Tensor, entries: Tensor, lowest: int) -> Tensor:
    """entries[i - lowest], i = round_shift(a, shift) clipped to the table."""
    index = round_shift(a, shift).clamp(lowest, lowest + entries.shape[0] - 1)
    return entries[index - lowest]


def check(a: Tensor, shift: Tensor, entries: Tensor, lowest: int) -> None:
    check_shifts(a, shift)
    if entries.ndim != 1 or not entries.numel():
        raise ValueError(f"table_lookup: a table must be (L,) with L >= 1, got {tuple(entries.shape)}. Build it first.")
