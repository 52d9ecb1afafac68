"""The integer operations of a converted network.

    Horner, each value and step      1 ADD, with 1 SHIFT for base 2, 1 SHIFT + 1 ADD for base 3, after the first step
    rounding shift, each value       1 SHIFT + 1 ADD to the right, 1 SHIFT to the left, nothing for a shift of 0
    table, each value                the rounding shift of its index, 2 CMP (clip) and 1 LOOKUP
    integer norm, each row of n:
        centre     n MUL (D x; SHIFT where D is a power of two), 2 n - 1 ADD      left out by the RMS norm
        low bits   n SHIFT, and n ADD to the right
        variance   n MUL, n - 1 ADD, 1 ADD (epsilon)
        root       1 LOD, 2 SHIFT (its place halved; the bits behind it), 1 LOOKUP
        normalise  n MUL (root), n MUL (gamma), 1 ADD (the row's shift), n SHIFT + n ADD (rounding), n ADD (beta)
    row factor, each row             1 LOD, 1 SHIFT and 1 CMP for each limit; nothing where the factor is constant
    scaling by it, each value        as many SHIFT as powers of two above 1/8 in the factor, 1 ADD less than powers

No exponential, division, root or float anywhere; the norm is the one that multiplies.
"""

from collections import Counter as Tally

import torch
from torch import Tensor

from neuromorphic.count.call import Call, Counter, scaling
from neuromorphic.ledger import Row

LIMITS = {"nearest": 1, "row3": 2, "row5": 5}
# eighths: (shifts, additions), 9 = 8 + 1, 10 = 8 + 2, 11 = 8 + 2 + 1, 12 = 8 + 4, 14 = 16 - 2
TERMS = {8: (1, 0), 9: (1, 1), 10: (2, 1), 11: (2, 2), 12: (2, 1), 14: (2, 1), 16: (1, 0)}


HORNER = {1: {"ADD": 1}, 2: {"SHIFT": 1, "ADD": 1}, 3: {"SHIFT": 1, "ADD": 2}}


def rounding(shift: Tensor, shape: torch.Size) -> dict[str, int]:
    """The rounding shifts of values of this shape."""
    shift = shift.expand(shape)
    return {"SHIFT": int((shift != 0).sum()), "ADD": int((shift > 0).sum())}


def _row(call: Call, op: str, counts: dict[str, int], **geometry: int) -> list[Row]:
    counts = {name: n for name, n in counts.items() if n}
    return [call.row(op, geometry=geometry, counts=counts)] if counts else []


def _count_horner(call: Call) -> list[Row] | None:
    """b acc + x: a base of 1, 2 or 3 needs no multiplication; another one is not counted."""
    if call["base"] not in HORNER:
        return None
    terms = call["terms"]
    times = terms.numel() - terms[0].numel()
    return _row(call, "horner", {name: n * times for name, n in HORNER[call["base"]].items()})


def _count_round_shift(call: Call) -> list[Row]:
    return _row(call, "elementwise", rounding(call["shift"], call.result.shape))


def _count_table(call: Call) -> list[Row]:
    values = {"CMP": 2 * call.result.numel(), "LOOKUP": call.result.numel()}
    return _row(call, "table", rounding(call["shift"], call.result.shape) | values)


def _count_integer_norm(call: Call) -> list[Row]:
    n = call["x"].shape[-1]
    centred = call.name == "spikeattn::integer_norm"
    per_row = Tally({
        "MUL": 3 * n, "ADD": n - 1 + (call["epsilon"] != 0) + 1 + 2 * n, "SHIFT": 2 + n, "LOD": 1, "LOOKUP": 1,
    })  # fmt: skip
    if centred:
        per_row += Tally(scaling(n, n)) + Tally({"ADD": 2 * n - 1})
    if call["drop"]:
        per_row += Tally({"SHIFT": n, "ADD": n * (call["drop"] > 0)})
    rows = call.result.numel() // n if n else 0
    return _row(call, "norm", {name: count * rows for name, count in per_row.items()}, n=n)


def _count_row_factor(call: Call) -> list[Row]:
    rows, limits = call.result.numel(), LIMITS.get(call["normaliser"], 0)
    return _row(call, "row_factor", {"LOD": rows, "SHIFT": rows, "CMP": limits * rows} if limits else {})


def _count_scale_rows(call: Call) -> list[Row]:
    values, often = call["eighths"].expand(call.result.shape).unique(return_counts=True)
    work = [(TERMS[value], count) for value, count in zip(values.tolist(), often.tolist(), strict=True)]
    counts = {
        "SHIFT": sum(shifts * count for (shifts, _), count in work),
        "ADD": sum(additions * count for (_, additions), count in work),
    }
    return _row(call, "row_factor", counts)


COUNTERS: dict[str, Counter] = {
    "spikeattn::horner": _count_horner,
    "spikeattn::round_shift": _count_round_shift,
    "spikeattn::table_lookup": _count_table,
    "spikeattn::integer_norm": _count_integer_norm,
    "spikeattn::integer_rms_norm": _count_integer_norm,
    "spikeattn::row_factor": _count_row_factor,
    "spikeattn::scale_rows": _count_scale_rows,
}
