"""What follows from a report: the headline, ratios, the break-even point, Shiftmax's share, the warnings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neuromorphic import energy
from neuromorphic.energy.bill import Bill, Profile
from neuromorphic.energy.interval import HEADLINE_PROFILE, Setting
from neuromorphic.energy.shiftmax import ShiftmaxCost, shiftmax_cost
from neuromorphic.ledger import Ledger

from . import text
from .doubts import missing, name_of, warnings
from .record import Entry, Report
from .spread import paired, statistics

PJ_PER_MJ, PJ_PER_J = 1e9, 1e12
__all__ = [  # what this module says itself, and what it takes from its neighbours for the views
    "ShiftmaxCost", "accuracy", "bound", "break_even", "disclaimer", "firing_rate", "headline", "interval", "left_out",
    "measured",
    "missing", "name_of", "paired", "provenance", "rate_times_steps", "ratio_sign", "ratio_to_baseline", "rules",
    "shiftmax_cost", "skipped", "statistics", "under_verified", "warnings", "zero_skipping",
]
DISCLAIMER = "Theoretical arithmetic energy, not measured joules."
FIXED = HEADLINE_PROFILE  # the profile of the headline that every report states


Priced = Bill | Profile  # a bill, or a profile where only the prices are known


def _memories(priced: Iterable[Priced]) -> dict[str, bool]:
    """For each profile by name: whether memory, or whole synapses, are in the energy and not arithmetic alone."""
    found: dict[str, bool] = {}
    for one in priced:
        profile, reuse = (one, None) if isinstance(one, Profile) else (one.profile, one.rule.reuse)
        found[profile.name] = found.get(profile.name, False) or profile.model != "operations" or reuse is not None
    return found


def with_memory(priced: Iterable[Priced]) -> list[str]:
    """Names of the profiles under which memory, or whole synapses, are in the energy and not arithmetic alone."""
    return [name for name, memory in _memories(priced).items() if memory]


def disclaimer(priced: Iterable[Priced]) -> str:
    """What the energies are, in a sentence that holds for all of these bills."""
    found = _memories(priced)
    memory = [name for name in found if found[name]]
    if not memory:
        return DISCLAIMER
    if len(memory) == len(found):
        return "Theoretical energy of arithmetic and memory, not measured joules."
    return f"Theoretical energy, not measured joules: arithmetic alone, but with memory under {' and '.join(memory)}."


def left_out(priced: Iterable[Priced]) -> str:
    """What none, or not all, of these bills price."""
    found = _memories(priced)
    memory = [name for name in found if found[name]]
    if not memory:
        return "Memory traffic, leakage and control are not in it."
    traffic = "" if len(memory) == len(found) else f" Memory traffic is in it only under {' and '.join(memory)}."
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


def accuracy(entry: Entry) -> str:
    """The accuracy at the same checkpoint, resolution and T as the energy, or that there is none."""
    if entry.accuracy is None:
        return "accuracy not given"
    of = f" on {entry.accuracy_samples:,} samples" if entry.accuracy_samples else ""
    return f"{text.percent(entry.accuracy)} accuracy{of}"


def headline(report: Report) -> str:
    """One sentence: energy of the first model against the baseline, with both accuracies.

    Under every profile of two; of more only the lowest and the highest energy at verified prices, and of how many.
    """
    lead, base = report.lead, report.rival
    clauses = [_clause(report, lead, base, bill) for bill in _ends(lead.bills)]
    if base:
        what = "energy" if with_memory(lead.bills) else "arithmetic energy"
        clauses[0] = clauses[0].replace(" times ", f" times the {what} of {base.label} ", 1)
    known = accuracy(lead)
    if base and base.accuracy is not None:
        known += f" against {text.percent(base.accuracy)}"
    sound = _sound(lead.bills)
    many = f", the lowest and the highest of {len(sound)} verified profiles" if len(sound) > len(clauses) else ""
    return f"{lead.label} needs {', and '.join(clauses)}{many}; {known}."


def _sound(bills: Sequence[Bill]) -> Sequence[Bill]:
    """Those at verified prices of hardware that can exist; the first two where there are none."""
    return [bill for bill in bills if bill.profile.verified and bill.profile.physical] or bills[:2]


def _ends(bills: Sequence[Bill]) -> Sequence[Bill]:
    """Both ends of more than two bills; the low one where everything has a price, if there is such a bill."""
    sound = bills if len(bills) <= 2 else _sound(bills)
    if len(sound) <= 2:
        return sound
    whole = [bill for bill in sound if bill.total_mj and not bill.lower_bound] or sound
    return min(whole, key=total_pj), max(sound, key=total_pj)


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
    """The lead under one verified profile: pJ per sample, and the ratio where the profile prices both sides.

    total_pj, ratio: arithmetic alone, or by the profile's own energy model; settings: that, then every reuse model
    with every memory of the same node.
    """

    profile: Profile
    total_pj: float
    ratio: float | None
    lower_bound: bool
    settings: tuple[Setting, ...]


def under_verified(report: Report) -> tuple[Under, ...]:
    """The lead under every verified profile by the headline's rule, whatever profiles the report shows.

    The ratio is to the baseline entry, else to the model's own products as a dense ANN. A ledger without the sizes
    that a profile's formulas need (a table, an older version) is left out under that profile.
    """
    settings = report.span.settings if report.span else ()
    found: dict[str, list[Setting]] = {}
    for one in sorted(settings, key=lambda one: one.reuse is not None):
        found.setdefault(one.profile, []).append(one)
    return tuple(Under(energy.load_profile(name), each[0].total_mj * PJ_PER_MJ, each[0].ratio, each[0].lower_bound,
                       tuple(each)) for name, each in found.items() if each[0].reuse is None)


def interval(report: Report) -> str | None:
    """One sentence: the fixed headline, and how far energy and ratio spread over all verified settings."""
    span = report.span
    if span is None:
        return None
    counted = report.rival and report.rival.counted
    against = report.rival.label if counted else "its own products as a dense ANN"
    fixed, found = span.headline, under_verified(report)
    title = energy.load_profile(fixed.profile).title
    sentence = (f"{report.lead.label} at {title}: {_amount(fixed)}"
                f"{f', {text.significant(fixed.ratio)} times {against}' if fixed.ratio is not None else ''}; over all "
                f"{len(found)} verified profiles, memory-aware ones included, and all reuse models "
                f"({len(span.settings)} settings): {_amount(span.low)} ({span.low.name}) to {_amount(span.high)} "
                f"({span.high.name})")
    if span.ratio_low and span.ratio_high:
        sentence += (f", {text.significant(span.ratio_low.ratio)} ({span.ratio_low.name}) to "
                     f"{text.significant(span.ratio_high.ratio)} ({span.ratio_high.name}) times")
    bounds = [one.profile.name for one in found if one.lower_bound]
    return sentence + (f"; lower bounds under {text.some(bounds)}." if bounds else ".")


def _amount(one: Setting) -> str:
    return f"{'≥ ' if one.lower_bound else ''}{text.energy(one.total_mj * PJ_PER_MJ)}"


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
    "reuse": ("Memory traffic", {None: "not charged by the rule", **{
        name: model.title for name, model in energy.REUSE.items()
    }}),
    "row_maximum": ("Row maximum before Shiftmax", {False: "not subtracted", True: "found and subtracted"}),
}  # fmt: skip


def rules(report: Report) -> list[tuple[str, str]]:
    """The accounting that turned evidence into operations, in words."""
    used = {bill.rule for entry in report.entries for bill in entry.bills}
    found = [(title, " or ".join(words[value] for value in words if value in {getattr(rule, name) for rule in used}))
             for name, (title, words) in RULES.items()]
    leaking = sorted({rule.latency_ms for rule in used if rule.latency_ms})
    return found + [("Leakage", f"of a chip that takes {' or '.join(f'{ms:g}' for ms in leaking)} ms for a sample")
                    for _ in leaking[:1]]


def zero_skipping(report: Report) -> list[str]:
    """What an ANN saves where its zeros are skipped, measured on the one that was given."""
    return [f"{entry.label} under {bill.profile.name}: {text.percent(found.density)} of its products have no operand "
            f"of zero; arithmetic alone: {text.energy(found.skipped_mj * PJ_PER_MJ)} where the others are skipped, "
            f"{text.energy(found.dense_mj * PJ_PER_MJ)} where nothing is."
            for entry in report.entries if entry.role == "zero-skipping ann" for bill in entry.bills
            if (found := skipped(entry, bill))]


def skipped(entry: Entry, bill: Bill) -> energy.ZeroSkipping | None:
    """The measured zero skipping of an ANN; None where a profile has no multiply-accumulate, or nothing is real."""
    try:
        return energy.zero_skipping(entry.ledger, bill.profile)
    except ValueError:
        return None


def provenance(report: Report) -> list[tuple[str, str]]:
    """What must be known to make the report again, as (what, text)."""
    known = report.provenance
    found = [("Command", known.command or "not given: a program asked for the report"),
             ("Version", f"spikeattn {known.tool}, formulas {known.formulas}")]
    for entry in report.entries:
        if entry.checkpoint:
            found.append((f"Checkpoint of {entry.label}", f"{entry.checkpoint.name}, sha256 {entry.checkpoint.sha256}"))
    for data in dict.fromkeys(entry.data for entry in report.entries if entry.data):
        labels = "; ".join(entry.label for entry in report.entries if entry.data == data)
        found.append((f"Data of {labels}", f"{data.name}{f' ({data.split})' if data.split else ''}, {data.count:,} "
                                           f"samples offered, sha256 {data.sha256}"))
    return found


def measured(entry: Entry) -> str | None:
    """What a graphics card really used, or why that is not known; None where nobody asked."""
    seen = entry.measured
    if seen is None:
        return None
    if seen.joules is None:
        return f"{entry.label}: joules not measured ({seen.state}): {seen.reason}"
    sd = f" ± {text.energy(seen.sd * PJ_PER_J)}" if seen.sd is not None else ""
    return (f"{entry.label}: {text.energy(seen.joules * PJ_PER_J)}{sd} per sample measured on {seen.device} "
            f"({seen.method}, {len(seen.runs)} windows of {seen.window_s:.1f} s or more, idle power of "
            f"{seen.idle_w:.1f} W subtracted, batches of {seen.samples}). This card, its memory and its kernels, not "
            "the operations alone: no figure above can be compared with it.")
