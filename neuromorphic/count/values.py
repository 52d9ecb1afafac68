"""Exact evidence of an array of floats: signs, extremes, sums, over blocks that stay in the cache.

A float is read as its bits. With the sign bit masked out, magnitudes order like unsigned integers m:

    non-zero           m != 0
    largest            max m
    smallest non-zero  min (m - 1) + 1        zero wraps round to the largest integer and drops out
    power of two       no bit of the fraction is set
    finite             m below the exponent of infinity

Spikes, their levels and their residual sums are integers of a few bits. Where every value survives the way into a
signed byte and back, the bytes are read in its place, a quarter of the memory; a power of two is then an m with
m & (m - 1) = 0. Nothing is rounded, and nothing depends on the order of the elements within a row.
"""

import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

BLOCK = 1 << 17  # elements: half a megabyte of float32
BYTE = 127  # the largest magnitude of a signed byte; a block of them adds up to less than 2**24
PROBE = 16  # values looked at before all of them are tried as bytes
BITS = {np.dtype(np.float32): (np.uint32, 23, 8), np.dtype(np.float64): (np.uint64, 52, 11)}  # fraction, exponent


@dataclass
class Evidence:
    """Of an array (rows, n). nonzero, negative, magnitude: of each row; the rest of the whole.

    smallest, largest: of the non-zero magnitudes, 0 where there are none. magnitude, sum: 0 unless all are integers.
    """

    nonzero: list[int]
    negative: list[int]
    magnitude: list[int] = field(default_factory=list)
    smallest: float = 0.0
    largest: float = 0.0
    integers: bool = True
    powers_of_two: bool = True
    sum: int = 0


def read(values: np.ndarray, where: str = "") -> Evidence:
    """Evidence of rows of float32 or float64; `where` names the layer in an error.

    >>> seen = read(np.array([[1.0, -2.0], [0.0, 2.0]]))
    >>> seen.nonzero, seen.negative, seen.magnitude, seen.smallest, seen.largest, seen.sum
    ([2, 1], [1, 0], [3, 2], 1.0, 2.0, 1)
    """
    return _small_integers(values) or _any_values(values, where)


def power_of_two(value: float) -> bool:
    """True where a multiplication by the value is a shift.

    >>> power_of_two(0.125), power_of_two(-2.0), power_of_two(3.0)
    (True, True, False)
    """
    return math.frexp(abs(value))[0] == 0.5


def _small_integers(values: np.ndarray) -> Evidence | None:
    """Evidence of integers that fit a signed byte; None where a value does not."""
    if not all([value.is_integer() for value in values[0, :PROBE].tolist()]):
        return None
    rows = len(values)
    found, least, most = Evidence([0] * rows, [0] * rows, [0] * rows), BYTE, 0
    for block in _blocks(values):
        small, flag = _scratch(np.int8, block.shape), _scratch(np.bool_, block.shape)
        with np.errstate(invalid="ignore"):  # what is too large becomes another value
            np.copyto(small, block, casting="unsafe")
        if np.not_equal(block, small, out=flag).any():
            return None
        counts, below, m = _counts(small), [], small.view(np.uint8)
        if (high := int(m.max())) > BYTE:  # a sign bit is set
            below = _counts(np.less(small, 0, out=flag))
            np.abs(small, out=small)
            if (high := int(m.max())) > BYTE:
                return None  # -128
        sums, magnitudes = [sum(counts) - 2 * sum(below)], counts
        if high > 1:
            less = np.subtract(m, np.uint8(1), out=flag.view(np.uint8))  # zero wraps round to 255
            least = min(least, int(less.min()) + 1)
            found.powers_of_two &= not np.bitwise_and(m, less, out=less).any()
            sums = block.sum(1).tolist()
            magnitudes = small.sum(1, dtype=np.int64).tolist() if below else sums
        elif high:
            least = 1
        found.nonzero, found.negative = _added(found.nonzero, counts), _added(found.negative, below or [0] * rows)
        found.magnitude, most = _added(found.magnitude, map(int, magnitudes)), max(most, high)
        found.sum += int(sum(sums))
    found.smallest, found.largest = float(least if most else 0), float(most)
    return found


