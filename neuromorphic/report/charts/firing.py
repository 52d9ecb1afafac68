"""Firing rates, layer by time: the share of +1 spikes left, of -1 spikes right, on a scale around zero.

    rate of a step = emissions of one sign / (neurons * samples)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from neuromorphic.ledger import Emission

from .. import svg, text
from ..record import Entry
from ..table import Cell, Column, Table
from .layers import block_of, common_prefix

MOST_ROWS = 80  # more neuron layers than this are drawn block by block
MOST_WRITTEN = 8  # with more steps than this the rates are not written into the cells
SIGNED = ("ternary", "signed_graded")


@dataclass(frozen=True)
class Rates:
    """One row: rates of each step by sign (`negative` empty where the neuron has none), and their mean."""

    label: str
    positive: tuple[float, ...]
    negative: tuple[float, ...]
    mean: float
    neuron: str


def rates(entry: Entry) -> list[Rates]:
    """A row for each neuron layer in order of execution."""
    prefix = common_prefix(entry)
    return [Rates(e.scope.removeprefix(prefix) or "(model)", e.positive_rates,
                  e.negative_rates if signed(e) else (), e.rate,
                  f"{e.neuron}, {e.alphabet}, {text.count(e.units)} neurons") for e in entry.ledger.emissions]


def signed(emission: Emission) -> bool:
    """The neuron can emit negative spikes, or has."""
    return emission.alphabet in SIGNED or any(emission.negative)


def grouped(entry: Entry) -> bool:
    """Whether the neuron layers are so many that they are drawn block by block."""
    return len(entry.ledger.emissions) > MOST_ROWS


def _by_block(entry: Entry) -> list[Rates]:
    """Rates over all neurons of a block together, apart for neurons with and without negative spikes."""
    prefix = common_prefix(entry)
    groups: dict[tuple[str, bool, int], list[Emission]] = {}
    for emission in entry.ledger.emissions:
        block = block_of(emission.scope.removeprefix(prefix)) or "(model)"
        groups.setdefault((block, signed(emission), emission.steps), []).append(emission)
    return [_together(block, both, found) for (block, both, _), found in groups.items()]


def _together(block: str, both: bool, found: Sequence[Emission]) -> Rates:
    numel, steps = sum(e.numel for e in found), found[0].steps
    positive, negative = (tuple(sum(counts) * steps / numel if numel else 0.0 for counts in zip(*each, strict=True))
                          for each in ([e.positive for e in found], [e.negative for e in found]))
    mean = (sum(positive) + sum(negative)) / steps
    return Rates(f"{block} (signed)" if both else block, positive, negative if both else (), mean,
                 f"{len(found)} neuron layers")


def brightest(entry: Entry) -> float:
    """The end of the colour scale: the next of 10, 20, 30, 50, 75 and 100 % above every rate."""
    highest = max((rate for row in rates(entry) for rate in (*row.positive, *row.negative)), default=0.0)
    return next((end for end in (0.1, 0.2, 0.3, 0.5, 0.75) if highest <= end), 1.0)


def draw(entry: Entry) -> Markup:
    """The heat map. The end of the scale gets the full colour of either side."""
    rows, end = _by_block(entry) if grouped(entry) else rates(entry), brightest(entry)
    steps, both = max(len(row.positive) for row in rows), any(row.negative for row in rows)
    heads = [svg.tag("span", "layer", class_="row-label"), _head("+1", steps)]
    heads += [_head("−1", steps)] if both else []
    heads += [svg.tag("span", "mean", class_="row-value")]
    return svg.tag("div", svg.tag("div", *heads, class_="row heat-head"), *(_row(row, end, both) for row in rows),
                   class_="heat signed" if both else "heat", role="group")


def _head(sign: str, steps: int) -> Markup:
    every = 1 if steps <= 16 else 8
    marks = [svg.tag("text", f"t{step}" if steps <= 16 else str(step), x=svg.percent((step + 0.5) / steps), y=12)
             for step in range(0, steps, every)]
    return svg.tag("span", svg.tag("b", sign), svg.tag("svg", *marks, class_="steps", aria_hidden="true"))


def _row(row: Rates, end: float, both: bool) -> Markup:
    cells = [_cells(row, row.positive, "+", end)]
    if both:
        cells.append(_cells(row, row.negative, "−", end) if row.negative
                     else svg.tag("span", text.NOTHING, class_="none"))
    return svg.tag("div", svg.tag("span", row.label, class_="row-label"), *cells,
                   svg.tag("span", text.percent(row.mean), class_="row-value"), class_="row")


def _cells(row: Rates, shares: Sequence[float], sign: str, end: float) -> Markup:
    marks, width = [], svg.percent(1 / len(shares))
    for step, rate in enumerate(shares):
        strength = min(1.0, rate / end)
        marks.append(svg.tag("rect", svg.tag("title", f"step {step}: {100 * rate:.2f} % {sign}1"),
                             x=svg.percent(step / len(shares)), width=width, fill_opacity=f"{strength:.2f}"))
        if len(shares) <= MOST_WRITTEN:
            marks.append(svg.tag("text", f"{100 * rate:.1f}", x=svg.percent((step + 0.5) / len(shares)), y=14,
                                 class_="strong" if strength > 0.6 else None))
    return svg.tag("svg", *marks, class_="cells positive" if sign == "+" else "cells negative", role="img",
                   aria_label=text.visible(f"{row.label}: {sign}1 spikes, {text.percent(sum(shares) / len(shares))}"))


def numbers(entry: Entry) -> Table:
    """Every neuron layer and sign with the rate of each step, in percent."""
    rows, steps = rates(entry), max((e.steps for e in entry.ledger.emissions), default=0)
    columns = (Column("layer", "module path", number=False), Column("neuron", "kind and number", number=False),
               Column("sign", "of the spikes", number=False),
               *(Column(f"t{step} [%]", "share of neurons that emitted at this step") for step in range(steps)))
    body = []
    for row in rows:
        for sign, shares in (("+1", row.positive), ("−1", row.negative)):
            filled = [Cell(f"{100 * rate:.3g}", rate) for rate in shares]
            missing = [Cell(text.NOTHING)] * (steps - len(shares))
            body += [(Cell(row.label), Cell(row.neuron), Cell(sign), *filled, *missing)] if shares else []
    return Table(columns, tuple(body))
