"""What follows from a report: the headline, ratios, the break-even point, Shiftmax's share, the warnings."""

from collections.abc import Iterable
from dataclasses import dataclass

from neuromorphic import energy
from neuromorphic.energy.bill import Bill, Profile
from neuromorphic.energy.sensitivity import Variation
from neuromorphic.ledger import Emission, Ledger, Row, Touch

from . import text
from .record import Entry, Report

PJ_PER_MJ = 1e9
SILENT, SATURATED = 0.01, 0.90
DOUBTFUL_SHARE = 0.005  # less than this of a total may rest on unverified prices without a warning
DISCLAIMER = "Theoretical arithmetic energy, not measured joules."
FIXED = "horowitz45_fp32"  # the profile of the headline that every report states


def with_memory(profiles: Iterable[Profile]) -> list[str]:
    """Names of the profiles whose energy model prices memory, or whole synapses, and not arithmetic alone."""
    return [profile.name for profile in profiles if profile.model != "operations"]


def disclaimer(profiles: Iterable[Profile]) -> str:
    """What the energies are, in a sentence that holds for all of these profiles."""
    profiles = list(profiles)
    memory = with_memory(profiles)
    if not memory:
        return DISCLAIMER
    if len(memory) == len(profiles):
        return "Theoretical energy of arithmetic and memory, not measured joules."
    return f"Theoretical energy, not measured joules: arithmetic alone, but with memory under {' and '.join(memory)}."


def left_out(profiles: Iterable[Profile]) -> str:
    """What none, or not all, of these profiles price."""
    profiles = list(profiles)
    memory = with_memory(profiles)
    if not memory:
        return "Memory traffic, leakage and control are not in it."
    traffic = "" if len(memory) == len(profiles) else f" Memory traffic is in it only under {' and '.join(memory)}."
    return f"Leakage and control are not in it.{traffic}"


def total_pj(bill: Bill) -> float:
    """Energy per sample."""
    return bill.total_mj * PJ_PER_MJ


def profile_title(bill: Bill) -> str:
    return f"{bill.profile.title} ({bill.profile.name})"


def ratio_to_baseline(report: Report, entry: Entry, profile: str) -> float | None:
    """Energy of the entry over that of the baseline entry under the same profile."""
    baseline = report.baseline.bill(profile) if report.baseline else None
    bill = entry.bill(profile)
    return bill.total_mj / baseline.total_mj if bill and baseline and baseline.total_mj else None


def firing_rate(ledger: Ledger) -> float | None:
    """Emissions per neuron and step over all neuron layers; None for a network without spikes."""
    updates = sum(emission.numel for emission in ledger.emissions)
    emitted = sum(sum(emission.positive) + sum(emission.negative) for emission in ledger.emissions)
    return emitted / updates if updates else None


def rate_times_steps(ledger: Ledger) -> float | None:
    """Accumulates per dense multiply-accumulate of one step: the firing rate x T that the energy sees.

    None where no product is driven by spikes.
    """
    return ledger.model.timesteps * energy.firing(ledger) or None


def break_even(profile: Profile) -> float | None:
    """rho T at which accumulates cost as much as multiply-accumulates; None where they are not the whole price."""
    arithmetic = profile.model == "operations" and profile.pj("MAC") and profile.pj("AC")
    return energy.break_even(profile) if arithmetic else None


@dataclass(frozen=True)
class ShiftmaxCost:
    """pJ per sample of Shiftmax and of the product of its power-of-two weights with V, by both accountings."""

    shiftmax: float
    score_value_shift_only: float | None
    score_value_shift_add: float | None
    total: float


def shiftmax_cost(bill: Bill) -> ShiftmaxCost | None:
    """What bipolar attention pays beyond the matrix products; None where no Shiftmax ran."""
    if not bill.shiftmax_mj and not bill.score_value_mj:
        return None
    here = bill.score_value_mj * PJ_PER_MJ
    accounted = bill.rule.shift_accounting
    other = "shift_add" if accounted == "shift_only" else "shift_only"
    total = bill.alternatives.get(f"shift_accounting={other}")
    there = None if total is None else here + (total - bill.total_mj) * PJ_PER_MJ
    both = {accounted: here, other: there}
    return ShiftmaxCost(bill.shiftmax_mj * PJ_PER_MJ, both["shift_only"], both["shift_add"], total_pj(bill))


def comparable(profile: Profile) -> bool:
    """Arithmetic at 45 nm, as the baselines are priced."""
    return profile.model == "operations" and profile.node_nm == 45 and profile.pj("MAC") is not None


