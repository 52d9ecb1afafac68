"""Tables as data: the same columns, definitions and digits in every view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from neuromorphic.energy import Baseline, ShiftmaxCost, baselines
from neuromorphic.energy.bill import CLASSES, MEANING, Bill
from neuromorphic.ledger import Touch

from . import facts, text
from .record import Entry, Report


@dataclass(frozen=True)
class Column:
    """A heading, what stands below it, and whether that is a number."""

    heading: str
    definition: str
    number: bool = True


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number behind it by which a table may be sorted."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """Columns and rows of cells. highlight: index of the row that the headline speaks of."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    highlight: int | None = None


def summary(report: Report, names: Mapping[str, str] = MappingProxyType({})) -> Table:
    """One row for each model: the table that the report exists for. names: what headings call a profile, if not so."""
    called = {p.name: names.get(p.name, p.name) for p in report.profiles}
    units = {p.name: _unit(report, p.name) for p in report.profiles}
    base = report.baseline
    columns = [
        Column("model", "the label given to the model; its own name is in the layer tables", number=False),
        Column("accuracy", "share of the offered samples classified right, or the figure given with the model"),
        Column("parameters", "trainable numbers of the model, norms included"),
        Column("T", "time steps for one sample"),
        Column("firing rate", "emissions of either sign per neuron and time step, mean over all neuron layers"),
        Column("ρT", "accumulates per multiply-accumulate that the same products would need once as an ANN "
                     "(firing rate × T, weighted by fan-out)"),
        *(Column(f"energy, {called[p.name]} [{units[p.name][0]}]",
                 f"theoretical energy of every counted operation per sample, prices of {p.title}")
          for p in report.profiles),
        *(Column(f"ratio, {called[p.name]}",
                 f"energy divided by that of {base.label} under the same prices") for p in report.profiles if base),
        *(Column(f"vs dense self, {called[p.name]}",
                 "energy divided by that of the model's own products, run once as a dense ANN")
          for p in report.profiles if not base),
        Column("coverage", "counted share of the elements given by operations that are not free"),
    ]
    return Table(tuple(columns), tuple(_summary_row(report, entry, units) for entry in report.entries), highlight=0)


def _unit(report: Report, profile: str) -> tuple[str, float]:
    bills = [entry.bill(profile) for entry in report.entries]
    return text.energy_unit(facts.total_pj(bill) for bill in bills if bill)


def _summary_row(report: Report, entry: Entry, units: dict[str, tuple[str, float]]) -> tuple[Cell, ...]:
    rate, driven = facts.firing_rate(entry.ledger), facts.rate_times_steps(entry.ledger)
    cells = [
        Cell(entry.label),
        Cell("not given" if entry.accuracy is None else text.percent(entry.accuracy), entry.accuracy),
        Cell(f"{entry.model.parameters:,}", entry.model.parameters),
        Cell(str(entry.model.timesteps), entry.model.timesteps),
        Cell(text.percent(rate), rate),
        Cell(text.NOTHING if driven is None else text.significant(driven), driven),
    ]
    for name, (_, size) in units.items():
        bill = entry.bill(name)
        cells.append(_energy_cell(bill, size) if bill else Cell(text.NOTHING))
    for name in units:
        bill = entry.bill(name)
        own = bill.ratio if bill else None
        shown = facts.ratio_to_baseline(report, entry, name) if report.baseline else own
        sign = facts.ratio_sign(report, bill) if bill and shown is not None else ""
        cells.append(Cell(sign + text.ratio(shown), shown))
    fraction = entry.ledger.coverage.fraction
    cells.append(Cell(text.percent(fraction, 2 if fraction < 1 else 0), fraction))
    return tuple(cells)


def _energy_cell(bill: Bill, size: float) -> Cell:
    value = facts.total_pj(bill) / size
    return Cell(facts.bound(bill) + text.significant(value), value)


def layers(entry: Entry, only: str | None = None) -> Table:
    """One row for each layer: what ran per sample, and what it costs under every profile, or only this one."""
    classes = [name for name in CLASSES if any(line.operation == name and line.count for line in entry.bills[0].lines)]
    bills = [bill for bill in entry.bills if only in (None, bill.profile.name)]
    sizes = {bill.profile.name: text.energy_unit(pj * facts.PJ_PER_MJ for pj in bill.by_layer.values())
             for bill in bills}
    columns = (
        Column("layer", "module path", number=False),
        *(Column(name, f"{MEANING[name]}, operations per sample") for name in classes),
        *(Column(f"energy, {name} [{unit}]", "theoretical energy per sample") for name, (unit, _) in sizes.items()),
    )
    counts: dict[tuple[str, str], int] = {}
    for line in entry.bills[0].lines:
        key = line.layer, line.operation
        counts[key] = counts.get(key, 0) + line.count
    rows = []
    for layer in entry.bills[0].by_layer:
        per_sample = [counts.get((layer, name), 0) / entry.ledger.samples for name in classes]
        energies = [bill.by_layer.get(layer, 0.0) * facts.PJ_PER_MJ / sizes[bill.profile.name][1] for bill in bills]
        rows.append((Cell(layer or "(model)"), *(Cell(text.count(n) if n else text.NOTHING, n) for n in per_sample),
                     *(Cell(text.significant(value), value) for value in energies)))
    return Table(columns, tuple(rows))


