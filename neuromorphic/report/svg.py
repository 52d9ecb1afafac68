"""Inline SVG and HTML by hand: an element, stacked bars, a legend, a table.

Everything that is written passes through `tag`, which escapes it; `packed` folds what was written. Horizontal
coordinates are percentages, so a chart takes the width that it is given while its letters keep their size. The readable
text of a mark is its <title>: screen readers and plain browsers have it, and the page's script shows it at the pointer
and to the arrow keys. A style attribute stands nowhere: the page's policy allows its one style sheet and nothing else.
"""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from .table import Cell, Column, Table
from .text import visible

THINNEST = 0.001  # of the longest bar: a part that nobody could see or point at is left to the numbers


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """One element with its children and attributes escaped; `Markup` children are taken as they are.

    >>> tag("b", "<i>", class_="a")
    Markup('<b class="a">&lt;i&gt;</b>')
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
                      for key, value in attributes.items() if value is not None)
    inside = "".join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def packed(markup: Markup) -> Markup:
    """The markup as Base64 of its zlib stream, which the page's script puts in this place when it has loaded.

    For what repeats the words of a neighbour with other digits: a figure under other prices takes a tenth of its size.
    """
    stream = base64.b64encode(zlib.compress(markup.encode(), 9)).decode()
    return tag("template", Markup(stream), class_="packed") if markup else markup


def percent(fraction: float) -> str:
    """A coordinate across a chart.

    >>> percent(0.25), percent(1 / 3)
    ('25%', '33.33%')
    """
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True)
class Part:
    """One coloured part of a bar: its length, its style (a class of the style sheet) and its tooltip."""

    value: float
    style: str
    tip: str


@dataclass(frozen=True)
class Bar:
    """One row: a label, the parts laid end to end, the total as text, and what is to be known beside it."""

    label: str
    parts: tuple[Part, ...]
    total: str
    note: str = ""
    emphasis: bool = False


def stacked_bars(bars: Sequence[Bar], caption: str, style: str = "") -> Markup:
    """Rows of stacked bars on one common scale that begins at zero."""
    longest = max((sum(part.value for part in bar.parts) for bar in bars), default=0.0) or 1.0
    return tag("div", *(_bar_row(bar, longest) for bar in bars), class_=f"bars {style}".strip(), role="group",
               aria_label=visible(caption))


def _bar_row(bar: Bar, longest: float) -> Markup:
    marks, begin = [], 0.0
    for part in bar.parts:
        if part.value > THINNEST * longest:
            marks.append(tag("rect", tag("title", part.tip), x=percent(begin / longest),
                             width=percent(part.value / longest), class_=part.style))
        begin += part.value
    note = (tag("small", bar.note),) if bar.note else ()
    label = tag("span", visible(bar.label), *note, class_="row-label")
    drawing = tag("svg", *marks, role="img", aria_label=visible(f"{bar.label}: {bar.total}"))
    return tag("div", label, drawing, tag("span", bar.total, class_="row-value"),
               class_="row strong" if bar.emphasis else "row")


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Style and meaning of every colour in use."""
    return tag("ul", *(tag("li", tag("svg", tag("rect", width=10, height=10, rx=2, class_=style), width=10,
                                     height=10, aria_hidden="true"), text) for style, text in entries),
               class_="legend")


def html_table(data: Table, style: str = "") -> Markup:
    """A table with headings that explain themselves and numbers that stand under each other."""
    head = tag("tr", *(_head(column) for column in data.columns))
    body = [tag("tr", *(_cell(column, cell) for column, cell in zip(data.columns, row, strict=True)),
                class_="strong" if index == data.highlight else None) for index, row in enumerate(data.rows)]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), class_=style or None),
               class_="scroll", tabindex=0)


def _head(column: Column) -> Markup:
    heading, _, rest = column.heading.partition(", ")
    inside = [heading] if not rest else [heading, tag("small", _breakable(rest))]
    return tag("th", *inside, scope="col", title=visible(column.definition),
               class_="n" if column.number else None)


def _breakable(name: str) -> Markup:
    """A name that a browser may break after an underscore."""
    return Markup("_<wbr>").join(visible(name).split("_"))


def _cell(column: Column, cell: Cell) -> Markup:
    """Numbers stand right, words have a class."""
    return tag("td", cell.text, class_=None if column.number or cell.value is not None else "w")


def figure(drawing: Markup, numbers: Table | None, label: str, *, key: Markup | str = "") -> Markup:
    """A chart with its key above it and, folded below it, its numbers: for screen readers, copying and doubt.

    numbers: None where a table that follows the chart has them.
    """
    chart = tag("div", drawing, class_="chart", role="group", aria_label=visible(label))
    if numbers is None:
        return tag("figure", Markup(key), chart)
    folded = tag("details", tag("summary", "The numbers"), html_table(numbers, "sortable"), class_="numbers")
    return tag("figure", Markup(key), chart, folded)
