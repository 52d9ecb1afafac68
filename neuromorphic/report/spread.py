"""How sure the means of a report are, in sentences: over samples, against the baseline, over seeds."""

from neuromorphic.energy.statistics import SETTLED, PairedRatio, paired_ratio

from . import text
from .record import Entry, Report, Spread

PJ_PER_MJ = 1e9


def statistics(report: Report, only: str | None = None) -> list[str]:
    """Mean, standard deviation, 95 % interval and stopping rule of each model, ratios on the same samples, seeds.

    Under every profile, or only the one of this name.
    """
    seen = [(entry, spread) for entry in report.entries for spread in entry.spreads if only in (None, spread.profile)]
    found = [_over_samples(entry, spread) for entry, spread in seen]
    found += [_ratio(report, entry, spread.profile, ratio) for entry, spread in seen
              if entry.spiking and (ratio := paired(report, entry, spread.profile))]
    return found + seeds(report, only)


def _over_samples(entry: Entry, spread: Spread) -> str:
    seen, where = spread.statistics, f"{entry.label} under {spread.profile}"
    if spread.constant:
        return f"{where}: {_energy(seen.mean)} for each of {seen.n} samples."
    bar, half = text.percent(SETTLED, 0), text.percent(seen.relative_half_width, 2)
    enough = (f"half of it is {half} of the mean, under {bar}: settled" if spread.settled else
              f"half of it is {half} of the mean: not settled to {bar}, the samples ran out")
    return (f"{where}: {_energy(seen.mean)} ± {_energy(seen.sd)} (mean and standard deviation of {seen.n} samples, "
            f"{_energy(seen.smallest)} to {_energy(seen.largest)}), 95 % interval of the mean "
            f"{_energy(seen.interval.low)} to {_energy(seen.interval.high)}; {enough}.")


def paired(report: Report, entry: Entry, profile: str) -> PairedRatio | None:
    """Ratio to the baseline on the same samples; None where there is none or they did not see the same.

    A dense network that costs the same for every sample stands beside any number of them.
    """
    base = report.baseline
    if base is None or base is entry or entry.data is None or entry.data != base.data:
        return None
    ours, theirs = entry.spread(profile), base.spread(profile)
    if ours is None or theirs is None or theirs.statistics.smallest <= 0:
        return None
    a, b = (_lengthened(one, other, spread) for one, other, spread in
            ((ours, theirs, entry.spiking), (theirs, ours, base.spiking)))
    n = min(len(a), len(b))
    return paired_ratio(a[:n], b[:n])


def _lengthened(spread: Spread, other: Spread, spiking: bool) -> tuple[float, ...]:
    dense = spread.constant and not spiking
    return spread.energies_mj[:1] * len(other.energies_mj) if dense else spread.energies_mj


def _ratio(report: Report, entry: Entry, profile: str, seen: PairedRatio) -> str:
    verdict = "1 lies outside" if seen.decided else "1 lies inside, so neither is shown to be cheaper"
    low, high = (text.significant(end) for end in (seen.interval.low, seen.interval.high))
    return (f"{entry.label} ÷ {report.baseline.label} under {profile}: {text.significant(seen.ratio)} times, "
            f"95 % interval {low} to {high} on the same {seen.n} samples; {verdict}.")


def seeds(report: Report, only: str | None = None) -> list[str]:
    """Spread between checkpoints of one configuration, with their accuracies."""
    return [sentence for group in report.seeds for profile in report.profiles
            if only in (None, profile.name) and (sentence := _over_seeds(report, group, profile.name))]


def _over_seeds(report: Report, group: tuple[str, ...], profile: str) -> str | None:
    seen = report.over_seeds(group, profile)
    if seen is None:
        return None
    each = ", ".join(f"{label} {_energy(mj)} ({_accuracy(report.entry(label))})"
                     for label, mj in zip(group, seen.means, strict=True))
    return (f"Over {len(group)} checkpoints of one configuration under {profile}: {_energy(seen.mean)} ± "
            f"{_energy(seen.sd)} (mean and standard deviation between them), {_energy(seen.smallest)} to "
            f"{_energy(seen.largest)}: {each}.")


def _accuracy(entry: Entry) -> str:
    return "accuracy not given" if entry.accuracy is None else text.percent(entry.accuracy)


def _energy(mj: float) -> str:
    return text.energy(mj * PJ_PER_MJ)
