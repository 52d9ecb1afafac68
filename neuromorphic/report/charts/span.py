"""Rows of ranges on one logarithmic axis: what an energy becomes when something is changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .. import svg
from ..text import visible
from .plane import Axis, decades

MARGIN = 1.25


@dataclass(frozen=True)
class Reach:
    """A stretch of a row. style: a class of the style sheet."""

    low: float
    high: float
    style: str
    tip: str


@dataclass(frozen=True)
class Dot:
    """A value of a row."""

    value: float
    style: str
    tip: str


@dataclass(frozen=True)
class Row:
    """A label, stretches and dots, and the ends in words."""

    label: str
    reaches: tuple[Reach, ...]
    dots: tuple[Dot, ...]
    words: str
    note: str = ""


def axis(values: Sequence[float], written, title: str) -> Axis:
    """A logarithmic axis around positive values, a little wider than they are."""
    low, high = min(values) / MARGIN, max(values) * MARGIN
    if high / low < 4:
        low, high = low / 1.5, high * 1.5
    return Axis(title, high, tuple((value, written(value)) for value in decades(low, high)), low, logarithmic=True)


def draw(across: Axis, rows: Sequence[Row], reference: float, caption: str) -> Markup:
    """The rows over the axis, with a line at the reference value through all of them."""
    return svg.tag("div", *(_row(across, row, reference) for row in rows), _scale(across), class_="spans",
                   role="group", aria_label=visible(caption))


def _row(across: Axis, row: Row, reference: float) -> Markup:
    at = svg.percent(across.at(reference))
    marks = [svg.tag("line", x1=svg.percent(across.at(value)), x2=svg.percent(across.at(value)), y1=0, y2="100%",
                     class_="grid") for value, _ in across.ticks]
    marks.append(svg.tag("line", x1=at, x2=at, y1=0, y2="100%", class_="reference"))
    for reach in row.reaches:
        begin, end = sorted((across.at(reach.low), across.at(reach.high)))
        marks.append(svg.tag("rect", svg.tag("title", reach.tip), x=svg.percent(begin), y=11, height=12,
                             width=svg.percent(max(end - begin, 0.002)), class_=reach.style))
    marks += [svg.tag("circle", svg.tag("title", dot.tip), cx=svg.percent(across.at(dot.value)), cy=17,
                      r=3 if dot.style == "tick" else 4.5, class_=f"point {dot.style}") for dot in row.dots]
    drawing = svg.tag("svg", *marks, class_="span", role="img", aria_label=visible(f"{row.label}: {row.words}"))
    note = (svg.tag("small", row.note),) if row.note else ()
    return svg.tag("div", svg.tag("span", row.label, *note, class_="row-label"), drawing,
                   svg.tag("span", row.words, class_="row-value"), class_="row")


def _scale(across: Axis) -> Markup:
    marks = [svg.tag("text", written, x=svg.percent(at), y=14, class_=_anchor(at))
             for value, written in across.ticks for at in [across.at(value)]]
    drawing = svg.tag("svg", *marks, class_="span scale", aria_hidden="true")
    return svg.tag("div", svg.tag("span"), drawing, svg.tag("span"), class_="row", aria_hidden="true")


def _anchor(at: float) -> str | None:
    """A number near an end stays inside."""
    return None if at < 0.06 else "end" if at > 0.94 else "middle"
