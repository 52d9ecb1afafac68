"""How sure an energy is: spread over samples, intervals, paired ratios, when to stop, spread over checkpoints.

    energies e_i of n samples [mJ]        mean m = sum e_i / n        sd^2 = sum (e_i - m)^2 / (n - 1)
    interval                              quantiles of the means of resamples of size n, drawn with replacement
    paired ratio  r = sum a_i / sum b_i   interval from resampled pairs (a_i, b_i): what both models find hard cancels
    settled                               half the interval / mean < 1 %

What is an accumulate follows from the values of the whole data set, so a sample is priced with the kinds of all of
them; the mean of the samples is then the energy of the bill, up to rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import fsum, isfinite, sqrt
from operator import add
from pathlib import Path

import torch
from torch import Tensor

from neuromorphic.energy.bill import Profile, Rule
from neuromorphic.energy.price import ann_lines, lines
from neuromorphic.energy.profile import load_profile
from neuromorphic.ledger import SPIKES, Ledger, Row

RESAMPLES = 2000
SETTLED = 0.01
FEWEST = 30  # below this many samples a bootstrap interval is too narrow to stop by
CHUNK = 2**20  # indices drawn at once


@dataclass(frozen=True)
class Interval:
    """Bounds that hold the true value with probability `level`."""

    low: float
    high: float
    level: float = 0.95

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Statistics:
    """n values: mean, sample standard deviation, extremes, bootstrap interval of the mean."""

    n: int
    mean: float
    sd: float
    smallest: float
    largest: float
    interval: Interval

    @property
    def relative_half_width(self) -> float:
        """Half of the interval over the mean; 0.0 where both are zero."""
        return self.interval.half_width / abs(self.mean) if self.mean else (0.0 if self.interval.half_width == 0
                                                                            else float("inf"))


@dataclass(frozen=True)
class PairedRatio:
    """Energy of a model over that of another on the same n samples, with its interval."""

    n: int
    ratio: float
    interval: Interval

    @property
    def decided(self) -> bool:
        """The interval leaves 1 out: which model costs less does not hang on the draw of samples."""
        return self.interval.high < 1 or self.interval.low > 1


@dataclass(frozen=True)
class Checkpoints:
    """Mean energies of several checkpoints (seeds) of one model; sd is that between checkpoints.

    Too few to resample, they are given one by one.
    """

    means: tuple[float, ...]
    mean: float
    sd: float

    @property
    def smallest(self) -> float:
        return min(self.means)

    @property
    def largest(self) -> float:
        return max(self.means)


def sample_energies(
    ledgers: Sequence[Ledger], profile: Profile | str | Path, rule: Rule = Rule(), *, ann: bool = False  # noqa: B008
) -> tuple[float, ...]:
    """mJ of each ledger per sample, in their order; ledgers from `trace_each` or `trace(..., per_sample=True)`.

    ann: of the same products as a dense ANN.
    """
    if not ledgers:
        raise ValueError("sample_energies: there must be at least one ledger, got none. Trace with per_sample=True.")
    profile = load_profile(profile)
    return tuple(fsum(line.total_pj for line in (ann_lines if ann else lines)(part, profile, rule))
                 / part.samples * 1e-9 for part in _as_one(ledgers))


def _as_one(ledgers: Sequence[Ledger]) -> Iterator[Ledger]:
    """Each ledger with the kinds and the cheaper sides of all of them together."""
    whole = {row.key: row for row in reduce(add, ledgers).rows}
    for ledger in ledgers:
        yield replace(ledger, rows=tuple(_alike(row, whole[row.key]) for row in ledger.rows))


def _alike(row: Row, whole: Row) -> Row:
    for side in ("left", "right"):
        mine, all_of_it = getattr(row, side), getattr(whole, side)
        if mine:
            seen = replace(mine, declared=all_of_it.kind, repeats=all_of_it.repeats, largest=all_of_it.largest)
            row = replace(row, **{side: seen})
    if whole.left and whole.right and whole.left.kind in SPIKES and whole.right.kind in SPIKES:
        dearer = "right_events" if whole.left_events <= whole.right_events else "left_events"
        row = replace(row, **{dearer: row.dense})  # one order of loops for all samples, as in the bill of the whole
    return row


def describe(values: Sequence[float], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Statistics:
    """Mean, standard deviation and percentile bootstrap interval of the mean.

    >>> found = describe([1.0, 2.0, 3.0, 4.0])
    >>> found.mean, round(found.sd, 3), found.interval.low < 2.5 < found.interval.high
    (2.5, 1.291, True)
    """
    x = _checked("describe", values)
    means = torch.cat([x[chosen].mean(1) for chosen in _resamples(len(x), resamples, seed)])
    mean, sd = _mean_sd(values)
    return Statistics(len(x), mean, sd, min(values), max(values), _between(means, level))


def paired_ratio(
    values: Sequence[float], others: Sequence[float], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> PairedRatio:
    """Mean of `values` over mean of `others`, both on the same samples in the same order.

    >>> paired_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    PairedRatio(n=3, ratio=0.5, interval=Interval(low=0.5, high=0.5, level=0.95))
    """
    a, b = _checked("paired_ratio", values), _checked("paired_ratio", others)
    if len(a) != len(b):
        raise ValueError(
            f"paired_ratio: both models must have run on the same samples, got {len(a)} and {len(b)} energies. "
            "Trace both with trace_each on the same inputs."
        )
    if bool((b <= 0).any()):
        raise ValueError("paired_ratio: energies to divide by must be positive, got one that is not. Leave it out.")
    ratios = torch.cat([a[chosen].sum(1) / b[chosen].sum(1) for chosen in _resamples(len(a), resamples, seed)])
    return PairedRatio(len(a), fsum(values) / fsum(others), _between(ratios, level))


def settled(statistics: Statistics, *, within: float = SETTLED, fewest: int = FEWEST) -> bool:
    """Stopping rule: enough samples, and half of the interval is under 1 % of the mean."""
    return statistics.n >= fewest and statistics.relative_half_width < within


def over_checkpoints(means: Sequence[float]) -> Checkpoints:
    """Spread of the mean energies of several checkpoints.

    >>> over_checkpoints([2.0, 4.0])
    Checkpoints(means=(2.0, 4.0), mean=3.0, sd=1.4142135623730951)
    """
    _checked("over_checkpoints", means)
    return Checkpoints(tuple(means), *_mean_sd(means))


def _checked(where: str, values: Sequence[float]) -> Tensor:
    if len(values) < 2 or not all(isfinite(value) for value in values):
        raise ValueError(
            f"{where}: there must be at least two finite values, got {len(values)}. "
            "One sample has no spread: trace more of them, each by itself."
        )
    return torch.tensor(values, dtype=torch.float64)


def _mean_sd(values: Sequence[float]) -> tuple[float, float]:
    mean = fsum(values) / len(values)
    return mean, sqrt(fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _resamples(n: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """Indices (some, n) of resamples, `resamples` rows in all; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    rows = max(1, CHUNK // n)
    for begun in range(0, resamples, rows):
        yield torch.randint(n, (min(rows, resamples - begun), n), generator=generator)


def _between(found: Tensor, level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"statistics: level must lie between 0 and 1, got {level}. Give 0.95 for 95 %.")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=found.dtype)
    low, high = torch.quantile(found, ends).tolist()
    return Interval(low, high, level)
