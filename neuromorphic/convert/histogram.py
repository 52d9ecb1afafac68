"""How the values of a wire are distributed, channel by channel, gathered in one pass.

    bin of x        floor(|x| / w)            512 bins of width w = 2**exponent, zeros are counted apart
    exponent        the smallest with max |x| < 512 w; when a larger value comes, w doubles and bins merge in pairs

Doubling nests the bins exactly: floor(|x| / 2w) = floor(floor(|x| / w) / 2), and dividing by a power of two does not
round. The counts are therefore the same for every order and every grouping of the batches; only `total` is a sum of
floats and may differ in its last digits.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BINS = 512
AT_ONCE = 2**20  # values that are counted together: what fits a cache is counted three times as fast
SMALLEST = -60  # smallest exponent: finer bins than 2**-60 are never needed, and a channel of zeros needs one


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of |x| for C channels.

    counts: int64 (C, 512); exponent: int64 (C,), log2 of the bin width; zeros: int64 (C,), values that are exactly 0;
    low, high, total: float64 (C,), signed extremes and sum.

    >>> h = Histogram.of(torch.tensor([[0.5, 0.0], [-4.0, 0.0]]))
    >>> h.count, h.max.tolist(), h.mean.tolist(), h.zeros.tolist()
    (2, [4.0, 0.0], [-1.75, 0.0], [0, 2])
    >>> (h + Histogram.of(torch.tensor([[9.0, 1.0]]))).max.tolist()
    [9.0, 1.0]
    """

    counts: Tensor
    exponent: Tensor
    zeros: Tensor
    low: Tensor
    high: Tensor
    total: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "Histogram":
        """Of values (n, C), n >= 1."""
        rows = rows.detach()
        rows = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
        low, high, channels = rows.amin(0), rows.amax(0), rows.shape[1]
        exponent = smallest_exponent(torch.maximum(low.abs(), high.abs()))
        scale = torch.exp2(-exponent.to(rows.dtype))
        first = torch.arange(channels, device=rows.device) * BINS  # place of each channel's first bin
        counts = torch.zeros(channels * BINS, dtype=torch.int64, device=rows.device)
        zeros, total = (torch.zeros(channels, dtype=kind, device=rows.device) for kind in (torch.int64, torch.float64))
        for part in rows.split(max(1, AT_ONCE // channels)):
            counts += torch.bincount((part.abs() * scale).long().add_(first).flatten(), minlength=len(counts))
            zeros += (part == 0).sum(0)
            total += part.sum(0, dtype=torch.float64)
        counts = counts.view(channels, BINS)
        counts[:, 0] -= zeros
        parts = counts, exponent, zeros, low.double(), high.double(), total
        return cls(*(part.cpu() for part in parts))

    @property
    def count(self) -> int:
        """Values per channel."""
        return int(self.counts[0].sum() + self.zeros[0])

    @property
    def max(self) -> Tensor:
        """Largest |x| of each channel."""
        return torch.maximum(self.low.abs(), self.high.abs())

    @property
    def mean(self) -> Tensor:
        return self.total / (self.counts.sum(1) + self.zeros)

    @property
    def width(self) -> Tensor:
        """Bin width of each channel, float64."""
        return torch.exp2(self.exponent.double())

    @cached_property
    def falls(self) -> Tensor:
        """By how much the counts fall at each of the 513 bin edges, float64 (C, 513)."""
        none = torch.zeros(len(self.counts), 1, dtype=torch.int64)
        return -torch.cat([none, self.counts, none], 1).diff(dim=1).double()

    def widened(self, exponent: Tensor) -> "Histogram":
        """The same values in wider bins; exponent (C,) at least the present one."""
        shift = (exponent - self.exponent).clamp(max=BINS.bit_length())
        target = torch.arange(BINS) >> shift[:, None]
        counts = torch.zeros_like(self.counts).scatter_add_(1, target, self.counts)
        return Histogram(counts, exponent, self.zeros, self.low, self.high, self.total)

    def __add__(self, other: "Histogram") -> "Histogram":
        if len(self.exponent) != len(other.exponent):
            raise ValueError(
                f"Histogram: both must have the same channels, got {len(self.exponent)} and {len(other.exponent)}. "
                "Add histograms of the same wire of the same model."
            )
        exponent = torch.maximum(self.exponent, other.exponent)
        a, b = self.widened(exponent), other.widened(exponent)
        return Histogram(a.counts + b.counts, exponent, a.zeros + b.zeros, torch.minimum(a.low, b.low),
                         torch.maximum(a.high, b.high), a.total + b.total)  # fmt: skip

    def grouped(self, groups: int) -> "Histogram":
        """One histogram for each run of C / groups neighbouring channels (a head, or with 1 the whole tensor)."""
        channels = len(self.exponent)
        if groups < 1 or channels % groups:
            raise ValueError(f"Histogram: groups must divide the {channels} channels, got {groups}. "
                             "Give the number of heads.")
        exponent = self.exponent.view(groups, -1).amax(1)
        wide = self.widened(exponent.repeat_interleave(channels // groups))
        counts, zeros, total = (x.view(groups, channels // groups, -1).sum(1)
                                for x in (wide.counts, wide.zeros, wide.total))
        return Histogram(counts, exponent, zeros.flatten(), wide.low.view(groups, -1).amin(1),
                         wide.high.view(groups, -1).amax(1), total.flatten())


def smallest_exponent(largest: Tensor) -> Tensor:
    """The smallest e with largest < 512 * 2**e: frexp gives p with 2**(p-1) <= largest < 2**p."""
    power = torch.frexp(largest).exponent.long() - (BINS.bit_length() - 1)
    return torch.where(largest > 0, power, SMALLEST).clamp(min=SMALLEST)
