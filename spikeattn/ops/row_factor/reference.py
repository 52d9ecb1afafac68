"""Factors, in eighths, that bring the row sums of Shiftmax near to 1: compares only."""

from fractions import Fraction
from math import isqrt

import torch
from torch import Tensor

from spikeattn.ops.integer_norm.reference import leading_place

ONE = 60  # 2M is compared as a fixed-point number of so many fraction bits

# (upper limits of 2M, exclusive; factors in eighths: one more than limits)
SQRT2 = Fraction(isqrt(2 << 2 * ONE) + 1, 2**ONE)  # the least of its grid above it: 2M < SQRT2 as 2M < sqrt(2)
STEPS: dict[str, tuple[tuple[Fraction, ...], tuple[int, ...]]] = {
    "ceil": ((), (8,)),
    "ceil_gain": ((), (11,)),
    "nearest": ((SQRT2,), (16, 8)),
    "row3": ((Fraction(1189, 1000), Fraction(1554, 1000)), (16, 12, 9)),
    "row5": (tuple(Fraction(n, 16) for n in (17, 20, 23, 27, 30)), (16, 14, 12, 10, 9, 8)),
}


def row_factor(row_sum: Tensor, normaliser: str) -> Tensor:
    """8 r for S > 0, with M = S / 2^ceil(log2 S); 8 where S = 0."""
    s = row_sum.clamp(min=1)
    twice = s << (ONE - leading_place(s))  # S to the place of 2M: in [1, 2), a power of two being 1 here
    limits, factors = STEPS[normaliser]
    factor = torch.full_like(row_sum, factors[-1])
    for limit, value in reversed(list(zip(limits, factors, strict=False))):
        factor = torch.where(twice < -(-limit.numerator * 2**ONE // limit.denominator), value, factor)
    power = (s & (s - 1)) == 0  # S a power of two: M = 1, 2M = 2
    return torch.where(row_sum == 0, 8, torch.where(power, factors[-1], factor))


def scale_rows(a: Tensor, eighths: Tensor) -> Tensor:
    """8 r a: every factor is a sum or difference of two powers of two (three for 11)."""
    return a * eighths


def check_rows(row_sum: Tensor, normaliser: str) -> None:
    if bool((row_sum < 0).any()):
        raise ValueError("row_factor: row sums must be 0 or more, got a negative one. Sum the weights 2**(w - n).")


def check_eighths(a: Tensor, eighths: Tensor) -> None:
    known = torch.tensor(sorted({f for _, factors in STEPS.values() for f in factors}), device=eighths.device)
    if not bool(torch.isin(eighths, known).all()):
        raise ValueError(f"scale_rows: factors must be those of row_factor ({known.tolist()}), got others.")
