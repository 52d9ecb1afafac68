"""The rounding shift against rationals."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeattn.ops import round_shift


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 62))
def test_rounds_to_the_nearest_halves_upwards(a, shift):
    assert round_shift(torch.tensor(a), shift).item() == math.floor(Fraction(a, 2**shift) + Fraction(1, 2))


@given(st.integers(-(2**20), 2**20), st.integers(0, 42))
def test_a_negative_shift_multiplies(a, shift):
    assert round_shift(torch.tensor(a), -shift).item() == a * 2**shift


def test_one_shift_for_each_channel():
    a = torch.tensor([[5, 5, 5, 5], [-6, -6, -6, -6]])
    assert round_shift(a, torch.tensor([-1, 0, 1, 2])).tolist() == [[10, 5, 3, 1], [-12, -6, -3, -1]]


def test_two_shifts_are_not_one():
    """Rounding twice is another number: align once."""
    a = torch.tensor(5)  # 5/8 -> 1, but 5/2 -> 3, 3/4 -> 1; 7/16 -> 0, but 7/4 -> 2, 2/4 -> 1
    assert round_shift(a, 3).item() == 1 and round_shift(torch.tensor(7), 4).item() == 0
    assert round_shift(round_shift(torch.tensor(7), 2), 2).item() == 1


def test_refuses_what_is_no_integer_and_shifts_beyond_the_word():
    with pytest.raises(TypeError, match="int64"):
        round_shift(torch.tensor(1.0), 1)
    with pytest.raises(ValueError, match="-62 to 62"):
        round_shift(torch.tensor(1), 63)
