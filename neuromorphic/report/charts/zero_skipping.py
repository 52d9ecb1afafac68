"""How much of its activations an ANN would have to skip to cost no more than the spikes.

    E_ann(z) = biases + (1 - z) * E_MAC * products      z: share of the products skipped, their activation being zero
                                                        arithmetic alone, on either side
    even at    z = (E_ann(0) - E_snn) / (E_ann(0) - E_ann(1))

The falling lines are the model's own layers as a dense ANN, and say nothing about any network; a network that was
measured is a point.
"""

from collections.abc import Iterator

from markupsafe import Markup

from neuromorphic import energy
from neuromorphic.energy import Baseline, Bill, Profile, ZeroSkipping, baselines

from .. import facts, svg, text
from ..record import Entry, Report
from ..table import Cell, Column, Table
from . import plane
from .plane import Axis, Line, Point

SERIES = 4  # colours in the style sheet
MEASURED = "zero-skipping ann"


def _rivals(entry: Entry, profile: Profile) -> list[Baseline]:
    """Dense ANNs of no more bits than the prices of the profile: others would be no fair comparison."""
    if not (entry.spiking and facts.comparable(profile)):
        return []
    limit = profile.pj("MAC")
    return [one for one in baselines(entry.ledger) if one.total_mj > 0 and one.profile.pj("MAC") <= limit]


def _own(bill: Bill) -> float:
    """mJ of the model without memory, which nobody has worked out for an ANN that skips."""
    return bill.total_mj - bill.by_part.get("memory", 0.0)


def _ends(entry: Entry, one: Baseline) -> tuple[float, float]:
    """mJ with every product and with none."""
    none, every = energy.zero_skipping_curve(entry.ledger, one.profile, (0.0, 1.0))
    return every.total_mj, none.total_mj


def _even(entry: Entry, one: Baseline, own_mj: float) -> float | None:
    """Share of zeros at which the ANN costs as much; None where it never does."""
    every, none = _ends(entry, one)
    share = (every - own_mj) / (every - none)
    return share if 0 < share <= 1 else None


def measured(report: Report, profile: Profile) -> Iterator[tuple[Entry, ZeroSkipping]]:
    """The ANNs that were given for comparison and ran."""
    for entry in report.entries:
        if entry.role == MEASURED and facts.comparable(profile):
            try:
                yield entry, energy.zero_skipping(entry.ledger, profile)
            except ValueError:  # no product of real values
                continue


def subject(report: Report, profile: Profile) -> tuple[Entry, Bill] | None:
    """The first spiking model that has products and a comparable price."""
    return next(((entry, bill) for entry in report.entries
                 if (bill := entry.bill(profile.name)) and bill.total_mj > 0 and _rivals(entry, profile)), None)


def draw(report: Report, profile: Profile) -> Markup | None:
    """One falling line for each precision, the model's own energy across them, and what was measured."""
    chosen = subject(report, profile)
    if chosen is None:
        return None
    entry, bill = chosen
    rivals, ran = _rivals(entry, profile), list(measured(report, profile))
    highest = max([_own(bill), *(one.total_mj for one in rivals), *(seen.dense_mj for _, seen in ran)])
    unit, size = text.energy_unit([highest * facts.PJ_PER_MJ])
    size /= facts.PJ_PER_MJ  # of the unit, in mJ
    end, own = 1.08 * highest / size, _own(bill) / size
    x = Axis("share of products skipped because the activation is zero [%]", 100.0,
             tuple((v, f"{v:g}") for v in plane.ticks(100.0)))
    y = Axis(f"arithmetic energy per sample [{unit}]", end, tuple((v, f"{v:g}") for v in plane.ticks(end)))
    lines = [Line((0, own), (100, own), "even", f"{entry.label}: {facts.bound(bill)}{text.significant(own, 6)} {unit}")]
    points = []
    for index, one in enumerate(rivals):
        every, none = (mj / size for mj in _ends(entry, one))
        lines.append(Line((0, every), (100, none), f"series-{index % SERIES}",
                          f"{one.name}: {text.significant(every, 6)} {unit} without skipping"))
        if even := _even(entry, one, _own(bill)):
            points.append(Point(100 * even, own, f"{one.name}: {text.percent(even)}", f"series-{index % SERIES}",
                                f"{one.name} ANN costs as much as {entry.label} at {text.percent(even)} zeros",
                                hollow=True, place="above"))
    points += [Point(100 * (1 - seen.density), seen.skipped_mj / size, f"{other.label}, measured", "series-0",
                     f"{other.label}: {text.percent(1 - seen.density)} of its products skipped, "
                     f"{text.significant(seen.skipped_mj / size, 6)} {unit} instead of "
                     f"{text.significant(seen.dense_mj / size, 6)} {unit}", place="above") for other, seen in ran]
    return plane.draw(x, y, lines, points, height=240)


def key(report: Report, profile: Profile) -> Markup:
    chosen = subject(report, profile)
    rivals = _rivals(chosen[0], profile) if chosen else []
    return svg.legend([(f"series-{index % SERIES}", f"dense ANN, {one.name}"
                        f"{'' if one.profile.verified else ' (prices ours, not verified)'}")
                       for index, one in enumerate(rivals)])


def words(report: Report) -> str:
    """What was measured, if anything was."""
    found = {entry.label: seen for profile in report.profiles for entry, seen in measured(report, profile)}
    if not found:
        return "How many zeros an ANN in its place would have was not measured; one can be given to be counted."
    return " ".join(f"In {label}, {text.percent(1 - seen.density)} of the products had a zero activation."
                    for label, seen in found.items())


def numbers(report: Report, profile: Profile) -> Table:
    """Every spiking model against every precision, and what was measured."""
    columns = (Column("model", "label", number=False), Column("ANN", "precision, or network", number=False),
               Column("ANN energy", "no zero skipped"), Column("zeros skipped", "energy after it, where measured"),
               Column("model energy", "per sample, arithmetic alone"),
               Column("even at zeros", "share of zero activations from which on the ANN is cheaper", number=False))
    rows = []
    for entry in report.entries:
        bill = entry.bill(profile.name)
        for one in _rivals(entry, profile) if bill else []:
            even = _even(entry, one, _own(bill))
            cheaper = "ANN is cheaper without skipping" if one.total_mj < _own(bill) else "never"
            rows.append((Cell(entry.label), Cell(f"own layers, {one.name}"),
                         Cell(text.energy(one.total_mj * facts.PJ_PER_MJ), one.total_mj), Cell(text.NOTHING),
                         Cell(facts.bound(bill) + text.energy(_own(bill) * facts.PJ_PER_MJ), _own(bill)),
                         Cell(cheaper if even is None else text.percent(even))))
    for entry, seen in measured(report, profile):
        rows.append((Cell(entry.twin_of or text.NOTHING), Cell(f"{entry.label}, measured"),
                     Cell(text.energy(seen.dense_mj * facts.PJ_PER_MJ), seen.dense_mj),
                     Cell(f"{text.energy(seen.skipped_mj * facts.PJ_PER_MJ)} at {text.percent(1 - seen.density)}",
                          seen.skipped_mj), Cell(text.NOTHING), Cell(text.NOTHING)))
    return Table(columns, tuple(rows))
