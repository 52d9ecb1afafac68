"""Everything that should make a reader doubt a number, each in one sentence that names its place."""

from collections.abc import Iterable

from neuromorphic.energy.bill import Bill
from neuromorphic.energy.statistics import FEWEST
from neuromorphic.ledger import SPIKES, Emission, Ledger, Row, Touch

from . import text
from .record import Entry, Report

SILENT, SATURATED = 0.001, 0.90
DOUBTFUL_SHARE = 0.005  # less than this of a total may rest on unverified prices without a warning
NOT_TRAINED = "not trained"  # how the sentence on training begins where weights are as initialised
PJ_PER_MJ = 1e9


def name_of(record: Emission | Row | Touch) -> str:
    """A scope as a reader sees it: the model itself has the empty path."""
    return record.scope or "(model)"


def warnings(report: Report) -> list[str]:
    """All doubts about a report, model by model."""
    found = [f"{entry.label}: {sentence}" for entry in report.entries for sentence in _about(entry)]
    for profile in report.profiles:
        if not profile.verified:
            found.append(f"Profile {profile.name}: its constants are not verified against their source.")
    return found


def _about(entry: Entry) -> list[str]:
    """Of a twin only that it is untrained, and what its total leaves out: the rest is said of the model itself."""
    if entry.role != "model":
        return [*_training(entry), *_missing(entry)]
    found = ["accuracy not given."] if entry.accuracy is None else []
    return [*found, *_training(entry), *_firing(entry), *_sampling(entry.ledger), *_missing(entry),
            *_loop(entry.ledger), *_first_layer(entry), *_integers(entry), *_prices(entry)]


def _training(entry: Entry) -> list[str]:
    """Untrained, where the caller says so or norms never saw a batch; else unknown, where nobody says anything."""
    norms = entry.fresh_norms if entry.role == "model" else ()
    fresh = [f"{len(norms)} norm(s) never saw a batch: {text.some(norms)}"] if norms else []
    if entry.training is not None and entry.training.startswith(NOT_TRAINED):
        known = [NOT_TRAINED, *fresh]
    elif fresh:
        known = ["training unknown, and none to be seen", *fresh]
    elif entry.training is None:
        if entry.spiking:
            return ["training unknown; an untrained network fires, and costs, as by chance."]
        known = ["training unknown"]
    else:
        return []
    return [f"{'; '.join(known)}; "
            + ("its firing rates and energy are those of the initial weights." if entry.spiking
               else "the counts of its dense products do not depend on its weights.")]


def _firing(entry: Entry) -> list[str]:
    rates = _rates(entry.ledger)
    found = []
    for verb, chosen in (
        ("silent (under 0.1 %)", {name: rate for name, rate in rates.items() if rate < SILENT}),
        ("saturated (over 90 %)", {name: rate for name, rate in rates.items() if rate > SATURATED}),
    ):
        if chosen:
            names = _names(f"{name} at {text.percent(rate, 2)}" for name, rate in chosen.items())
            found.append(f"{len(chosen)} neuron layer(s) {verb}: {names}.")
    return found


def _rates(ledger: Ledger) -> dict[str, float]:
    """Emissions per neuron and step of each layer, over all of its calls: a loop over time may call it T times."""
    emitted: dict[str, list[int]] = {}
    for emission in ledger.emissions:
        sums = emitted.setdefault(name_of(emission), [0, 0])
        sums[0] += sum(emission.positive) + sum(emission.negative)
        sums[1] += emission.numel
    return {name: spikes / updates for name, (spikes, updates) in emitted.items() if updates}


def _sampling(ledger: Ledger) -> list[str]:
    """Sizes that depend on the batch; and few samples, where something depends on them: in a network that spikes."""
    changed = ledger.changed_shapes
    found = [f"{len(changed)} layer(s) did not have the same shape in every batch, so that the mean is over unequal "
             f"work: {text.some(changed)}."] if changed else []
    if not ledger.emissions:
        return found
    if ledger.passes == 1:
        found.append(f"one batch only ({ledger.samples} sample(s)); a firing rate is a mean over the data.")
    elif ledger.samples < FEWEST:
        found.append(f"its firing rates are means over {ledger.samples} samples only; take {FEWEST} or more.")
    return found


