"""Charts as inline SVG: stacked bars, signed heat maps, and curves with measured points.

Horizontal coordinates are percentages, so a chart takes the width that it is given while its letters keep
their size. Everything that is written passes through `tag`, which escapes it. The readable text of a mark
is its <title>: screen readers and plain browsers have it, and the page's script shows it as a tooltip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from .text import visible

LABEL_HEIGHT = 13


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """One element with its children and attributes escaped; `Markup` children are taken as they are.

    >>> tag("b", "<i>", class_="a")
    Markup('<b class="a">&lt;i&gt;</b>')
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
                      for key, value in attributes.items() if value is not None)
    inside = "".join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True)
class Part:
    """One coloured part of a bar: its length, its style (a class of the style sheet) and its tooltip."""

    value: float
    style: str
    tip: str


@dataclass(frozen=True)
class Bar:
    """One row: a label, the parts laid end to end, the total as text."""

    label: str
    parts: tuple[Part, ...]
    total: str
    emphasis: bool = False


def stacked_bars(bars: Sequence[Bar], caption: str) -> Markup:
    """Rows of stacked bars on one common scale that begins at zero."""
    longest = _longest(bars)
    rows = [_bar_row(bar, tag("span", bar.label, class_="bar-label", title=visible(bar.label)), _bar(bar, longest))
            for bar in bars]
    return tag("div", *rows, class_="bars", role="list", aria_label=visible(caption))


def parallel_bars(headings: Sequence[str], panels: Sequence[Sequence[Bar]]) -> Markup:
    """The same rows under several headings, each heading with its own scale: one label, one bar for each heading."""
    scales = [_longest(bars) for bars in panels]
    head = tag("div", tag("span"), *(tag("span", heading, class_="bar-heading") for heading in headings),
               class_="bar-row bar-head")
    rows = [_bar_row(bars[0], tag("span", bars[0].label, class_="bar-label", title=visible(bars[0].label)),
                     *(_bar(bar, longest) for bar, longest in zip(bars, scales, strict=True)))
            for bars in zip(*panels, strict=True)]
    return tag("div", head, *rows, class_="bars parallel", role="list", style=f"--panels: {len(panels)}")


def _longest(bars: Sequence[Bar]) -> float:
    return max((sum(part.value for part in bar.parts) for bar in bars), default=0.0) or 1.0


def _bar_row(bar: Bar, *cells: Markup) -> Markup:
    return tag("div", *cells, class_="bar-row strong" if bar.emphasis else "bar-row", role="listitem")


def _bar(bar: Bar, longest: float) -> Markup:
    marks, begin = [], 0.0
    for part in bar.parts:
        if part.value > 0:
            marks.append(tag("rect", tag("title", part.tip), x=_percent(begin / longest),
                             width=_percent(part.value / longest), class_=part.style))
            begin += part.value
    return tag("svg", *marks, class_="bar", role="img",
               aria_label=visible(f"{bar.label}: {bar.total}")) + tag("span", bar.total, class_="bar-total")


