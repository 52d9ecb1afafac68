"""Energy of each layer under one profile: stacked bars, block by block where layers are many."""

import os.path
from collections.abc import Mapping

from markupsafe import Markup

from neuromorphic.energy.bill import Bill

from .. import svg, text
from ..record import Entry
from ..table import Cell, Column, Table
from . import parts

MOST_BARS = 36  # more layers than this are drawn block by block; the table keeps every one


def common_prefix(entry: Entry) -> str:
    """The dotted beginning that all layer names of a model share, `module.backbone.` for instance; often empty."""
    names = [line.layer for line in entry.bills[0].lines] + [emission.scope for emission in entry.ledger.emissions]
    shared = os.path.commonprefix(names)
    return shared[: shared.rfind(".") + 1]


def block_of(layer: str) -> str:
    """The block that a layer belongs to: `blocks.3.attn.q` is in `blocks.3`, `stem.conv` in `stem`.

    >>> block_of("blocks.3.attn.q"), block_of("stem.conv")
    ('blocks.3', 'stem')
    """
    pieces = layer.split(".")
    last = max((i for i, piece in enumerate(pieces[:3]) if piece.isdigit()), default=0)
    return ".".join(pieces[: last + 1])


def grouped(entry: Entry) -> bool:
    """Whether the layers are so many that they are drawn block by block."""
    return len(entry.bills[0].by_layer) > MOST_BARS


def draw(entry: Entry, bill: Bill) -> Markup:
    """One bar for each layer or block, in order of execution; those that cost nothing are left to the table."""
    layers = _energies(bill, common_prefix(entry), grouped(entry))
    totals = {layer: sum(energies.values()) for layer, energies in layers.items()}
    unit, size = text.energy_unit(totals.values())
    bars = [svg.Bar(layer or "(model)", parts.drawn(layers[layer]), f"{text.significant(total / size)} {unit}")
            for layer, total in totals.items() if total > 0]
    return svg.stacked_bars(bars, f"Energy by layer, {bill.profile.title}", "names")


def _energies(bill: Bill, prefix: str, together: bool) -> Mapping[str, dict[str, float]]:
    lines: dict[str, list] = {}
    for line in bill.lines:
        short = line.layer.removeprefix(prefix)
        lines.setdefault(block_of(short) if together else short, []).append(line)
    return {layer: parts.energies(found, bill.samples) for layer, found in lines.items()}


def numbers(entry: Entry, bill: Bill) -> Table:
    """One row for each layer or block as drawn: compute, neurons, memory."""
    layers = _energies(bill, common_prefix(entry), grouped(entry))
    unit, size = text.energy_unit(sum(energies.values()) for energies in layers.values())
    columns = (Column("layer", "module path", number=False), Column(f"total [{unit}]", "energy per sample"),
               *(Column(f"{name} [{unit}]", "part of the total") for name in parts.GROUPS))
    rows = []
    for layer, energies in layers.items():
        values = [sum(energies.values()), *parts.grouped(energies).values()]
        rows.append((Cell(layer or "(model)"), *(Cell(text.significant(v / size), v / size) for v in values)))
    return Table(columns, tuple(rows))
