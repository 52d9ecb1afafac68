"""Energy over that of the own dense ANN against the firing rate times T: one line for each profile, measured points.

    ratio = rho T * E_AC / E_MAC     the arithmetic limit: nothing but accumulates
    even at  rho T = E_MAC / E_AC    5.11 for fp32 at 45 nm

Of many profiles the first ones are drawn, as many as there are colours; the numbers have all.
"""

from markupsafe import Markup

from neuromorphic import energy
from neuromorphic.energy import Bill, Profile

from .. import facts, svg, text
from ..record import Entry, Report
from ..table import Cell, Column, Table
from . import plane
from .plane import Axis, Line, Point, ticks

SERIES = 4  # colours in the style sheet


def _lines(report: Report) -> list[tuple[Profile, float]]:
    return [(profile, limit) for profile in report.profiles if (limit := facts.break_even(profile))]


def _measured(report: Report, lines: list[tuple[Profile, float]]) -> list[tuple[Entry, Bill, float]]:
    priced = {profile.name for profile, _ in lines}
    return [(entry, bill, driven) for entry in report.entries for bill in entry.bills
            if bill.profile.name in priced and bill.ratio is not None
            and (driven := facts.rate_times_steps(entry.ledger)) is not None]


def draw(report: Report) -> Markup | None:
    """The chart; None where no profile prices accumulates or no model is driven by spikes."""
    lines = _lines(report)[:SERIES]
    measured = _measured(report, lines)
    if not lines or not measured:
        return None
    x_end = 1.08 * max([limit for _, limit in lines] + [driven for _, _, driven in measured])
    y_end = 1.15 * max([1.0] + [bill.ratio for _, bill, _ in measured])
    styles = _styles(lines)
    x = Axis("firing rate × T (accumulates per dense multiply-accumulate)", x_end, _written(x_end))
    y = Axis("energy ÷ own dense ANN", y_end, _written(y_end))
    drawn = [Line((0, 1), (x_end, 1), "even", "ratio 1: as expensive as the dense ANN")]
    for profile, limit in lines:
        top, words = min(x_end, y_end * limit), text.significant(limit)
        drawn.append(Line((0, 0), (top, top / limit), styles[profile.name],
                          f"{profile.name}, accumulates only: ratio = ρT ÷ {words}"))
        drawn.append(Line((limit, 0), (limit, 1), f"drop {styles[profile.name]}",
                          f"{profile.name}: break-even at ρT = {words}"))
    alone = len({entry.label for entry, _, _ in measured}) == 1 and len(lines) > 1
    points = [Point(driven, bill.ratio, bill.profile.name if alone else entry.label, styles[bill.profile.name],
                    f"{entry.label}, {bill.profile.name}: ρT = {text.significant(driven)}, ratio "
                    f"{facts.bound(bill)}{text.significant(bill.ratio)}") for entry, bill, driven in measured]
    return plane.draw(x, y, drawn, points)


def _written(end: float) -> tuple[tuple[float, str], ...]:
    return tuple((value, f"{value:g}") for value in ticks(end))


def _styles(lines: list[tuple[Profile, float]]) -> dict[str, str]:
    return {profile.name: f"series-{index}" for index, (profile, _) in enumerate(lines)}


def key(report: Report) -> Markup:
    lines = _lines(report)[:SERIES]
    styles = _styles(lines)
    return svg.legend([(styles[p.name], f"{p.name}: even at ρT = {text.significant(limit)}") for p, limit in lines])


def numbers(report: Report) -> Table:
    """Every measured point beside the closed form that it has to be under."""
    limits = {profile.name: limit for profile, limit in _lines(report)}
    columns = (Column("model", "label", number=False), Column("profile", "prices in use", number=False),
               Column("ρT measured", "accumulates per dense multiply-accumulate"),
               Column("ρT break-even", "E_MAC ÷ E_AC, products only"),
               Column("rate break-even", "the mean firing rate at which accumulates alone cost as much, at the T used"),
               Column("limit ratio", "ρT · E_AC ÷ E_MAC: accumulates only"),
               Column("energy ÷ own dense ANN", "measured: neurons, norms and real-valued inputs included"))
    rows = []
    for entry, bill, driven in _measured(report, _lines(report)):
        limit = limits[bill.profile.name]
        rate = limit / entry.model.timesteps
        rows.append((Cell(entry.label), Cell(bill.profile.name), Cell(text.significant(driven), driven),
                     Cell(text.significant(limit), limit),
                     Cell(text.percent(rate) if rate <= 1 else "above 100 %", rate),
                     Cell(text.ratio(driven / limit), driven / limit),
                     Cell(facts.bound(bill) + text.ratio(bill.ratio), bill.ratio)))
    return Table(columns, tuple(rows))


def with_memory(report: Report) -> Table | None:
    """The closed form where words are fetched from the smallest SRAM of a profile, under named reuses.

        rho T = (E_MAC + operands / ANN reuse) / (E_AC + weight / weight reuse + 2 membrane / membrane reuse)

    None where no profile has a memory or the lead is not driven by spikes.
    """
    lead, driven = report.lead, facts.rate_times_steps(report.lead.ledger)
    stored = [profile for profile, _ in _lines(report) if profile.memory is not None]
    if not stored or driven is None:
        return None
    columns = (Column("profile", "prices in use", number=False),
               Column("words used, each time they are fetched",
                      "by the ANN an operand, by the SNN a weight and a membrane", number=False),
               Column("ρT break-even", "accumulates per dense multiply-accumulate at which both cost the same"),
               Column("rate break-even", "the mean firing rate that this is at the T used"),
               Column("ρT measured", f"of {lead.label}"), Column("verdict", "by these prices", number=False))
    rows = []
    for profile in stored:
        for case, rate in energy.break_even_points(profile, lead.model.timesteps).items():
            even = rate * lead.model.timesteps
            rows.append((Cell(profile.name), Cell(case), Cell(text.significant(even), even),
                         Cell(text.percent(rate) if rate <= 1 else "above 100 %", rate),
                         Cell(text.significant(driven), driven),
                         Cell("spikes are cheaper" if driven < even else "the ANN is cheaper")))
    return Table(columns, tuple(rows))