def dense_baselines(report: Report) -> Table | None:
    """What the layers of each spiking model would need as a dense ANN, at several precisions; None without one."""
    owners = [entry for entry in report.entries if entry.spiking and any(row.dense for row in entry.ledger.rows)]
    rivals = [profile.name for profile in report.profiles if facts.comparable(profile)]
    columns = (
        Column("model", "label", number=False),
        Column("baseline", "all products of the model's own layers, run once; no activation, norm or softmax",
               number=False),
        Column("MAC [pJ]", "price of one multiply-accumulate, 45 nm"),
        Column("energy", "theoretical energy per sample of the baseline"),
        *(Column(f"model ÷ baseline, {name}", f"energy of the model at {name} over that of the baseline; a dash where "
                 "the baseline would be of more bits than the model, which is no fair comparison") for name in rivals),
    )
    rows = tuple(_baseline_row(entry, baseline, rivals) for entry in owners
                 for baseline in baselines(entry.ledger, entry.bills[0].rule.reuse))
    return Table(columns, rows) if rows else None


def _baseline_row(entry: Entry, baseline: Baseline, rivals: list[str]) -> tuple[Cell, ...]:
    pj, price = baseline.total_mj * facts.PJ_PER_MJ, baseline.profile.pj("MAC")
    cells = [Cell(entry.label), Cell(baseline.title), Cell(f"{price:.3g}", price), Cell(text.energy(pj), pj)]
    for name in rivals:
        bill = entry.bill(name)
        fair = bill and price <= bill.profile.pj("MAC")
        ratio = bill.total_mj / baseline.total_mj if fair and baseline.total_mj else None
        cells.append(Cell((facts.bound(bill) if ratio is not None else "") + text.ratio(ratio), ratio))
    return tuple(cells)


def shiftmax(report: Report) -> Table | None:
    """Shiftmax and Score times V apart, shift alone and shift with addition; None where no Shiftmax ran."""
    found = [(entry, bill, cost) for entry in report.entries for bill in entry.bills
             if (cost := facts.shiftmax_cost(bill))]
    columns = (
        Column("model", "label", number=False),
        Column("profile", "prices in use", number=False),
        Column("Shiftmax", "2^x, its row sum, the leading one, and γ − x"),
        Column("Shiftmax, without additions", "its shifts and leading ones alone"),
        Column("Score × V, shift only", "every weighted value is one shift: the accounting of the BSA paper"),
        Column("Score × V, shift + add", "every weighted value is one shift and one addition: what hardware does"),
        Column("share of total", "Shiftmax and Score × V, shift + add, over the total that includes them"),
    )
    rows = tuple(_shiftmax_row(entry, bill, cost) for entry, bill, cost in found)
    return Table(columns, rows) if rows else None


def _shiftmax_row(entry: Entry, bill: Bill, cost: ShiftmaxCost) -> tuple[Cell, ...]:
    both = (cost.score_value_shift_only, cost.score_value_shift_add)
    total = cost.total - bill.score_value_mj * facts.PJ_PER_MJ + (both[1] or 0.0)
    share = (cost.shiftmax + both[1]) / total if both[1] is not None and total else None
    return (
        Cell(entry.label), Cell(bill.profile.name), Cell(text.energy(cost.shiftmax), cost.shiftmax),
        Cell(text.energy(cost.shiftmax_without_adds), cost.shiftmax_without_adds),
        *(Cell(text.NOTHING if value is None else text.energy(value), value) for value in both),
        Cell(text.percent(share), share),
    )