def _any_values(values: np.ndarray, where: str) -> Evidence:
    unsigned, fraction, exponent = BITS[values.dtype]
    sign = unsigned(1 << fraction + exponent)
    rows, least, most = len(values), ~unsigned(0), unsigned(0)
    found = Evidence([0] * rows, [0] * rows)
    for block in _blocks(values):
        free, flag, m = _scratch(unsigned, block.shape), _scratch(np.bool_, block.shape), block.view(unsigned)
        if (high := m.max()) >= sign:
            found.negative = _added(found.negative, _counts(np.less(block, 0, out=flag)))
            m = np.bitwise_and(m, ~sign, out=free)
            high = m.max()
        found.nonzero = _added(found.nonzero, _counts(np.not_equal(m, 0, out=flag)))
        most, least = max(most, high), min(least, np.subtract(m, unsigned(1), out=free).min())
    found.largest = float(most.view(values.dtype))
    _check_finite(found.largest, where)
    if most:
        found.smallest = float((least + unsigned(1)).view(values.dtype))
    return _with_sums(found, values)


def _with_sums(found: Evidence, values: np.ndarray) -> Evidence:
    nonzero, negative = sum(found.nonzero), sum(found.negative)
    if found.smallest == found.largest:
        found.integers, scale = found.largest.is_integer(), int(found.largest) if found.largest.is_integer() else 0
        found.powers_of_two = not nonzero or power_of_two(found.largest)
        found.sum, found.magnitude = scale * (nonzero - 2 * negative), [scale * count for count in found.nonzero]
        return found
    sums = [_sums_of_integers(row, found.largest, negative > 0) for row in values]
    found.integers, found.powers_of_two = None not in sums, _powers_of_two(values, found.smallest)
    found.sum = sum(total for total, _ in sums) if found.integers else 0
    found.magnitude = [absolute for _, absolute in sums] if found.integers else [0] * len(values)
    return found


def _check_finite(magnitude: float, where: str) -> None:
    if not math.isfinite(magnitude):
        raise ValueError(
            f"trace: every value that an operation reads must be finite, got {magnitude} in {where or 'the model'!r}. "
            "The network overflows on this input: check its weights and the scale of the input."
        )


def _sums_of_integers(row: np.ndarray, largest: float, signed: bool) -> tuple[int, int] | None:
    """(sum, sum of magnitudes) of a row; None where not all are integers."""
    dtype = row.dtype if BLOCK * largest <= 2**24 else np.float64 if BLOCK * largest <= 2**53 else object
    total = absolute = 0
    for start in range(0, row.size, BLOCK):
        block = row[start : start + BLOCK]
        if np.count_nonzero(np.rint(block) != block):
            return None
        if dtype is object:  # beyond what floats add up exactly: Python integers
            block = np.array([int(value) for value in block], object)
        total += int(np.sum(block, dtype=dtype))
        absolute += int(np.sum(np.abs(block), dtype=dtype)) if signed else 0
    return total, absolute if signed else total


def _powers_of_two(values: np.ndarray, smallest: float) -> bool:
    if smallest < np.finfo(values.dtype).tiny:  # subnormal: its fraction is not a fraction
        return bool(np.isin(np.frexp(np.abs(values))[0], (0, 0.5)).all())
    unsigned, fraction, _ = BITS[values.dtype]
    mask = unsigned((1 << fraction) - 1)
    return not any((block.view(unsigned) & mask).any() for block in _blocks(values))


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """The same columns of every row, about BLOCK elements at a time."""
    rows, n = values.shape
    width = max(BLOCK // rows, 1)
    return (values[:, start : start + width] for start in range(0, n, width))


_KEPT = threading.local()  # memory that is fresh costs more to touch than to use


def _scratch(dtype: type, shape: tuple[int, int]) -> np.ndarray:
    """Room of this type, used again by the next block; one room for each type."""
    kept, size = _KEPT.__dict__, shape[0] * shape[1]
    if dtype not in kept or size > kept[dtype].size:
        kept[dtype] = np.empty(max(size, BLOCK), dtype)
    return kept[dtype][:size].reshape(shape)


def _counts(values: np.ndarray) -> list[int]:
    """Non-zeros of each row."""
    return [int(np.count_nonzero(row)) for row in values]


def _added(a: Iterable[int], b: Iterable[int]) -> list[int]:
    return [x + y for x, y in zip(a, b, strict=True)]