def bound(bill: Bill) -> str:
    """The sign that goes before a total in which something is missing."""
    return "≥ " if bill.lower_bound else ""


def ratio_sign(report: Report, bill: Bill) -> str:
    """The sign before a ratio to the baseline: which side of it the truth lies on when a total is a lower bound."""
    baseline = report.baseline.bill(bill.profile.name) if report.baseline else None
    if baseline is None:
        return bound(bill)
    if bill.ledger == baseline.ledger:
        return ""
    return {(False, False): "", (True, False): "≥ ", (False, True): "≤ ", (True, True): "≈ "}[
        bill.lower_bound, baseline.lower_bound]


def headline(report: Report) -> str:
    """One sentence: energy of the first model against the baseline, under every profile, with both accuracies."""
    lead, base = _lead_and_base(report)
    clauses = [_clause(report, lead, base, bill) for bill in lead.bills]
    if base:
        what = "energy" if with_memory(bill.profile for bill in lead.bills) else "arithmetic energy"
        clauses[0] = clauses[0].replace(" times ", f" times the {what} of {base.label} ", 1)
    known = f"{text.percent(lead.accuracy)} accuracy" if lead.accuracy is not None else "accuracy not given"
    if base and base.accuracy is not None:
        known += f" against {text.percent(base.accuracy)}"
    return f"{lead.label} needs {', and '.join(clauses)}; {known}."


def _lead_and_base(report: Report) -> tuple[Entry, Entry | None]:
    """The model that the report is about, and what it is compared with, if anything."""
    lead = next((entry for entry in report.entries if entry is not report.baseline), report.entries[0])
    return lead, report.baseline if report.baseline is not lead else None


def _clause(report: Report, lead: Entry, base: Entry | None, bill: Bill) -> str:
    own = f"{bound(bill)}{text.energy(total_pj(bill))} per sample"
    factor = ratio_to_baseline(report, lead, bill.profile.name)
    if base is None or factor is None:
        return f"{own} at {bill.profile.title}"
    other = base.bill(bill.profile.name)
    times = f"{ratio_sign(report, bill)}{text.significant(factor)} times"
    return f"{times} ({own} against {bound(other)}{text.energy(total_pj(other))}) at {bill.profile.title}"


@dataclass(frozen=True)
class Under:
    """The first model under one verified profile: pJ per sample, and the ratio where the profile prices both sides."""

    profile: Profile
    total_pj: float
    ratio: float | None
    lower_bound: bool


def under_verified(report: Report) -> tuple[Under, ...]:
    """The first model under every verified profile by the headline's rule, whatever profiles the report shows.

    The ratio is to the baseline entry, else to the model's own products as a dense ANN. A ledger without the sizes
    that a profile's formulas need (a table, an older version) is left out under that profile.
    """
    lead, base = _lead_and_counted_base(report)
    found = []
    for profile in map(energy.load_profile, energy.profiles()):
        own = _priced(lead.ledger, profile) if profile.verified else None
        if own is None:
            continue
        rival = _priced(base.ledger, profile) if base else None
        other = own.ann_mj if base is None else rival.total_mj if rival else None
        ratio = own.total_mj / other if other and profile.pj("MAC") else None
        found.append(Under(profile, own.total_mj * PJ_PER_MJ, ratio, own.lower_bound))
    return tuple(found)


def _lead_and_counted_base(report: Report) -> tuple[Entry, Entry | None]:
    """The baseline only where its operations were counted, and not given as a table."""
    lead, base = _lead_and_base(report)
    return lead, base if base and base.ledger.rows else None


def _priced(ledger: Ledger, profile: Profile) -> Variation | None:
    try:
        return energy.vary_profile(ledger, names=[profile.name])[0] if ledger.rows else None
    except ValueError:
        return None


def interval(report: Report) -> str | None:
    """One sentence: the fixed headline, and how far the energy and the ratio spread over all verified profiles."""
    found = under_verified(report)
    fixed = next((one for one in found if one.profile.name == FIXED), None)
    if fixed is None:
        return None
    lead, base = _lead_and_counted_base(report)
    against = base.label if base else "its own products as a dense ANN"
    sentence = (f"{lead.label} at {fixed.profile.title}: {_amount(fixed)}{_times(fixed, against)}; over all "
                f"{len(found)} verified profiles, memory-aware ones included: "
                f"{' to '.join(f'{_amount(end)} ({end.profile.name})' for end in _ends(found, 'total_pj'))}")
    if any(one.ratio is not None for one in found):
        ends = _ends([one for one in found if one.ratio is not None], "ratio")
        sentence += f", {' to '.join(f'{text.significant(end.ratio)} ({end.profile.name})' for end in ends)} times"
    bounds = [one.profile.name for one in found if one.lower_bound]
    return sentence + (f"; lower bounds under {', '.join(bounds)}." if bounds else ".")


