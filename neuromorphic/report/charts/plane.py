"""Lines and labelled points over two axes, linear or logarithmic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup

from .. import svg
from ..text import visible

LABEL_HEIGHT = 13


@dataclass(frozen=True)
class Axis:
    """What an axis shows, where it begins and ends, and its ticks with their text."""

    title: str
    end: float
    ticks: tuple[tuple[float, str], ...]
    begin: float = 0.0
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Place of a value between the ends, in [0, 1].

        >>> Axis("", 4.0, ()).at(1.0), Axis("", 100.0, (), begin=1.0, logarithmic=True).at(10.0)
        (0.25, 0.5)
        """
        low, high, x = ((log10(v) for v in (self.begin, self.end, value)) if self.logarithmic
                        else (self.begin, self.end, value))
        return (x - low) / (high - low)


def ticks(end: float, wanted: int = 5, begin: float = 0.0) -> tuple[float, ...]:
    """Round numbers from `begin` to at most `end`, about as many as wanted.

    >>> ticks(5.2), ticks(0.97, begin=0.91)
    ((0.0, 1.0, 2.0, 3.0, 4.0, 5.0), (0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97))
    """
    rough = (end - begin) / wanted
    power = 10.0 ** floor(log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    first = ceil(begin / step - 1e-9)
    return tuple(round(index * step, 12) for index in range(first, floor(end / step + 1e-9) + 1))


def decades(begin: float, end: float) -> tuple[float, ...]:
    """Powers of ten from `begin` to `end`; with 2 and 5 between them where they are few.

    >>> decades(0.5, 30), decades(1, 1e5)
    ((0.5, 1.0, 2.0, 5.0, 10.0, 20.0), (1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0))
    """
    powers = range(floor(log10(begin)), ceil(log10(end)) + 1)
    factors = (1, 2, 5) if log10(end / begin) < 2.5 else (1,)
    found = [float(f"{factor}e{power}") for power in powers for factor in factors]
    return tuple(value for value in found if begin * (1 - 1e-9) <= value <= end * (1 + 1e-9))


@dataclass(frozen=True)
class Line:
    """A straight line from (x0, y0) to (x1, y1), with a tooltip."""

    start: tuple[float, float]
    stop: tuple[float, float]
    style: str
    tip: str


@dataclass(frozen=True)
class Point:
    """A point with its label; `hollow` sets it apart from the others. place: "beside", "above" or "below"."""

    x: float
    y: float
    label: str
    style: str
    tip: str
    hollow: bool = False
    place: str = "beside"


def draw(x: Axis, y: Axis, lines: Sequence[Line], points: Sequence[Point], height: int = 280) -> Markup:
    """The lines, then the points with their labels."""
    def across(value: float) -> str:
        return svg.percent(x.at(value))

    def down(value: float) -> str:
        return f"{height * (1 - y.at(value)):.1f}"

    marks = []
    for value, written in y.ticks:
        marks.append(svg.tag("line", x1="0%", x2="100%", y1=down(value), y2=down(value), class_="grid"))
        marks.append(svg.tag("text", written, x=0, dx=-8, y=down(value), dy=4, class_="end"))
    for value, written in x.ticks:
        marks.append(svg.tag("text", written, x=across(value), y=height, dy=18, class_="middle"))
    for line in lines:
        ends = {"x1": across(line.start[0]), "y1": down(line.start[1]),
                "x2": across(line.stop[0]), "y2": down(line.stop[1])}
        marks.append(svg.tag("line", **ends, class_=f"curve {line.style}"))
        marks.append(svg.tag("line", svg.tag("title", line.tip), **ends, class_="reach"))
    for point, dy in zip(points, _label_shifts(x, y, points, height), strict=True):
        marks.append(svg.tag("circle", svg.tag("title", point.tip), cx=across(point.x), cy=down(point.y), r=5,
                             class_=f"point {point.style}{' hollow' if point.hollow else ''}"))
        beyond = x.at(point.x) > (0.6 if point.place == "beside" else 0.85)
        dx, dy = {"above": (5, -9), "below": (5, 18), "beside": (10, dy)}[point.place]
        marks.append(svg.tag("text", visible(point.label, 26), x=across(point.x), y=down(point.y), dy=f"{dy:.1f}",
                             dx=-dx if beyond else dx, class_="point-label end" if beyond else "point-label"))
    drawing = svg.tag("svg", *marks, width="100%", height=height, role="img",
                      aria_label=f"{y.title} against {x.title}")
    return svg.tag("div", svg.tag("span", y.title, class_="axis-y"), svg.tag("div", drawing, class_="surface"),
                   svg.tag("span", x.title, class_="axis-x"), class_="plane")


def _label_shifts(x: Axis, y: Axis, points: Sequence[Point], height: int) -> list[float]:
    """How far below its point each label goes, so that labels of neighbours do not cover each other."""
    shifts, taken = [4.0] * len(points), []
    for index in sorted(range(len(points)), key=lambda i: -points[i].y):
        across, middle = x.at(points[index].x), height * (1 - y.at(points[index].y))
        near = [bottom for at, bottom in taken if abs(at - across) < 0.3]
        shifts[index] = max([4.0] + [bottom + LABEL_HEIGHT - middle for bottom in near])
        taken.append((across, middle + shifts[index]))
    return shifts
