"""Exact evidence of a tensor's values: signs, extremes, sums, in one pass over blocks that stay in the cache.

A float is read as its bits. With the sign bit masked out, magnitudes order like unsigned integers m:

    non-zero           m != 0
    largest            max m
    smallest non-zero  min (m - 1) + 1        zero wraps round to the largest integer and drops out
    power of two       no bit of the fraction is set
    finite             m below the exponent of infinity

Nothing is rounded and nothing depends on the order of the elements, so any dense view of a tensor will do. Every
type that is read here (float16, bfloat16, integers below 2**53) goes into float32 or float64 without loss.
"""

import math
import threading
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import torch
from torch import Tensor

from neuromorphic.ledger import Operand

BLOCK = 1 << 17  # elements: half a megabyte of float32
BITS = {np.dtype(np.float32): (np.uint32, 23, 8), np.dtype(np.float64): (np.uint64, 52, 11)}  # fraction, exponent
EXACT = {torch.float32: 2**24, torch.float64: 2**53}  # integers up to here add up without rounding


def measure(x: Tensor, where: str = "") -> Operand:
    """Evidence of all values, as if the tensor had no time axis; `where` names the layer in an error.

    >>> seen = measure(torch.tensor([1., -1., 0., 1.]))
    >>> seen.kind, seen.positive, seen.negative, seen.sum, seen.magnitude
    ('ternary', 2, 1, 1, 3)
    """
    return measure_steps(x, 1, where)[0]


def measure_steps(x: Tensor, steps: int, where: str = "") -> tuple[Operand, ...]:
    """Evidence of each time step, where the leading axis of x holds `steps` equal parts."""
    base, copies = _without_copies(x.unflatten(0, (steps, -1)) if steps > 1 else x.unsqueeze(0))
    if not time_outermost(base):
        base = base.contiguous()
    found = _measure(_values(base).reshape(base.shape[0], -1), where)
    if len(found) < steps:  # the same step shown T times
        found, copies = found * steps, copies // steps
    return tuple(_multiplied(seen, copies) for seen in found) if copies > 1 else found


def _multiplied(seen: Operand, copies: int) -> Operand:
    counts = ("numel", "positive", "negative", "sum", "magnitude")
    return replace(seen, **{name: getattr(seen, name) * copies for name in counts})


def joined(steps: tuple[Operand, ...]) -> Operand:
    """Evidence of a whole tensor from that of its time steps."""
    whole = reduce(add, steps)
    return replace(whole, nonzero_per_step=tuple(step.nonzero for step in steps) if len(steps) > 1 else ())


def repeats(x: Tensor, steps: int) -> bool:
    """Every time step holds the same values."""
    parts = x.unflatten(0, (steps, -1))
    return parts.stride(0) == 0 or all(torch.equal(parts[0], part) for part in parts[1:])


def nonzeros(x: Tensor, dim: int, seen: Operand) -> Tensor:
    """How many elements are non-zero along one axis; spikes are summed, which is faster than comparing."""
    if seen.smallest == seen.largest == 1.0 and x.is_floating_point():
        return exact_sum(x.abs() if seen.negative else x, dim, 1.0)
    return torch.count_nonzero(x, dim)


def exact_sum(x: Tensor, dim: int, largest: float) -> Tensor:
    """Sum of integer values of at most this magnitude along one axis, in the narrowest type that does not round."""
    terms = x.shape[dim] * largest
    return x.sum(dim, dtype=next((dtype for dtype, bound in EXACT.items() if terms <= bound), torch.int64))


def units(x: Tensor, seen: Operand, events: int, taps: Tensor | None = None) -> int:
    """Sum of |x| * taps as an exact integer, 0 where x is not integral; events is the same sum over non-zeros.

    taps: of every pixel of the trailing axes of x; None is one for each element.
    """
    if not seen.integers:
        return 0
    if seen.smallest == seen.largest:
        return int(seen.largest) * events
    if taps is None:
        return seen.magnitude
    per_pixel = exact_sum(x.reshape(-1, taps.numel()).abs(), 0, seen.largest)
    return int((per_pixel.to(torch.int64) * taps.flatten()).sum())


def power_of_two(value: float) -> bool:
    """True where a multiplication by the value is a shift.

    >>> power_of_two(0.125), power_of_two(-2.0), power_of_two(3.0)
    (True, True, False)
    """
    return math.frexp(abs(value))[0] == 0.5


def dense(x: Tensor) -> bool:
    """Its elements fill one stretch of memory, each once, in whatever order."""
    return torch.ops.aten.is_non_overlapping_and_dense(x)


def time_outermost(x: Tensor) -> bool:
    """Equal parts of the leading axis are equal stretches of memory, one behind the other."""
    return x.numel() == 0 or dense(x) and (x.shape[0] == 1 or x.stride(0) * x.shape[0] == x.numel())


