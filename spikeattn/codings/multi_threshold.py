"""Multi-threshold: one graded spike a step, of the size that brings the membrane nearest to zero.

    levels  theta 2^j,  j = 0 ... k-1                            R = theta 2^(k-1) is the largest
    s_t     = sign(v) 2^j, j the largest with 4 |v| >= 3 theta 2^j    fire, 0 where there is none
    v       = v - theta s_t                                      soft reset

Each spike leaves at most a quarter of the range before it, until the smallest level is too coarse: the error is at
most max(4^-T, 3/4 2^-(k-1)) R. That floor more steps do not lower. k = 8: 0.0059 R from T = 4 on; k = 4: 0.094 R from
T = 2 on. From T >= k / 2 on every integer code is said exactly.

These spikes are *graded*: a spike of 64 is no unit spike, and its synapse multiplies or shifts. Reports say so.
Unlike the other codes this one is no rounding to the nearest level, so `quantise` is the same greedy sum worked out
by a division and a leading one in place of the comparisons.

Source: ECMT (arXiv 2502.21193) and its code: thresholds halved k times, compared at three quarters of their size.
Differs from the paper in: one scale for both signs.
"""

from fractions import Fraction

import torch
from torch import Tensor

from spikeattn.codings.coding import Coding, steps


class MultiThreshold(Coding):
    """Digits 0 and +- 1, 2, 4 ... 2^(k-1), each step worth the same.

    >>> import torch
    >>> MultiThreshold(k=4).digits(torch.tensor([7, -5]), 2).T.tolist()      # 8 - 1, and -4 - 1
    [[8, -1], [-4, -1]]
    """

    name, title, graded = "multi_threshold", "multi-threshold (graded spikes)", True
    spike = torch.int16

    def __init__(self, k: int = 8):
        if not isinstance(k, int) or not 1 <= k <= 15:
            raise ValueError(f"MultiThreshold: k levels must be an integer from 1 to 15, got {k!r}. Use 8.")
        self.k = k

    def levels(self, T: int) -> int:
        steps(T)
        return 2 ** (self.k - 1)

    def bound(self, T: int) -> Fraction:
        return max(Fraction(1, 4 ** steps(T)), Fraction(3, 4 * 2 ** (self.k - 1)))

    def begin(self, a: Tensor, threshold: Tensor, T: int) -> tuple[Tensor, Tensor]:
        """The accumulator itself, clipped to the range."""
        reach = self.levels(T) * threshold
        return torch.minimum(torch.maximum(a, -reach), reach), threshold

    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        size, v = torch.zeros_like(membrane), 4 * membrane.abs()
        for j in range(self.k):  # the powers of two up to the largest that is reached: 1 + 1 + 2 + 4 + ...
            size = size + (v >= 3 * 2**j * unit).to(v.dtype) * max(1, 2 ** (j - 1))
        spike = torch.where(membrane < 0, -size, size)
        return spike.to(self.spike), membrane - unit * spike

    def quantise(self, a: Tensor, threshold: Tensor, T: int) -> Tensor:
        """The greedy sum: at each step the leading one of floor(4 |v| / (3 theta)), at most 2^(k-1)."""
        v, threshold = torch.broadcast_tensors(a, threshold)
        reach = self.levels(T) * threshold
        v = v.clamp(-reach, reach)
        n = torch.zeros_like(v)
        for _ in range(T):
            size = leading_one((4 * v.abs()) // (3 * threshold)).clamp(max=2 ** (self.k - 1))
            n = n + torch.sign(v) * size
            v = v - threshold * torch.sign(v) * size
        return n


def leading_one(x: Tensor) -> Tensor:
    """The largest power of two in a non-negative integer, 0 of 0: smear the leading one downwards, keep the top."""
    for shift in (1, 2, 4, 8, 16, 32):
        x = x | (x >> shift)
    return x - (x >> 1)
