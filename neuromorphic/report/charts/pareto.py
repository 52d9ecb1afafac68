"""Accuracy against energy under one profile: who is beaten in both, and who is not."""

from markupsafe import Markup

from neuromorphic.energy.bill import Bill, Profile

from .. import facts, text
from ..record import Entry, Report
from ..table import Cell, Column, Table
from . import plane
from .plane import Axis, Line, Point, decades, ticks


def _known(report: Report, profile: Profile) -> list[tuple[Entry, Bill]]:
    return [(entry, bill) for entry in report.entries
            if entry.accuracy is not None and (bill := entry.bill(profile.name)) and bill.total_mj > 0]


def frontier(report: Report, profile: Profile) -> list[Entry]:
    """Models that no other beats in one of energy and accuracy without losing in the other, cheapest first."""
    found: list[Entry] = []
    for entry, _ in sorted(_known(report, profile), key=lambda pair: (pair[1].total_mj, -pair[0].accuracy)):
        if not found or entry.accuracy > found[-1].accuracy:
            found.append(entry)
    return found


def draw(report: Report, profile: Profile) -> Markup | None:
    """The plot; None with fewer than two models of known accuracy."""
    known = _known(report, profile)
    if len(known) < 2:
        return None
    energies = [facts.total_pj(bill) for _, bill in known]
    accuracies = [100 * entry.accuracy for entry, _ in known]
    unit, size = text.energy_unit(energies)
    x_begin, x_end = min(energies) / size / 1.6, max(energies) / size * 1.6
    margin = max(0.5, 0.25 * (max(accuracies) - min(accuracies)))
    y_begin, y_end = max(0.0, min(accuracies) - margin), min(100.0, max(accuracies) + margin)
    x = Axis(f"energy per sample [{unit}], logarithmic", x_end,
             tuple((v, f"{v:g}") for v in decades(x_begin, x_end)), x_begin, logarithmic=True)
    y = Axis("accuracy [%]", y_end, tuple((v, f"{v:g}") for v in ticks(y_end, begin=y_begin)), y_begin)
    best = frontier(report, profile)
    places = {entry.label: (facts.total_pj(bill) / size, 100 * entry.accuracy) for entry, bill in known}
    sides = _sides([(x.at(places[entry.label][0]), y.at(places[entry.label][1])) for entry, _ in known])
    points = [Point(*places[entry.label], entry.label, "series-0" if entry in best else "series-1",
                    f"{entry.label}: {facts.bound(bill)}{text.exact(facts.total_pj(bill))}, "
                    f"{text.percent(entry.accuracy, 2)} accuracy{'' if entry in best else ', beaten in both'}",
                    hollow=entry not in best, place=side) for (entry, bill), side in zip(known, sides, strict=True)]
    return plane.draw(x, y, list(_stairs([places[entry.label] for entry in best], x_end)), points)


def _sides(spots: list[tuple[float, float]]) -> list[str]:
    """Labels above their points, and below where the label of a near one is above."""
    sides: dict[int, str] = {}
    for index in sorted(range(len(spots)), key=lambda i: spots[i]):
        near = [other for other in sides if abs(spots[other][0] - spots[index][0]) < 0.2
                and abs(spots[other][1] - spots[index][1]) < 0.15]
        sides[index] = "below" if any(sides[other] == "above" for other in near) else "above"
    return [sides[index] for index in range(len(spots))]


def _stairs(places: list[tuple[float, float]], end: float):
    """The best accuracy to be had for an energy: level until the next model of the frontier, then up."""
    words = "best accuracy for the energy"
    for (here, level), (there, up) in zip(places, [*places[1:], (end, places[-1][1])], strict=True):
        yield Line((here, level), (there, level), "series-0 thin", words)
        yield Line((there, level), (there, up), "series-0 thin", words)


def numbers(report: Report, profile: Profile) -> Table:
    """Every model with its energy and accuracy, those without one included."""
    best = frontier(report, profile)
    columns = (Column("model", "label", number=False), Column("accuracy", "share classified right"),
               Column("energy", "per sample"), Column("frontier", "no other model is better in both", number=False))
    rows = []
    for entry in report.entries:
        bill = entry.bill(profile.name)
        if bill is None:
            continue
        accuracy = "not given" if entry.accuracy is None else text.percent(entry.accuracy, 2)
        place = "not placed" if entry.accuracy is None else "yes" if entry in best else "no"
        rows.append((Cell(entry.label), Cell(accuracy, entry.accuracy),
                     Cell(facts.bound(bill) + text.energy(facts.total_pj(bill)), facts.total_pj(bill)), Cell(place)))
    return Table(columns, tuple(rows))