def _without_copies(x: Tensor) -> tuple[Tensor, int]:
    """The elements that are stored, and how often an expanded view shows each of them."""
    copies = 1
    for axis, (size, stride) in enumerate(zip(x.shape, x.stride(), strict=True)):
        if stride == 0 and size > 1:
            x, copies = x.narrow(axis, 0, 1), copies * size
    return x, copies


def _values(x: Tensor) -> np.ndarray:
    """All elements of a dense tensor in the order of memory, as float32 or float64."""
    if x.dtype not in EXACT:
        x = x.to(torch.float64 if x.dtype in (torch.int32, torch.int64) else torch.float32)
    x = x.detach().resolve_neg().cpu()
    return x.as_strided((x.numel(),), (1,)).numpy()


_KEPT = threading.local()  # memory that is fresh costs more to touch than to use


def _scratch(unsigned: type, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Room for bits and for flags, used again by the next tensor."""
    kept = _KEPT.__dict__
    if unsigned not in kept or size > BLOCK:
        kept[unsigned] = np.empty(max(size, BLOCK), unsigned), np.empty(max(size, BLOCK), bool)
    return kept[unsigned]


def _measure(values: np.ndarray, where: str) -> tuple[Operand, ...]:
    """Evidence of each row of values (steps, n)."""
    unsigned, fraction, exponent = BITS[values.dtype]
    magnitude = unsigned((1 << fraction + exponent) - 1)
    steps, n = values.shape
    width = min(max(BLOCK // steps, 1), n)
    bits, flags = (room[: steps * width].reshape(steps, width) for room in _scratch(unsigned, steps * width))
    nonzero, negative, largest = [0] * steps, [0] * steps, np.zeros(steps, unsigned)
    smallest = ~largest
    for start in range(0, n, width or 1):
        block = values[:, start : start + width]
        free, flag, m = bits[:, : block.shape[1]], flags[:, : block.shape[1]], block.view(unsigned)
        high = m.max(1)
        if (high > magnitude).any():  # a sign bit is set
            np.less(block, 0, out=flag)
            negative = [count + int(np.count_nonzero(row)) for count, row in zip(negative, flag, strict=True)]
            m = np.bitwise_and(m, magnitude, out=free)
            high = m.max(1)
        np.not_equal(m, 0, out=flag)
        nonzero = [count + int(np.count_nonzero(row)) for count, row in zip(nonzero, flag, strict=True)]
        np.maximum(largest, high, out=largest)
        np.minimum(smallest, np.subtract(m, unsigned(1), out=free).min(1), out=smallest)
    floating = np.float32 if unsigned is np.uint32 else np.float64
    lows, highs = (smallest + unsigned(1)).view(floating).tolist(), largest.view(floating).tolist()
    _check_finite(highs, where)
    return tuple(
        _evidence(row, *signs) for row, *signs in zip(values, nonzero, negative, lows, highs, strict=True)
    )


def _check_finite(magnitudes: list[float], where: str) -> None:
    wrong = next((value for value in magnitudes if not math.isfinite(value)), None)
    if wrong is not None:
        raise ValueError(
            f"trace: every value that an operation reads must be finite, got {wrong} in {where or 'the model'!r}. "
            "The network overflows on this input: check its weights and the scale of the input."
        )


def _evidence(values: np.ndarray, nonzero: int, negative: int, low: float, high: float) -> Operand:
    if not nonzero:
        return Operand(numel=values.size, positive=0, negative=0)
    if low == high:
        integers, powers = high.is_integer(), power_of_two(high)
        scale = int(high) if integers else 0
        total, absolute = scale * (nonzero - 2 * negative), scale * nonzero
    else:
        integers, total, absolute = _integers(values, high, negative > 0)
        powers = _powers_of_two(values, low)
    return Operand(
        numel=values.size, positive=nonzero - negative, negative=negative, smallest=low, largest=high,
        integers=integers, powers_of_two=powers, sum=total, magnitude=absolute,
    )  # fmt: skip


def _integers(values: np.ndarray, largest: float, signed: bool) -> tuple[bool, int, int]:
    """(all are integers, their sum, the sum of their magnitudes), 0 where they are not."""
    dtype = values.dtype if BLOCK * largest <= 2**24 else np.float64 if BLOCK * largest <= 2**53 else object
    total = absolute = 0
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        if np.count_nonzero(np.rint(block) != block):
            return False, 0, 0
        if dtype is object:  # beyond what floats add up exactly: Python integers
            block = np.array([int(value) for value in block], object)
        total += int(np.sum(block, dtype=dtype))
        absolute += int(np.sum(np.abs(block), dtype=dtype)) if signed else 0
    return True, total, absolute if signed else total


def _powers_of_two(values: np.ndarray, smallest: float) -> bool:
    if smallest < np.finfo(values.dtype).tiny:  # subnormal: its fraction is not a fraction
        return bool(np.isin(np.frexp(np.abs(values))[0], (0, 0.5)).all())
    unsigned, fraction, _ = BITS[values.dtype]
    mask = unsigned((1 << fraction) - 1)
    return not any(
        (values[start : start + BLOCK].view(unsigned) & mask).any() for start in range(0, values.size, BLOCK)
    )