def constants(report: Report, only: str | None = None) -> Table:
    """Every price of every profile, or of only this one, with its source."""
    columns = (
        Column("profile", "name of the price file", number=False),
        Column("operation", "class of operation, or a constant of the energy model", number=False),
        Column("pJ", "price of one operation; a constant names its unit"),
        Column("verified", "the price was read in the named source", number=False),
        Column("source", "where the price comes from", number=False),
    )
    used = {name for entry in report.entries for bill in entry.bills for name in bill.counts}
    rows = []
    for profile in (one for one in report.profiles if only in (None, one.name)):
        for name in sorted(used & set(profile.prices), key=CLASSES.index):
            price = profile.prices[name]
            how = f"{price.source} ({price.strategy})" if price.strategy else price.source
            rows.append((Cell(profile.name), Cell(f"{name}: {MEANING[name]}"), Cell(f"{price.pj:g}", price.pj),
                         Cell("yes" if price.verified else "no"), Cell(how)))
        rows += [(Cell(profile.name), Cell(name), Cell(f"{constant.value:g} {constant.unit}", constant.value),
                  Cell("yes" if constant.verified else "no"), Cell(constant.source))
                 for name, constant in profile.constants.items()]
    return Table(columns, tuple(rows))


def coverage(entry: Entry) -> Table:
    """Every operation that ran and in which of the three lists it is, summed over scopes."""
    columns = (
        Column("operation", "name under which it was executed", number=False),
        Column("status", "counted, free (views, casts, folded norms) or uncovered", number=False),
        Column("calls", "times it ran"),
        Column("elements", "elements that it gave, over all samples"),
        Column("where", "uncovered operations only: the modules in which it ran", number=False),
    )
    rows = []
    for status in ("uncovered", "counted", "free"):
        for op, touches in sorted(_by_op(getattr(entry.ledger.coverage, status)).items()):
            calls, numel = sum(t.calls for t in touches), sum(t.numel for t in touches)
            where = ", ".join(facts.name_of(t) for t in touches) if status == "uncovered" else ""
            rows.append((Cell(op), Cell(status), Cell(f"{calls:,}", calls), Cell(f"{numel:,}", numel), Cell(where)))
    return Table(columns, tuple(rows))


def _by_op(touches: Sequence[Touch]) -> dict[str, list[Touch]]:
    groups: dict[str, list[Touch]] = {}
    for touch in touches:
        groups.setdefault(touch.op, []).append(touch)
    return groups


def unpriced(entry: Entry) -> Table | None:
    """Classes of operation that ran and that a profile has no price for; None where every one has."""
    columns = (
        Column("operation", "class of operation", number=False),
        Column("profile", "the prices that lack it", number=False),
        Column("count", "operations per sample that are not in the total"),
        Column("layers", "number of layers in which it ran"),
    )
    rows = []
    for bill in entry.bills:
        for name, count in bill.unpriced.items():
            where = {line.layer for line in bill.lines if line.operation == name and line.count}
            rows.append((Cell(f"{name}: {MEANING[name]}"), Cell(bill.profile.name),
                         Cell(text.count(count / bill.samples), count / bill.samples),
                         Cell(str(len(where)), len(where))))
    return Table(columns, tuple(rows)) if rows else None


def statistics(report: Report, only: str | None = None) -> Table | None:
    """How sure the means are: spread over samples and the ratio on the same samples; None for a run as a whole.

    Under every profile, or only the one of this name.
    """
    found = [(entry, spread) for entry in report.entries for spread in entry.spreads if only in (None, spread.profile)]
    columns = (
        Column("model", "label", number=False), Column("profile", "prices in use", number=False),
        Column("samples", "traced one by one"), Column("mean", "energy per sample"),
        Column("sd", "standard deviation between samples"),
        Column("95 % interval", "of the mean, by bootstrap over samples", number=False),
        Column("half-width", "half of the interval over the mean; the run has settled below 1 %"),
        Column("settled", "the stopping rule holds", number=False),
        Column("ratio", "to the baseline on the same samples, with its 95 % interval", number=False),
    )
    rows = []
    for entry, spread in found:
        seen, pj = spread.statistics, facts.PJ_PER_MJ
        unit, size = text.energy_unit([seen.mean * pj])
        low, high = (text.significant(end * pj / size) for end in (seen.interval.low, seen.interval.high))
        rows.append((
            Cell(entry.label), Cell(spread.profile), Cell(f"{seen.n:,}", seen.n),
            Cell(text.energy(seen.mean * pj), seen.mean), Cell(text.energy(seen.sd * pj), seen.sd),
            Cell("every sample alike" if spread.constant else f"{low} to {high} {unit}"),
            Cell(text.percent(seen.relative_half_width, 2), seen.relative_half_width),
            Cell("yes" if spread.settled else "no"), Cell(_paired(report, entry, spread.profile)),
        ))  # fmt: skip
    return Table(columns, tuple(rows)) if rows else None


def _paired(report: Report, entry: Entry, profile: str) -> str:
    seen = facts.paired(report, entry, profile)
    if seen is None:
        return text.NOTHING
    low, high = (text.significant(end) for end in (seen.interval.low, seen.interval.high))
    return f"{text.ratio(seen.ratio)} ({low} to {high})"
