"""Evidence of arrays: bytes and bits give what a loop over Python numbers gives."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromorphic.count import values as reading
from neuromorphic.count.values import BLOCK, BYTE, Evidence, read

SPIKES, LEVELS = st.sampled_from([0.0, 1.0]), st.integers(-BYTE - 3, BYTE + 3).map(float)
REALS = st.sampled_from([0.0, -0.0, 0.5, -2.0, 3.0, 1e-40, 1e30, 0.1])


def looped(rows: list[list[float]]) -> Evidence:
    sizes = [abs(value) for row in rows for value in row if value]
    integers = all(size.is_integer() for size in sizes)
    return Evidence(
        nonzero=[sum(value != 0 for value in row) for row in rows],
        negative=[sum(value < 0 for value in row) for row in rows],
        magnitude=[int(sum(map(abs, map(Fraction, row)))) if integers else 0 for row in rows],
        smallest=min(sizes, default=0.0),
        largest=max(sizes, default=0.0),
        integers=integers,
        powers_of_two=all(math.frexp(size)[0] == 0.5 for size in sizes),
        sum=int(sum(Fraction(value) for row in rows for value in row)) if integers else 0,
    )


@given(st.sampled_from([SPIKES, LEVELS, LEVELS.map(abs), REALS]).flatmap(
    lambda kind: st.integers(1, 30).flatmap(lambda n: st.lists(st.lists(kind, min_size=n, max_size=n), min_size=1))))
def test_evidence_is_that_of_a_loop(rows):
    array = np.array(rows)
    assert read(array) == looped(rows)
    narrow = array.astype(np.float32)
    assert read(narrow) == looped(narrow.astype(float).tolist())


@pytest.mark.parametrize("last", [0.0, 1.0, -1.0, 2.0, 127.0, -128.0, 128.0, 0.25, 2.0**24 + 2])
def test_blocks_add_up(last):
    """The odd value stands in the last block; what came before looked like spikes."""
    array = np.zeros((3, BLOCK), np.float32)
    array[:, ::5] = 1
    array[1, -1] = last
    assert read(array) == looped(array.astype(float).tolist())


def test_bytes_are_read_where_they_hold_every_value(monkeypatch):
    monkeypatch.setattr(reading, "_any_values", lambda values, where: pytest.fail("read as floats"))
    assert read(np.array([[0.0, -127.0, 64.0]])).magnitude == [191]
    assert read(np.zeros((2, 0))).nonzero == [0, 0]


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_refused_with_its_layer(wrong):
    array = np.zeros((2, 99), np.float32)
    array[1, 70] = wrong
    with pytest.raises(ValueError, match="finite, got (inf|nan) in 'blocks.3'"):
        read(array, "blocks.3")
