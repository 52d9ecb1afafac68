"""Clip ranges: how far the code of a channel reaches.

The code of N levels a side is a uniform mid-tread quantiser with clip, of step delta = R / N:

    xhat(x) = delta * m(x),    m(x) = min(floor(x / delta + 1/2), N)          x = |value|; the negative side mirrors it
    e(x)    = (x - xhat(x))**2

Its antiderivative is closed. Cells are delta wide about their centre m * delta, and a whole cell integrates to
2 * (delta/2)**3 / 3 = delta**3 / 12. From 0 to x lie the upper half of cell 0, the m - 1 whole cells and the lower half
of cell m, together m whole cells, then the rest of the last one; beyond the clip m stays N and so does the formula:

    F(x) = integral_0^x e = m * delta**3 / 12 + (x - m * delta)**3 / 3

With a density that is uniform inside each bin [a, b) of the histogram, the sum of squared errors is exactly

    E(R) = sum over bins of  count * (F(b) - F(a)) / (b - a)

Values heaped up inside the first bin make E too large where delta is only a few bins; the R found was still within 2 %
of the least error on the values themselves (the law test, up to 364 levels).

"mse" takes the R of least E among 16 clip factors 1.00 ... 0.05 of the largest value; "max" takes the largest value;
"percentile" the p-th percentile of |x|. A group of channels that share one range (a head, a tensor) minimises the sum
of its channels' errors. Last, the floor: R_group <- max(R_group, floor * R_tensor), against channels that were quiet
by chance. The floor is a fixed share, not tuned: data like the calibration data cannot choose it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuromorphic.convert.histogram import BINS, Histogram

RULES = ("mse", "max", "percentile")
FACTORS = torch.linspace(1.0, 0.05, 16, dtype=torch.float64)
LEAST = 2.0**-20  # of the tensor's range: a channel that was always 0 still needs a step


@dataclass(frozen=True, eq=False)
class ClipRange:
    """Ranges of C channels; channels of one group have the same.

    values: float64 (C,), all positive; raised: bool (C,), the floor raised it; tensor: range of the whole tensor by
    the same rule; saturation: share of the calibration values outside, those whose code is clipped.
    """

    values: Tensor
    raised: Tensor
    tensor: float
    levels: int
    groups: int
    saturation: float

    @property
    def step(self) -> Tensor:
        """delta of each channel, float64 (C,)."""
        return self.values / self.levels

    @property
    def floor_share(self) -> float:
        return float(self.raised.double().mean())


def clip_range(histogram: Histogram, levels: int, *, rule: str = "mse", percentile: float = 99.99,
               groups: int | None = None, floor: float = 0.10) -> ClipRange:
    """Ranges for codes from -levels to levels.

    groups: how many ranges; None is one per channel, 1 one for the tensor, H one per head of C / H neighbours.

    >>> h = Histogram.of(torch.tensor([[1.0, 0.02], [-8.0, 0.01]]))
    >>> found = clip_range(h, 40, rule="max")
    >>> [round(r, 2) for r in found.values.tolist()], found.raised.tolist(), found.saturation
    ([8.0, 0.8], [False, True], 0.0)
    """
    channels = len(histogram.exponent)
    groups = channels if groups is None else groups
    if rule not in RULES:
        raise ValueError(f"clip_range: rule must be one of {', '.join(RULES)}, got {rule!r}. The default is mse.")
    if levels < 1 or not 0 <= floor <= 1 or not 0 < percentile <= 100:
        raise ValueError(f"clip_range: levels must be at least 1, floor in [0, 1], percentile in (0, 100], got "
                         f"{levels}, {floor}, {percentile}. Four ternary steps have 40 levels.")
    tensor = float(_found(histogram, levels, rule, percentile, 1))
    if tensor == 0:
        everywhere = torch.ones(channels, dtype=torch.bool)
        return ClipRange(everywhere.double(), everywhere, 0.0, levels, groups, 0.0)
    values = _found(histogram, levels, rule, percentile, groups).repeat_interleave(channels // groups)
    least = max(floor, LEAST) * tensor
    raised, values = values < least, values.clamp(min=least)
    share = float(saturated(histogram, values, levels).sum()) / (histogram.count * channels)
    return ClipRange(values, raised, tensor, levels, groups, share)


def _found(histogram: Histogram, levels: int, rule: str, percentile: float, groups: int) -> Tensor:
    """Ranges (groups,) before the floor."""
    whole = histogram.grouped(groups)
    if rule == "max":
        return whole.max
    if rule == "percentile":
        return quantile(whole, percentile / 100)
    share = len(histogram.exponent) // groups
    errors = torch.stack([
        squared_error(histogram, (factor * whole.max).repeat_interleave(share), levels).view(groups, share).sum(1)
        for factor in FACTORS
    ])
    return FACTORS[errors.argmin(0)] * whole.max


def squared_error(histogram: Histogram, ranges: Tensor, levels: int) -> Tensor:
    """E(R): sum of squared errors of each channel's values, float64 (C,), for ranges (C,)."""
    step = (ranges / levels).maximum(histogram.width * 2.0**-40)  # a range of 0, of a channel of zeros
    # sum_b count_b (F(b+1) - F(b)) = sum_j F(j) (count_(j-1) - count_j), in steps: F = m / 12 + (x - m)**3 / 3
    rest = torch.arange(BINS + 1, dtype=torch.float64) * (histogram.width / step)[:, None]
    cell = (rest + 0.5).floor_().clamp_(max=levels)
    rest -= cell
    primitive = (rest * rest).mul_(rest).div_(3).add_(cell, alpha=1 / 12)
    return (primitive * histogram.falls).sum(1) * (step**3 / histogram.width)


def saturated(histogram: Histogram, ranges: Tensor, levels: int) -> Tensor:
    """Expected number of values of each channel whose code is clipped, |x| > (N + 1/2) delta; float64 (C,)."""
    limit = ranges * (1 + 0.5 / levels)
    edges = _edges(histogram)
    inside = ((limit[:, None] - edges[:, :-1]) / histogram.width[:, None]).clamp(0, 1)
    beyond = (histogram.counts * (1 - inside)).sum(1)
    return torch.where(limit >= histogram.max, torch.zeros_like(beyond), beyond)


def quantile(histogram: Histogram, share: float) -> Tensor:
    """The value that `share` of |x| do not exceed, float64 (C,), linear inside a bin."""
    below = torch.cat([histogram.zeros[:, None], histogram.counts], 1).cumsum(1).double()
    target = (share * below[:, -1:]).contiguous()
    bin = torch.searchsorted(below[:, 1:].contiguous(), target).clamp(max=BINS - 1)
    before, after = below.gather(1, bin), below.gather(1, bin + 1)
    part = ((target - before) / (after - before).clamp(min=1)).clamp(0, 1)
    found = ((bin + part) * histogram.width[:, None]).squeeze(1)
    found = torch.minimum(found, histogram.max)
    return torch.where(target.squeeze(1) <= histogram.zeros, torch.zeros_like(found), found)


def _edges(histogram: Histogram) -> Tensor:
    """Bin edges (C, 513), float64."""
    return torch.arange(BINS + 1, dtype=torch.float64) * histogram.width[:, None]
