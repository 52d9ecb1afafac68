"""Codings: how an integer becomes a word of T spikes, and back.

    quantise  n = sign(a) floor((2 |a| + theta) / (2 theta)), clipped to [-N, N]      one rounding, half away from zero
    fire      n -> s_1 ... s_T                                                        a neuron: compare and soft reset
    decode    n = sum_t w_t s_t,  by Horner: acc <- b acc + s_t                       most significant step first

a is an integer accumulator, theta the threshold: how many units of a make one step of the grid. A real value x of
the range [-R, R] sits on the grid delta = grid(T) R, and its decoded value delta n is at most bound(T) R away.

Round first, expand then: a neuron that fires on a real membrane breaks ties in each code differently, and no
quantiser could follow it. With an odd theta 2 |a| never meets theta times an odd number: there is no tie at all.
"""

from abc import ABC, abstractmethod
from fractions import Fraction

import torch
from torch import Tensor


class Coding(ABC):
    """A code: three maps between numbers, no parameters but the range R and the number of steps T.

    name: in the registry; title: in a report. base: the Horner factor b.
    graded: a spike may have several magnitudes. anytime: the word read up to any step already means something.
    spike: the integer type of one spike.
    """

    name: str
    title: str
    base: int = 1
    graded: bool = False
    anytime: bool = False
    spike: torch.dtype = torch.int8

    @abstractmethod
    def levels(self, T: int) -> int:
        """N, the largest code: the grid has 2 N + 1 levels."""

    def grid(self, T: int) -> Fraction:
        """delta / R, the step of the grid: R is the largest code."""
        return Fraction(1, self.levels(T))

    def bound(self, T: int) -> Fraction:
        """The worst |x - decoded x| / R for |x| <= R: half a step of the grid."""
        return self.grid(T) / 2

    def weights(self, T: int) -> tuple[int, ...]:
        """w_t in steps of the grid, most significant first."""
        return tuple(self.base ** (steps(T) - 1 - t) for t in range(T))

    def quantise(self, a: Tensor, threshold: Tensor, T: int) -> Tensor:
        """n in closed form: the nearest code to a / threshold, the way that knows nothing of spikes."""
        return nearest(a, threshold).clamp(-self.levels(T), self.levels(T))

    def begin(self, a: Tensor, threshold: Tensor, T: int) -> tuple[Tensor, Tensor]:
        """(membrane, unit) before step 0: the membrane, and what stays the same while the neuron fires.

        a: int64 accumulator; threshold: int64, odd and positive, broadcastable against a (`check_thresholds` tells;
        it is for the time of building, since firing reads no values). Both |a| and levels(T) threshold must stay
        below 2**60.
        """
        return self.quantise(a, threshold, T), torch.ones_like(threshold)

    @abstractmethod
    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        """(spike, membrane) after step t = 0 ... T - 1: integers only."""

    def spikes(self, a: Tensor, threshold: Tensor, T: int) -> Tensor:
        """The word (T, ...) of accumulators, step by step."""
        membrane, unit = self.begin(a, threshold, T)
        word = []
        for t in range(steps(T)):
            spike, membrane = self.fire(membrane, unit, t, T)
            word.append(spike)
        return torch.stack(word)

    def digits(self, n: Tensor, T: int) -> Tensor:
        """The word (T, ...) of integer codes n in [-N, N]."""
        return self.spikes(n, torch.ones((), dtype=torch.int64, device=n.device), T)

    def gain(self, t: int, T: int) -> Fraction:
        """What the sum of the first t spikes is worth as a value: decoded x = delta gain (s_1 + ... + s_t)."""
        raise TypeError(
            f"{self.name}: a word may be read early only in an anytime code, got step {t} of {T}. "
            "Convert once for each T instead."
        )

    def bound_at(self, t: int, T: int) -> Fraction:
        """The worst |x - decoded x| / R when the first t of T spikes are read (anytime codes)."""
        return self.gain(t, T)


def steps(T: int, most: int = 2**15) -> int:
    """T, once it is a number of steps; `most` keeps the largest code times a threshold within 64 bits."""
    if not isinstance(T, int) or isinstance(T, bool) or not 1 <= T <= most:
        raise ValueError(f"coding: the number of steps must be an integer from 1 to {most}, got {T!r}. Use T = 4.")
    return T


def nearest(a: Tensor, threshold: Tensor) -> Tensor:
    """sign(a) floor((2 |a| + theta) / (2 theta)): a / theta rounded, halves away from zero, in integers.

    >>> nearest(torch.tensor([-5, 4, 5, 14]), torch.tensor(10)).tolist()
    [-1, 0, 1, 1]
    """
    size = torch.div(2 * a.abs() + threshold, 2 * threshold, rounding_mode="floor")
    return torch.where(a < 0, -size, size)


def beyond(v: Tensor, level: Tensor | int) -> Tensor:
    """sign(v) where |v| >= level, else 0: the spike of a bipolar neuron, as wide as the membrane.

    (A spike in int8 times a threshold without axes would stay in int8 and overflow.)
    """
    return (v >= level).to(v.dtype) - (v <= -level).to(v.dtype)


def quantise_real(x: Tensor, delta: Tensor | float, N: int) -> Tensor:
    """Real x on the grid of step delta, int64 in [-N, N]: rounded once, halves away from zero.

    >>> quantise_real(torch.tensor([-0.5, 0.49, 2.5, 99.0]), 1.0, 4).tolist()
    [-1, 0, 3, 4]
    """
    ratio = (x / delta).abs().clamp(max=N)
    whole = ratio.floor()  # floor(ratio + 1/2) would round the number just below a half upwards
    return torch.where(x < 0, -1, 1) * (whole + (ratio - whole >= 0.5)).to(torch.int64)


def decode(word: Tensor, base: int) -> Tensor:
    """sum_t b^(T-1-t) s_t of a word (T, ...), int64, by Horner's rule.

    >>> decode(torch.tensor([1, -1, 1]), 3).item()      # 9 - 3 + 1
    7
    """
    total = torch.zeros_like(word[0], dtype=torch.int64)
    for spike in word:
        total = base * total + spike
    return total


def check_thresholds(threshold: Tensor) -> None:
    """Raise unless every threshold is an odd positive integer."""
    if threshold.is_floating_point() or not bool(((threshold > 0) & (threshold % 2 == 1)).all()):
        raise ValueError(
            f"coding: thresholds must be odd positive integers, got {threshold.dtype} from "
            f"{threshold.min().item():g} to {threshold.max().item():g}. Round to the nearest odd number."
        )
