"""Exact evidence of a tensor's values, whole and by time step; counts and sums that do not round.

Any dense view of a tensor will do, since nothing depends on the order of the elements (`count/values.py`). Every type
that is read here (float16, bfloat16, integers below 2**53) goes into float32 or float64 without loss.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from neuromorphic.count.values import power_of_two, read
from neuromorphic.ledger import Operand

__all__ = ["Seen", "dense", "exact_sum", "measure", "measure_steps", "nonzeros", "power_of_two", "repeats",
           "time_outermost", "units"]  # fmt: skip

EXACT = {torch.float32: 2**24, torch.float64: 2**53}  # integers up to here add up without rounding


@dataclass(frozen=True)
class Seen:
    """Evidence of a whole tensor, and what is > 0 and < 0 in each of its steps.

    levels: the sum of the magnitudes in each step where every value of the tensor is an integer, else 0.
    """

    whole: Operand
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    levels: tuple[int, ...]


def measure(x: Tensor, where: str = "") -> Operand:
    """Evidence of all values, as if the tensor had no time axis; `where` names the layer in an error.

    >>> seen = measure(torch.tensor([1., -1., 0., 1.]))
    >>> seen.kind, seen.positive, seen.negative, seen.sum, seen.magnitude
    ('ternary', 2, 1, 1, 3)
    """
    return measure_steps(x, 1, where).whole


def measure_steps(x: Tensor, steps: int, where: str = "") -> Seen:
    """Evidence of a tensor whose leading axis holds `steps` equal parts.

    >>> measure_steps(torch.tensor([1., 0., 1., -1.]), 2).positive
    (1, 1)
    """
    by_step = x.unsqueeze(0) if steps == 1 else x if x.shape[0] == steps else x.unflatten(0, (steps, -1))
    base, copies = _without_copies(by_step)
    if not time_outermost(base):
        base = base.contiguous()
    found = read(_values(base).reshape(base.shape[0], -1), where)
    if base.shape[0] < steps:  # the same step shown T times
        found.nonzero, found.negative, found.magnitude = (
            row * steps for row in (found.nonzero, found.negative, found.magnitude)
        )
        found.sum, copies = found.sum * steps, copies // steps
    nonzero, negative, levels = (
        tuple([count * copies for count in row]) for row in (found.nonzero, found.negative, found.magnitude)
    )
    below = sum(negative)
    whole = Operand(
        numel=x.numel(), positive=sum(nonzero) - below, negative=below,
        nonzero_per_step=nonzero if steps > 1 else (), smallest=found.smallest, largest=found.largest,
        integers=found.integers, powers_of_two=found.powers_of_two, sum=found.sum * copies, magnitude=sum(levels),
    )  # fmt: skip
    return Seen(whole, tuple([n - m for n, m in zip(nonzero, negative, strict=True)]), negative, levels)


def repeats(x: Tensor, steps: int) -> bool:
    """Every time step holds the same values."""
    parts = x.unflatten(0, (steps, -1))
    return parts.stride(0) == 0 or all(torch.equal(parts[0], part) for part in parts[1:])


def nonzeros(x: Tensor, dim: int, seen: Operand) -> Tensor:
    """How many elements are non-zero along one axis, x in the levels that were seen; spikes are summed: faster."""
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


def dense(x: Tensor) -> bool:
    """Its elements fill one stretch of memory, each once, in whatever order."""
    return x.is_contiguous() or torch.ops.aten.is_non_overlapping_and_dense(x)


def time_outermost(x: Tensor) -> bool:
    """Equal parts of the leading axis are equal stretches of memory, one behind the other."""
    return x.is_contiguous() or x.numel() == 0 or (
        dense(x) and (x.shape[0] == 1 or x.stride(0) * x.shape[0] == x.numel())
    )


def _without_copies(x: Tensor) -> tuple[Tensor, int]:
    """The elements that are stored, and how often an expanded view shows each of them."""
    copies = 1
    if x.is_contiguous():
        return x, copies
    for axis, (size, stride) in enumerate(zip(x.shape, x.stride(), strict=True)):
        if stride == 0 and size > 1:
            x, copies = x.narrow(axis, 0, 1), copies * size
    return x, copies


def _values(x: Tensor) -> np.ndarray:
    """All elements of a dense tensor in the order of memory, as float32 or float64."""
    if x.dtype not in EXACT:
        x = x.to(torch.float64 if x.dtype in (torch.int32, torch.int64) else torch.float32)
    x = x.numpy(force=True)
    return x.reshape(-1) if x.flags.c_contiguous else as_strided(x, (x.size,), (x.itemsize,))
