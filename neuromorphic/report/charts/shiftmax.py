"""What bipolar attention pays beyond its matrix products: Shiftmax, and its weights times V, with and without the adds.

    Shiftmax     shifts 2^x, additions of the row sum and of gamma - x, leading-one detection
    Score * V    one shift for every weight and value; hardware adds each as well, which the BSA paper leaves out
"""

from collections.abc import Iterator

from markupsafe import Markup

from neuromorphic.energy import Bill, Profile, ShiftmaxCost

from .. import facts, svg, text
from ..record import Entry, Report
from ..table import Cell, Column, Table

STYLES = {"SHIFT": "op-shift", "ADD": "op-add", "LOD": "op-logic", "CMP": "op-logic"}
NAMES = {"SHIFT": "shifts", "ADD": "additions", "LOD": "leading ones", "CMP": "comparisons"}
KEY = (("op-logic", "Shiftmax: leading ones, comparisons"), ("op-shift", "Shiftmax: shifts"),
       ("op-add", "Shiftmax: additions"), ("op-mul", "Score × V: shifts"), ("op-rare", "Score × V: additions"))


def found(report: Report, profile: Profile) -> Iterator[tuple[Entry, Bill, ShiftmaxCost]]:
    """The models in which a Shiftmax ran."""
    for entry in report.entries:
        bill = entry.bill(profile.name)
        cost = facts.shiftmax_cost(bill) if bill else None
        if bill and cost:
            yield entry, bill, cost


def of_shiftmax(bill: Bill) -> dict[str, float]:
    """pJ per sample of Shiftmax alone, by class of operation."""
    parts: dict[str, float] = {}
    for line in bill.lines:
        if line.op == "shiftmax":
            parts[line.operation] = parts.get(line.operation, 0.0) + line.total_pj / bill.samples
    return parts


def draw(report: Report, profile: Profile) -> Markup | None:
    """Two bars for each model: everything, and what is left without the additions; None where no Shiftmax ran."""
    bars = [bar for entry, bill, cost in found(report, profile) for bar in _bars(entry, bill, cost)]
    return svg.stacked_bars(bars, f"Shiftmax and Score × V, {profile.title}", "wide") if bars else None


def _bars(entry: Entry, bill: Bill, cost: ShiftmaxCost) -> Iterator[svg.Bar]:
    own = of_shiftmax(bill)
    shifts = cost.score_value_shift_only or 0.0
    adds = (cost.score_value_shift_add or shifts) - shifts
    for words, kept in (("with the additions", True), ("without the additions", False)):
        parts = [svg.Part(pj, STYLES.get(name, "op-logic"), f"Shiftmax, {NAMES.get(name, name)}: {text.exact(pj)}")
                 for name, pj in own.items() if kept or name != "ADD"]
        parts.append(svg.Part(shifts, "op-mul", f"Score × V, shifts: {text.exact(shifts)}"))
        parts += [svg.Part(adds, "op-rare", f"Score × V, additions: {text.exact(adds)}")] if kept else []
        total = sum(part.value for part in parts)
        share = text.percent(total / cost.total) if cost.total and kept else ""
        yield svg.Bar(entry.label, tuple(parts), text.energy(total) + (f" · {share} of total" if share else ""), words)


def key() -> Markup:
    return svg.legend(KEY)


def numbers(report: Report, profile: Profile) -> Table:
    """Shiftmax and Score times V apart, each with and without its additions."""
    columns = (
        Column("model", "label", number=False),
        Column("Shiftmax", "2^x, its row sum, the leading one, and γ − x"),
        Column("Shiftmax, without additions", "shifts and leading ones only"),
        Column("Score × V, shift + add", "one shift and one addition for every weight and value: what hardware does"),
        Column("Score × V, shift only", "the accounting of the BSA paper"),
        Column("both, with additions", "Shiftmax and Score × V"), Column("both, without", "all additions left out"),
        Column("share of total", "both, with additions, over the total of the model"),
    )
    rows = []
    for entry, bill, cost in found(report, profile):
        own = of_shiftmax(bill)
        bare = cost.shiftmax - own.get("ADD", 0.0)
        only, both = cost.score_value_shift_only or 0.0, cost.score_value_shift_add or 0.0
        values = (cost.shiftmax, bare, both, only, cost.shiftmax + both, bare + only)
        share = (cost.shiftmax + both) / cost.total if cost.total else None
        rows.append((Cell(entry.label), *(Cell(text.energy(value), value) for value in values),
                     Cell(text.percent(share), share)))
    return Table(columns, tuple(rows))