def _ends(found: Iterable[Under], value: str) -> tuple[Under, Under]:
    ordered = sorted(found, key=lambda one: getattr(one, value))
    return ordered[0], ordered[-1]


def _amount(one: Under) -> str:
    return f"{'≥ ' if one.lower_bound else ''}{text.energy(one.total_pj)}"


def _times(one: Under, against: str) -> str:
    return "" if one.ratio is None else f", {text.significant(one.ratio)} times {against}"


def name_of(record: Emission | Row | Touch) -> str:
    """A scope as a reader sees it: the model itself has the empty path."""
    return record.scope or "(model)"


RULES = {
    "spike_spike": ("Product of two spike tensors", {
        "one_sided": "the smaller of the two one-sided counts",
        "coincidence": "the terms in which both fire",
        "dense": "every term",
    }),
    "graded": ("Integer of several levels × weight", {
        "mac": "one multiply-accumulate for each non-zero",
        "unit_ac": "as many accumulates as it has levels",
    }),
    "first_conv": ("Layers that read the input", {
        "times_T": "charged at every time step",
        "once": "charged once where the input repeats",
    }),
    "shift_accounting": ("Power of two × value", {
        "shift_add": "one shift and one addition",
        "shift_only": "one shift",
    }),
    "taps": ("Convolution terms", {"valid": "on real pixels only", "padded": "on padding too"}),
    "row_maximum": ("Row maximum before Shiftmax", {False: "not subtracted", True: "found and subtracted"}),
}  # fmt: skip


def rules(report: Report) -> list[tuple[str, str]]:
    """The accounting that turned evidence into operations, in words."""
    used = {bill.rule for entry in report.entries for bill in entry.bills}
    return [(title, " or ".join(words[value] for value in words if value in {getattr(rule, name) for rule in used}))
            for name, (title, words) in RULES.items()]


def warnings(report: Report) -> list[str]:
    """Everything that should make a reader doubt a number, each in one sentence that names its place."""
    found = [sentence for entry in report.entries for sentence in _entry_warnings(entry)]
    for profile in report.profiles:
        if not profile.verified:
            found.append(f"Profile {profile.name}: its constants are not verified against their source.")
    return found


def _entry_warnings(entry: Entry) -> list[str]:
    found = []
    if entry.accuracy is None:
        found.append(f"{entry.label}: accuracy not given.")
    if entry.training is None:
        found.append(f"{entry.label}: training unknown; an untrained network fires, and costs, as by chance.")
    for verb, chosen in (
        ("silent (under 1 %)", [e for e in entry.ledger.emissions if e.rate < SILENT]),
        ("saturated (over 90 %)", [e for e in entry.ledger.emissions if e.rate > SATURATED]),
    ):
        if chosen:
            names = ", ".join(f"{name_of(e)} at {text.percent(e.rate, 2)}" for e in chosen)
            found.append(f"{entry.label}: {len(chosen)} neuron layer(s) {verb}: {names}.")
    return found + missing(entry) + _price_warnings(entry)


def missing(entry: Entry) -> list[str]:
    """What ran and is not in the totals: operations that nobody has counted, classes without a price."""
    found = []
    if entry.ledger.coverage.uncovered:
        names = ", ".join(sorted({touch.op for touch in entry.ledger.coverage.uncovered}))
        found.append(f"{entry.label}: operations that nobody has counted: {names}; its totals are lower bounds.")
    for name in {name: None for bill in entry.bills for name in bill.unpriced}:
        lacking = [bill for bill in entry.bills if name in bill.unpriced]
        often = text.count(lacking[0].unpriced[name] / entry.ledger.samples)
        where = " and ".join(bill.profile.name for bill in lacking)
        found.append(f"{entry.label}: no price for {name} ({often} per sample) in {where}; totals are lower bounds.")
    return found


def _price_warnings(entry: Entry) -> list[str]:
    found = []
    doubtful = [(bill, sum(bill.unverified.values()) / bill.total_mj) for bill in entry.bills if bill.total_mj]
    shares = [f"{text.percent(share)} under {bill.profile.name} ({', '.join(bill.unverified)})"
              for bill, share in doubtful if share >= DOUBTFUL_SHARE]
    if shares:
        found.append(f"{entry.label}: part of its energy rests on prices not verified against their source: "
                     f"{'; '.join(shares)}.")
    return found
