"""How spike-driven a converted network is: every executed operation in exactly one class.

    S1   unit spike x weight: one addition for each spike and output                    spike-driven
    S2   unit spike x unit spike                                                        spike-driven
    S2b  unit spike x a finished integer held in memory (planes of q x integers k)      spike-driven, additions only
    S3   power-of-two weight x integer: shift and addition, dense (Shiftmax x V)        spike-driven
    S4   comparison, subtraction, shift, leading one, integer sums                      spike-driven
    X1   graded spike x weight                                                          not
    X2   spike x a sum that every step works out anew                                   not (none of our nodes does)
    X3   integer multiplication                                                         not
    X4   table read in place of a function                                              not
    X5   floating-point function or product                                             not
    X6   analog input x weight, in the declared stem                                    outside of the bounds
    X7   uncovered: nobody has said what it is                                          an error

The counts are those of a ledger (`neuromorphic.trace`), taken while the network ran on spikes; nothing is estimated.
"""

from collections import defaultdict

from neuromorphic.convert.record import Purity, PurityRow
from neuromorphic.energy import Rule
from neuromorphic.energy.rule import classify
from neuromorphic.ledger import SPIKES, Ledger, Row
from spikeattn.converted import (
    Attention,
    CircularMixing,
    Encode,
    ExactActivation,
    ExactNorm,
    Norm,
    Table,
    Wire,
)
from spikeattn.converted.linear import Weighted
from spikeattn.models.converted import ConvertedModel

MEANING = {
    "S1": "unit spike x weight: additions",
    "S2": "unit spike x unit spike",
    "S2b": "unit spike x integer held in memory: additions",
    "S3": "power-of-two weight x integer: shift and addition, dense",
    "S4": "comparison, subtraction, shift, leading one, integer sum",
    "X1": "graded spike x weight",
    "X2": "spike x recomputed sum",
    "X3": "integer multiplication",
    "X4": "table read",
    "X5": "floating point",
    "X6": "analog input x weight (declared stem)",
    "X7": "uncovered",
}
FLOATING = ("MUL", "MAC", "DIV", "EXP", "ERF", "LOG", "SIN", "SQRT", "BUTTERFLY")
DECLARED = (Norm, Table)  # where integer multiplications and table reads are allowed to be
Key = tuple[str, str]  # class, kind of node


def purity(ledger: Ledger, model: ConvertedModel) -> Purity:
    """From the ledger of a run on spikes."""
    nodes = {f"network.{wire.name}": wire for wire in model.network.wires}
    counts: dict[str, int] = defaultdict(int)
    sites: dict[str, dict[str, None]] = defaultdict(dict)
    outside: dict[str, int] = defaultdict(int)
    floating = 0
    for row in ledger.rows:
        wire = _wire(row.scope, nodes)
        if wire is not None and (wire.layer.readout or wire.layer.stem):
            outside["X6"] += sum(classify(row, Rule(), ledger.model.timesteps).values()) if wire.layer.stem else 0
            continue
        for name, operation, count in _classes(row, wire, ledger.model.timesteps):
            counts[name] += count
            sites[name][wire.name if wire else row.scope] = None
            floating += count if name == "X5" and operation in FLOATING else 0
    for touch in ledger.coverage.uncovered:
        counts["X7"] += touch.numel
        sites["X7"][f"{touch.op} in {touch.scope}"] = None
    total = sum(counts.values())
    rows = tuple(PurityRow(name, MEANING[name], name[0] == "S", (counts | outside).get(name, 0), tuple(sites[name]))
                 for name in MEANING if (counts | outside).get(name))
    label, offenders = _label(counts, sites, nodes)
    return Purity(
        float_free=1 - (floating + counts["X7"]) / total if total else 1.0,
        share=sum(n for name, n in counts.items() if name[0] == "S") / total if total else 1.0,
        label=label, rows=rows, offenders=offenders,
        stem=tuple(wire.name for wire in model.network.wires if wire.layer.stem),
        readout=tuple(wire.name for wire in model.network.wires if wire.layer.readout),
        multiplication_free=counts["X3"] == counts["X5"] == outside["X6"] == 0,
    )


def _wire(scope: str, nodes: dict[str, Wire]) -> Wire | None:
    """The wire at whose layer a row was counted, or inside of which."""
    while scope:
        if scope in nodes:
            return nodes[scope]
        scope = scope.rpartition(".")[0]
    return None


def _classes(row: Row, wire: Wire | None, timesteps: int) -> list[tuple[str, str, int]]:
    """(class, operation, count) of one row."""
    layer = wire.layer if wire else None
    found = classify(row, Rule(), timesteps)
    if layer is None:
        return [("X7", operation, n) for operation, n in found.items()]
    return [(_class(row, layer, operation), operation, n) for operation, n in found.items()]


def _class(row: Row, layer, operation: str) -> str:
    if isinstance(layer, (ExactNorm, ExactActivation, CircularMixing)):
        return "X5"
    if isinstance(layer, Encode):
        return "S4"
    if isinstance(layer, Attention) and layer.normaliser == "exact" and operation in FLOATING and not row.dense:
        return "X5"
    if row.dense and operation in ("AC", "MAC", "SHIFT", "ADD"):
        return _product_class(row, layer, operation)
    if operation == "LOOKUP":
        return "X4"
    if operation in FLOATING:
        return "X3" if operation == "MUL" and isinstance(layer, (Norm, *INTEGER_NODES)) else "X5"
    return "S4"


INTEGER_NODES = (Weighted, Attention, Table)


def _product_class(row: Row, layer, operation: str) -> str:
    left, right = row.left.kind, row.right.kind if row.right else None
    if operation == "ADD" and row.op in ("linear", "conv"):
        return "S4"  # biases
    if "pow2" in (left, right):
        return "S3"
    if left in SPIKES:
        return "S1" if right is None else "S2" if right in SPIKES else "S2b"
    if right in SPIKES:
        return "S2b"
    if left == "graded" and right is None:
        return "X1"
    return "X3" if "real" not in (left, right) else "X5"


def _label(counts, sites, nodes) -> tuple[str, tuple[str, ...]]:
    """The strictest label that holds, and what stands against a stricter one."""
    kinds = {wire.name: wire.layer for wire in nodes.values()}
    integers = [path for name in ("X3", "X4") for path in sites[name]]
    stray = [path for path in integers if not isinstance(kinds.get(path), DECLARED)]
    broken = [f"{MEANING[name]}: {_some(sites[name])}" for name in ("X1", "X2", "X5", "X7") if counts[name]]
    broken += [f"integer multiplication or table outside of norms and activations: {_some(stray)}"] if stray else []
    real = [wire.name for wire in nodes.values() if isinstance(wire.layer, Weighted) and wire.layer.real]
    broken += [f"weights in floating point: {_some(real)}"] if real else []
    if broken:
        return "hybrid", tuple(broken)
    if counts["X3"] or counts["X4"]:
        return "spike-driven, integer norms", tuple(
            f"{MEANING[name]}: {_some(sites[name])}" for name in ("X3", "X4") if counts[name])
    return "spike-driven", ()


def _some(paths) -> str:
    paths = list(paths)
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
