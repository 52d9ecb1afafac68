"""Row factors on the rows of Shiftmax, in exact rationals."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.ops import row_factor, scale_rows, shiftmax_exponents
from spikeattn.ops.row_factor import NORMALISERS

MASKED = 2**31 - 1
F = Fraction
ROWS = {  # row: M, then the row sums of ceil, nearest, row5 and its factor
    "two equal": ([0, 0], F(1), F(1), F(1), F(1), F(1)),
    "one apart": ([1, 0], F(3, 4), F(3, 4), F(3, 4), F(15, 16), F(5, 4)),
    "three": ([3, 1, -2], F(41, 64), F(41, 64), F(41, 32), F(123, 128), F(3, 2)),
    "four": ([2, 2, 1, 0], F(11, 16), F(11, 16), F(11, 8), F(33, 32), F(3, 2)),
    "five": ([10, 9, 9, 8, 8], F(5, 8), F(5, 8), F(5, 4), F(15, 16), F(3, 2)),
    "seven equal": ([0] * 7, F(7, 8), F(7, 8), F(7, 8), F(63, 64), F(9, 8)),
    "196 equal": ([0] * 196, F(49, 64), F(49, 64), F(49, 64), F(245, 256), F(5, 4)),
}
INTERVALS = {  # lowest, highest row sum, and whether each is reached
    "ceil": (F(1, 2), F(1), False, True),
    "ceil_gain": (F(11, 16), F(11, 8), False, True),
    "nearest": (F(7071, 10000), F(14143, 10000), False, False),
    "row3": (F(874, 1000), F(1189, 1000), True, False),
    "row5": (F(898, 1000), F(1094, 1000), False, False),
}


def weight_sum(row, mask=None) -> tuple[Fraction, int]:
    """M of exact Shiftmax, and S = M 2**w as the op takes it."""
    exponents = shiftmax_exponents(torch.tensor(row), mask).tolist()
    M = sum((F(1, 2**n) for n in exponents if n != MASKED), F(0))
    w = max((n for n in exponents if n != MASKED), default=0)
    return M, int(M * 2**w)


def factor(S: int, normaliser: str) -> Fraction:
    return F(row_factor(torch.tensor(S), normaliser).item(), 8)


@pytest.mark.parametrize("name", ROWS)
def test_golden_rows(name):
    row, mass, ceil, nearest, row5, r = ROWS[name]
    M, S = weight_sum(row)
    assert mass == M
    assert M * factor(S, "ceil") == ceil
    assert M * factor(S, "nearest") == nearest
    assert factor(S, "row5") == r and M * r == row5
    assert M * factor(S, "ceil_gain") == M * F(11, 8)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=40), st.sampled_from(NORMALISERS))
def test_row_sums_lie_in_their_interval(row, normaliser):
    M, S = weight_sum(row)
    low, high, low_reached, high_reached = INTERVALS[normaliser]
    total = M * factor(S, normaliser)
    assert low < total < high or (low_reached and total == low) or (high_reached and total == high)


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_every_mantissa_of_twelve_bits(normaliser):
    """All S from 1 to 4096: the intervals hold and their ends are nearly reached."""
    S = torch.arange(1, 4097)
    r = row_factor(S, normaliser)
    totals = [F(s * e, 8 << (s - 1).bit_length()) for s, e in zip(S.tolist(), r.tolist(), strict=True)]
    low, high, low_reached, high_reached = INTERVALS[normaliser]
    assert all(low < t < high or low_reached and t == low or high_reached and t == high for t in totals)
    assert min(totals) - low < F(1, 1000) and high - max(totals) < F(1, 1000)


def test_the_unit_of_the_sum_does_not_matter():
    S = torch.arange(1, 500)
    for normaliser in NORMALISERS:
        assert torch.equal(row_factor(S, normaliser), row_factor(S << 40, normaliser))


def test_limits_of_row5_are_compared_exactly():
    for limit, below, above in ((17, 16, 14), (20, 14, 12), (23, 12, 10), (27, 10, 9), (30, 9, 8)):
        S = limit << 40
        assert row_factor(torch.tensor([S - 1, S]), "row5").tolist() == [below, above]


@given(st.integers(1, 2**61 - 1))
def test_nearest_changes_over_at_the_square_root(S):
    M = F(S, 1 << (S - 1).bit_length())
    assert factor(S, "nearest") == (2 if 2 * M * M < 1 else 1)


def test_nearest_next_to_the_square_root_of_two():
    S = math.isqrt(2 << 120)  # the last integer below sqrt(2) 2**60
    assert row_factor(torch.tensor([S, S + 1]), "nearest").tolist() == [16, 8]


def test_a_row_without_keys_keeps_its_zero():
    assert [row_factor(torch.tensor([0]), normaliser).item() for normaliser in NORMALISERS] == [8] * 5


@pytest.mark.parametrize("eighths", [8, 9, 10, 11, 12, 14, 16])
def test_scale_rows_multiplies_by_the_factor(eighths):
    a = torch.randint(-(2**40), 2**40, (3, 4), generator=torch.Generator().manual_seed(0))
    assert torch.equal(scale_rows(a, torch.tensor([[eighths]] * 3)), eighths * a)


def test_refusals():
    with pytest.raises(ValueError, match="row5"):
        row_factor(torch.tensor([1]), "row4")
    with pytest.raises(ValueError, match="0 or more"):
        row_factor(torch.tensor([-1]), "row5")
    with pytest.raises(TypeError, match="int64"):
        row_factor(torch.tensor([1.0]))
    with pytest.raises(ValueError, match="row_factor"):
        scale_rows(torch.tensor([1]), torch.tensor([13]))
