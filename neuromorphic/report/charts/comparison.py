"""Every model under one profile: a bar each, divided by what the energy goes into, its accuracy beside its name."""

from markupsafe import Markup

from neuromorphic.energy.bill import Bill, Profile

from .. import facts, svg, text
from ..record import Entry, Report
from ..table import Cell, Column, Table
from . import parts


def _bills(report: Report, profile: Profile) -> list[tuple[Entry, Bill]]:
    return [(entry, bill) for entry in report.entries if (bill := entry.bill(profile.name))]


def draw(report: Report, profile: Profile) -> Markup:
    """One bar for each model, on one scale."""
    bars = [_bar(report, entry, bill) for entry, bill in _bills(report, profile)]
    return svg.stacked_bars(bars, f"Energy per sample, {profile.title}", "wide")


def _bar(report: Report, entry: Entry, bill: Bill) -> svg.Bar:
    factor = facts.ratio_to_baseline(report, entry, bill.profile.name)
    beside = "" if factor is None else f" · {facts.ratio_sign(report, bill)}{text.ratio(factor)}"
    return svg.Bar(entry.label, parts.drawn(parts.energies(bill.lines, bill.samples)),
                   f"{facts.bound(bill)}{text.energy(facts.total_pj(bill))}{beside}", _note(entry),
                   emphasis=entry is report.lead)


def _note(entry: Entry) -> str:
    """What the entry is where it is not simply a model, and its accuracy or that nobody gave one."""
    return facts.accuracy(entry) if entry.role == "model" else f"{entry.role} · {facts.accuracy(entry)}"


def numbers(report: Report, profile: Profile) -> Table:
    """One row for each model, one column for each part that costs anything in one of them."""
    found = [(entry, bill, parts.energies(bill.lines, bill.samples)) for entry, bill in _bills(report, profile)]
    used = [style for style in parts.ORDER if any(energies.get(style) for _, _, energies in found)]
    unit, size = text.energy_unit(facts.total_pj(bill) for _, bill, _ in found)
    columns = (Column("model", "label", number=False),
               Column("accuracy", "share of samples classified right, as given with the model"),
               Column(f"total [{unit}]", "energy per sample"),
               *(Column(f"{parts.LEGEND[style]} [{unit}]", "part of the total") for style in used))
    rows = tuple((Cell(entry.label), Cell("not given" if entry.accuracy is None else text.percent(entry.accuracy),
                                          entry.accuracy),
                  _amount(facts.total_pj(bill) / size, facts.bound(bill)),
                  *(_amount(energies.get(style, 0.0) / size) for style in used)) for entry, bill, energies in found)
    return Table(columns, rows)


def _amount(value: float, sign: str = "") -> Cell:
    return Cell(sign + text.significant(value), value)
