"""How sure the means of a report are: sentences for its notes, from ledgers of single samples in equal order."""

from collections.abc import Sequence

from neuromorphic.energy.statistics import describe, paired_ratio, sample_energies, settled
from neuromorphic.ledger import Ledger

from . import text
from .facts import PJ_PER_MJ
from .record import Entry


def spread(entry: Entry, ledgers: Sequence[Ledger]) -> list[str]:
    """Mean, standard deviation and 95 % bootstrap interval of the energy under every profile."""
    found = []
    for bill in entry.bills:
        seen = describe(sample_energies(ledgers, bill.profile, bill.rule))
        mean, sd, low, high = (
            text.energy(mj * PJ_PER_MJ) for mj in (seen.mean, seen.sd, seen.interval.low, seen.interval.high)
        )
        enough = "settled to 1 %" if settled(seen) else "not settled to 1 %: trace more samples"
        found.append(f"{entry.label} under {bill.profile.name}: {mean} ± {sd} (mean and standard deviation of "
                     f"{seen.n} samples), 95 % interval of the mean {low} to {high}; {enough}.")
    return found


def paired(entry: Entry, ledgers: Sequence[Ledger], base: Entry, others: Sequence[Ledger]) -> list[str]:
    """Ratio to the baseline on the same samples, with its interval, under every profile that prices both."""
    found = []
    for bill in entry.bills:
        ours, theirs = (sample_energies(each, bill.profile, bill.rule) for each in (ledgers, others))
        if not base.bill(bill.profile.name) or min(theirs) <= 0:
            continue
        seen = paired_ratio(ours, theirs)
        verdict = "1 lies outside" if seen.decided else "1 lies inside, so neither is shown to be cheaper"
        low, high = (text.significant(end) for end in (seen.interval.low, seen.interval.high))
        found.append(f"{entry.label} ÷ {base.label} under {bill.profile.name}: {text.significant(seen.ratio)} times, "
                     f"95 % interval {low} to {high} on the same {seen.n} samples; {verdict}.")
    return found