def _loop(ledger: Ledger) -> list[str]:
    """A network that steps through time by itself, and whose T nobody gave: all its neurons ran as often as T."""
    calls = {sum(other.scope == emission.scope for other in ledger.emissions) for emission in ledger.emissions}
    if ledger.model.timesteps > 1 or len(calls) != 1 or calls == {1}:
        return []
    n = calls.pop()
    return [f"every neuron layer ran {n} times in a pass, while T = 1 was assumed: if the network loops over time, its "
            f"dense ANN is charged {n} times too. Say timesteps={n}."]


def missing(entry: Entry) -> list[str]:
    """What ran and is not in the totals: operations that nobody has counted, classes without a price."""
    return [f"{entry.label}: {sentence}" for sentence in _missing(entry)]


def _missing(entry: Entry) -> list[str]:
    found = []
    if entry.ledger.coverage.uncovered:
        names = ", ".join(sorted({f"{touch.op} in {name_of(touch)}" for touch in entry.ledger.coverage.uncovered}))
        found.append(f"operations that nobody has counted: {names}; its totals are lower bounds.")
    lacking: dict[str, list[str]] = {}
    for bill in entry.bills:
        classes = ", ".join(f"{name} ({text.count(n / entry.ledger.samples)})" for name, n in bill.unpriced.items())
        lacking.setdefault(classes, []).append(bill.profile.name)
    found += [f"no price for {classes} per sample in {' and '.join(where)}; totals are lower bounds."
              for classes, where in lacking.items() if classes]
    return found


def _first_layer(entry: Entry) -> list[str]:
    """Both accountings of the layers that see the same picture at every step."""
    bill, T = entry.bills[0], entry.model.timesteps
    once = bill.alternatives.get("first_conv=once")
    rows = [row for row in entry.ledger.rows if row.reads_input and row.dense]
    if T == 1 or not rows or once is None or once == bill.total_mj or bill.rule.first_conv != "times_T":
        return []
    names = _names(dict.fromkeys(map(name_of, rows)))
    return [f"{names} reads the same picture at each of {T} steps: charged at every one the total is "
            f"{_energy(bill.total_mj)}, charged once {_energy(once)} ({bill.profile.name})."]


def _integers(entry: Entry) -> list[str]:
    """Sums of spikes (residual streams) that enter a product: multiply-accumulates, or unrolled accumulates."""
    rows = [row for row in entry.ledger.rows if row.dense and _graded(row)]
    if not rows:
        return []
    bill = entry.bills[0]
    names = text.some(dict.fromkeys(f"{name_of(row)} (up to {max(s.largest for s in (row.left, row.right) if s):g})"
                                    for row in rows))
    other = bill.alternatives.get("graded=unit_ac")
    unrolled = f"; unrolled into unit spikes it would be {_energy(other)}" if other is not None else ""
    how = "one multiply-accumulate for each non-zero" if bill.rule.graded == "mac" else "unit accumulates"
    return [f"integers of several levels enter {len(rows)} product(s), charged as {how}: {names}. "
            f"The total is {_energy(bill.total_mj)}{unrolled} ({bill.profile.name})."]


def _graded(row: Row) -> bool:
    """An integer operand with nothing on the other side that would decide the charge: no spikes, no powers of two."""
    kinds = {row.left.kind, row.right.kind if row.right else "real"}
    return "graded" in kinds and not kinds & {*SPIKES, "pow2"}


def _prices(entry: Entry) -> list[str]:
    doubtful = [(bill, sum(bill.unverified.values()) / bill.total_mj) for bill in entry.bills if bill.total_mj]
    shares = [f"{text.percent(share)} under {bill.profile.name} ({', '.join(_unverified(bill))})"
              for bill, share in doubtful if share >= DOUBTFUL_SHARE]
    return [f"part of its energy rests on prices not verified against their source: {'; '.join(shares)}."
            ] if shares else []


def _unverified(bill: Bill) -> list[str]:
    return [name for name, mj in bill.unverified.items() if mj]


def _energy(mj: float) -> str:
    return text.energy(mj * PJ_PER_MJ)


def _names(names: Iterable[str]) -> str:
    return ", ".join(name or "(model)" for name in names)
