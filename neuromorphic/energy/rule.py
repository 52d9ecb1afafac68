"""From evidence to classes of operation: the only place that decides what is an accumulate.

The kinds are those seen over the whole data set. S spikes (silent, binary, ternary, scaled), G graded integers,
P powers of two, R real (weights are R); `events` are the terms of an operand's non-zeros.

    S . R        AC  * events of S               (a fixed magnitude other than 1 folds into the weights)
    G . R        MAC * events of G, or AC * units of G                             Rule.graded
    P . R        (SHIFT + ADD) * events of P, or SHIFT alone                       Rule.shift_accounting
    R . R        MAC * all terms
    S . S        AC  * the smaller events, the coincidences, or all terms          Rule.spike_spike
    S . G        AC  * events of S
    S . P        ADD * events of S, and one SHIFT for each non-zero of P
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from neuromorphic.energy.bill import Rule
from neuromorphic.ledger import SPIKES, Kind, Ledger, Operand, Row

Side = tuple[Operand | None, int, int]  # an operand with its events and units
SUMS = ("dense", "padding", "bias", "left_events", "right_events", "coincidence", "left_units", "right_units")


@dataclass(frozen=True)
class Work:
    """How a product is worked through: operations by class, pairs of operands touched, which side skips its zeros."""

    counts: Mapping[str, int]
    pairs: int
    left_skips: bool = False
    right_skips: bool = False


def classify(row: Row, rule: Rule, timesteps: int) -> dict[str, int]:
    """Exact operations of each class of one row, over all samples, without the zeros."""
    counts = _repeated(row, rule, timesteps, _counts(row, rule))
    return {name: n for name, n in counts.items() if n}


def dense_ann(row: Row) -> dict[str, int]:
    """The products of a row in a dense ANN of the same topology: every term, at one time step."""
    counts = {"MAC": row.dense // row.steps, "ADD": row.bias // row.steps}
    return {name: n for name, n in counts.items() if n}


def _counts(row: Row, rule: Rule) -> Mapping[str, int]:
    if row.dense:
        return _plus(work(row, rule).counts, {"ADD": row.bias})
    if row.op == "hadamard":
        return _gate(row)
    if row.op == "reduce" and row.left and row.left.kind in SPIKES:
        return row.counts | {"ADD": 0, "AC": row.left.nonzero}  # an accumulator starts at 0: one AC per spike
    if row.op == "shiftmax" and rule.row_maximum:
        keys, rows = row.counts["SHIFT"], row.counts["LOD"]
        return _plus(row.counts, {"CMP": keys - rows, "ADD": keys})
    return row.counts


def _repeated(row: Row, rule: Rule, timesteps: int, counts: Mapping[str, int]) -> Mapping[str, int]:
    """Layers that read the model's input: charged at every step, or once where every step sees the same input."""
    if not row.reads_input or not row.dense:
        return counts
    if rule.first_conv == "times_T" and row.steps == 1:
        return {name: n * timesteps for name, n in counts.items()}
    if rule.first_conv == "once" and row.left.repeats:
        return {name: n // row.steps for name, n in counts.items()}
    return counts


def work(row: Row, rule: Rule) -> Work:
    """How the product of a row is worked through, biases apart."""
    left: Side = (row.left, row.left_events, row.left_units)
    right: Side = (row.right, row.right_events, row.right_units)
    kinds: tuple[Kind, Kind] = (row.left.kind, row.right.kind if row.right else "real")
    if kinds[0] in SPIKES and kinds[1] in SPIKES:
        return _spikes_by_spikes(row, rule)
    for kind in ("spikes", "pow2", "graded"):
        for side, other, is_kind, other_kind in ((left, right, *kinds), (right, left, *kinds[::-1])):
            skips = {"left_skips": side is left, "right_skips": side is right}
            if kind == "spikes" and is_kind in SPIKES:
                return Work(_driven_by_spikes(side, other[0], other_kind), side[1], **skips)
            if kind == "pow2" and is_kind == "pow2":
                added = {"ADD": side[1]} if rule.shift_accounting == "shift_add" else {}
                return Work({"SHIFT": side[1]} | added, side[1], **skips)
            if kind == "graded" and is_kind == "graded":
                return Work({"MAC": side[1]} if rule.graded == "mac" else {"AC": side[2]}, side[1], **skips)
    return Work({"MAC": row.dense + (row.padding if rule.taps == "padded" else 0)}, row.dense)


def _spikes_by_spikes(row: Row, rule: Rule) -> Work:
    if rule.spike_spike == "dense":
        return Work({"AC": row.dense}, row.dense)
    if rule.spike_spike == "coincidence":
        return Work({"AC": row.coincidence}, row.coincidence, left_skips=True, right_skips=True)
    few = min(row.left_events, row.right_events)
    return Work({"AC": few}, few, left_skips=few == row.left_events, right_skips=few != row.left_events)


def at_rule(row: Row, rule: Rule, timesteps: int) -> Row:
    """The row as often as the rule has it run: layers that read the model's input, at every step or once."""
    if row.reads_input and row.dense and rule.first_conv == "times_T" and row.steps == 1:
        return _often(row, timesteps, lambda n: n * timesteps)
    if row.reads_input and row.dense and rule.first_conv == "once" and row.left.repeats:
        return _often(row, 1, lambda n: n // row.steps)
    return row


def _often(row: Row, steps: int, times: Callable[[int], int]) -> Row:
    sides = {
        side: operand and replace(operand, numel=times(operand.numel), positive=times(operand.positive),
                                  negative=times(operand.negative), nonzero_per_step=())
        for side, operand in (("left", row.left), ("right", row.right))
    }  # fmt: skip
    words = {name: times(n) for name, n in row.words.items()}
    return replace(row, steps=steps, words=words, **sides, **{name: times(getattr(row, name)) for name in SUMS})


def _driven_by_spikes(spikes: Side, other: Operand | None, other_kind: Kind) -> dict[str, int]:
    if other_kind == "pow2":
        return {"ADD": spikes[1], "SHIFT": other.nonzero}
    return {"AC": spikes[1]}


def _gate(row: Row) -> Mapping[str, int]:
    """Element-wise product: a gate where an operand is spikes, a shift where one is powers of two."""
    kinds = {operand.kind for operand in (row.left, row.right) if operand}
    name = "AND" if kinds & set(SPIKES) else "SHIFT" if "pow2" in kinds else "MUL"
    return {name: row.counts["MUL"]}


def _plus(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in a.keys() | b.keys()}


def operation_counts(ledger: Ledger, rule: Rule = Rule()) -> dict[str, int]:  # noqa: B008 - a frozen record
    """Operations of each class of a whole ledger."""
    total: dict[str, int] = {}
    for row in ledger.rows:
        total = _plus(total, classify(row, rule, ledger.model.timesteps))
    return total
