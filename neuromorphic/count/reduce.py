"""Reductions: n elements become one with n - 1 operations.

    sum, mean     n - 1 ADD, decided on read: one AC per spike where the operand is spikes
                  (mean: and one factor 1/n for each result, a shift where n is a power of two)
    max, min, argmax, any, all                n - 1 CMP (AND for any, all)
    var, std      as in a norm: n - 1 ADD + 1 MUL for the mean, n ADD + n MUL + n - 1 ADD + 1 MUL for the squares
"""

from neuromorphic.count.call import Call, Counter, scaling
from neuromorphic.ledger import Row


def _fold(call: Call, name: str) -> list[Row]:
    saved = call["self"].numel() - call.result.numel()
    return [call.row("reduce", counts={name: saved})] if saved else []


def _count_sum(call: Call) -> list[Row]:
    """The operand is kept: a sum of spikes accumulates only the spikes."""
    x, n_out = call["self"], call.result.numel()
    if x.numel() == n_out or x.is_complex():
        return _fold(call, "ADD")
    factor = scaling(n_out / x.numel(), n_out) if call.name == "aten::mean" else {}
    row = call.row("reduce", left=call.operand(x), counts={"ADD": x.numel() - n_out} | factor)
    return [row]


def _count_var(call: Call) -> list[Row]:
    x, out = call["self"], call.result
    counts = {"ADD": 3 * x.numel() - 2 * out.numel(), "MUL": x.numel() + 2 * out.numel()}
    roots = {"SQRT": out.numel()} if "std" in call.name else {}
    return [call.row("reduce", counts=counts | roots)]


def _count_norm(call: Call) -> list[Row] | None:
    """Euclidean length: n MUL, n - 1 ADD, one root."""
    x, out = call["self"], call.result
    if call["ord"] not in (2, 2.0):
        return None
    return [call.row("reduce", counts={"MUL": x.numel(), "ADD": x.numel() - out.numel(), "SQRT": out.numel()})]


COUNTERS: dict[str, Counter] = {
    "aten::sum": _count_sum,
    "aten::mean": _count_sum,
    **{f"aten::{name}": lambda call: _fold(call, "CMP") for name in ("amax", "amin", "max", "min", "argmax", "argmin")},
    **{f"aten::{name}": lambda call: _fold(call, "AND") for name in ("any", "all")},
    **{f"aten::{name}": _count_var for name in ("var", "std", "var_mean", "std_mean")},
    "aten::prod": lambda call: _fold(call, "MUL"),
    "aten::linalg_vector_norm": _count_norm,
}