def grouped_bars(groups: Sequence[tuple[str, Sequence[Bar]]]) -> Markup:
    """One group of bars after another, each under its heading and on its own scale."""
    return tag("div", *(tag("section", tag("h4", heading), stacked_bars(bars, heading)) for heading, bars in groups),
               class_="groups")


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Style and meaning of every colour in use."""
    return tag("ul", *(tag("li", tag("svg", tag("rect", width=10, height=10, rx=2, class_=style), width=10,
                                     height=10, aria_hidden="true"), text) for style, text in entries),
               class_="legend")


@dataclass(frozen=True)
class HeatRow:
    """One layer: its share of +1 and of -1 spikes at each time step, and their mean as text."""

    label: str
    positive: tuple[float, ...]
    negative: tuple[float, ...]  # empty when the layer cannot emit a negative spike
    total: str
    note: str = ""


def heat_map(rows: Sequence[HeatRow], steps: int, brightest: float) -> Markup:
    """Layer by time, the positive rates left and the negative ones right, on a scale around zero.

    `brightest` is the rate that gets the full colour of either side.
    """
    signed = any(row.negative for row in rows)
    heads = [tag("span", "layer", class_="heat-label"), _heat_head("+1", steps)]
    heads += [_heat_head("−1", steps)] if signed else []
    heads += [tag("span", "mean", class_="heat-total")]
    body = [_heat_row(row, steps, brightest, signed) for row in rows]
    return tag("div", tag("div", *heads, class_="heat-row heat-head"), *body,
               class_="heat signed" if signed else "heat", role="list")


def _heat_head(sign: str, steps: int) -> Markup:
    marks = [tag("text", f"t{step}" if steps <= 16 else str(step), x=_percent((step + 0.5) / steps), y=12,
                 text_anchor="middle") for step in range(steps) if steps <= 16 or step % 8 == 0]
    return tag("span", tag("b", sign), tag("svg", *marks, width="100%", height=16, aria_hidden="true"))


def _heat_row(row: HeatRow, steps: int, brightest: float, signed: bool) -> Markup:
    cells = [_heat_cells(row, row.positive, "positive", steps, brightest)]
    if signed:
        cells.append(_heat_cells(row, row.negative, "negative", steps, brightest) if row.negative
                     else tag("span", "–", class_="heat-none"))
    return tag("div", tag("span", row.label, class_="heat-label", title=visible(row.label + row.note)), *cells,
               tag("span", row.total, class_="heat-total"), class_="heat-row", role="listitem")


def _heat_cells(row: HeatRow, rates: Sequence[float], sign: str, steps: int, brightest: float) -> Markup:
    marks = []
    for step, rate in enumerate(rates):
        strength = min(1.0, rate / brightest) if brightest else 0.0
        tip = f"{row.label}, step {step}: {100 * rate:.2f} % {sign}"
        marks.append(tag("rect", tag("title", tip), x=_percent(step / steps), width=_percent(1 / steps),
                         class_=f"cell {sign}", fill_opacity=f"{strength:.2f}"))
        if steps <= 8:
            marks.append(tag("text", f"{100 * rate:.1f}", x=_percent((step + 0.5) / steps), y=14,
                             class_="on-dark" if strength > 0.6 else "on-light"))
    return tag("svg", *marks, class_="cells", role="img", aria_label=visible(f"{row.label}, {sign} spikes"))


@dataclass(frozen=True)
class Line:
    """A straight line from (x0, y0) to (x1, y1), with a tooltip."""

    start: tuple[float, float]
    stop: tuple[float, float]
    style: str
    tip: str


@dataclass(frozen=True)
class Point:
    """A measured point with its label."""

    x: float
    y: float
    label: str
    style: str
    tip: str


@dataclass(frozen=True)
class Axis:
    """What an axis shows, where it ends, and its ticks with their text."""

    title: str
    end: float
    ticks: tuple[tuple[float, str], ...]


def ticks(end: float, wanted: int = 5) -> tuple[float, ...]:
    """Round numbers from 0 to at most `end`, about as many as wanted.

    >>> ticks(5.2)
    (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    """
    rough = end / wanted
    power = 10.0 ** int(f"{rough:e}".split("e")[1])
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    return tuple(round(index * step, 12) for index in range(int(end / step + 1e-9) + 1))


def line_chart(x: Axis, y: Axis, lines: Sequence[Line], points: Sequence[Point], height: int = 280) -> Markup:
    """Lines and labelled points over two linear axes that begin at zero."""
    def across(value: float) -> str:
        return _percent(value / x.end)

    def down(value: float) -> str:
        return f"{height * (1 - value / y.end):.1f}"

    marks = []
    for value, text in y.ticks:
        marks.append(tag("line", x1="0%", x2="100%", y1=down(value), y2=down(value), class_="grid"))
        marks.append(tag("text", text, x=0, dx=-8, y=down(value), dy=4, text_anchor="end"))
    for value, text in x.ticks:
        marks.append(tag("text", text, x=across(value), y=height, dy=18, text_anchor="middle"))
    marks += [tag("line", tag("title", line.tip), x1=across(line.start[0]), y1=down(line.start[1]),
                  x2=across(line.stop[0]), y2=down(line.stop[1]), class_=f"curve {line.style}") for line in lines]
    for point, dy in zip(points, _label_shifts(x, y, points, height), strict=True):
        beyond = point.x > 0.6 * x.end
        marks.append(tag("circle", tag("title", point.tip), cx=across(point.x), cy=down(point.y), r=5,
                         class_=f"point {point.style}"))
        marks.append(tag("text", visible(point.label, 32), x=across(point.x), y=down(point.y), dy=dy,
                         dx=-10 if beyond else 10, text_anchor="end" if beyond else "start", class_="point-label"))
    drawing = tag("svg", *marks, width="100%", height=height, role="img", aria_label=f"{y.title} against {x.title}")
    return tag("div", tag("span", y.title, class_="axis-y"), tag("div", drawing, class_="plane"),
               tag("span", x.title, class_="axis-x"), class_="chart")


def _label_shifts(x: Axis, y: Axis, points: Sequence[Point], height: int) -> list[float]:
    """How far below its point each label goes, so that labels of neighbours do not cover each other."""
    shifts, taken = [4.0] * len(points), []
    for index in sorted(range(len(points)), key=lambda i: -points[i].y):
        middle = height * (1 - points[index].y / y.end)
        near = [bottom for at, bottom in taken if abs(at - points[index].x) < 0.2 * x.end]
        shifts[index] = max([4.0] + [bottom + LABEL_HEIGHT - middle for bottom in near])
        taken.append((points[index].x, middle + shifts[index]))
    return shifts
