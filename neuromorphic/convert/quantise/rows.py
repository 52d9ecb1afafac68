"""Rows of weights as integers: what a word of code is multiplied with.

    W'_ji = W_ji delta_i                     the steps of the inputs fold into the columns
    w_ji  = round(W'_ji / u_j)               |w| <= 2**(bits - 1) - 1, u_j the unit of row j
    b_j   = round(bias_j / u_j)

The unit of a row follows from who reads it.

    a coding layer, step delta_j     u_j = delta_j 2**k / odd_j, so that its threshold is the odd number odd_j exactly;
                                     the sums are raised by k places where rows are so flat that odd_j would be small
    a stream on the grid U           u_j = U 2**-e_j, so that one rounding shift brings the sums onto the grid
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_THRESHOLD = 257  # an odd number this large moves no scale by more than a quarter of a percent
MOST_THRESHOLD = 2**40 + 1
TINY = 1e-300


@dataclass(frozen=True)
class Rows:
    """weight: int16 (O, ...); bias: int64 (O,); shift: int64 (O,), to the right where positive; threshold: odd int64
    (O,), where a coding layer reads the rows.

    step_sum: the most that one plane of spikes can add up to; word_sum: the same for whole words.
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor
    threshold: Tensor | None
    step_sum: int
    word_sum: int


def largest_odd(x: Tensor) -> Tensor:
    """The largest odd integer that is not above x, at least 1.

    >>> largest_odd(torch.tensor([1.0, 4.7, 5.0])).tolist()
    [1, 3, 5]
    """
    whole = torch.floor(x).to(torch.int64)
    return torch.where(whole % 2 == 1, whole, whole - 1).clamp(min=1)


def nearest_odd(x: Tensor) -> Tensor:
    """The odd integer nearest to x, at least 1.

    >>> nearest_odd(torch.tensor([0.2, 4.0, 5.9, 6.1])).tolist()
    [1, 5, 5, 7]
    """
    return (2 * torch.floor(x / 2).to(torch.int64) + 1).clamp(min=1)


def for_code(weight: Tensor, bias: Tensor, step: Tensor, *, bits: int, levels: int, spike: int) -> Rows:
    """Rows that a coding layer of steps `step` (O,) reads. weight: folded, float64 (O, ...)."""
    room = step * _most(bits) / _peaks(weight)
    lift = torch.ceil(torch.log2(LEAST_THRESHOLD / room)).clamp(0, 40).to(torch.int64)
    odd = largest_odd((room * torch.exp2(lift.double())).clamp(max=MOST_THRESHOLD))
    unit = step * torch.exp2(lift.double()) / odd.double()
    return _rows(weight, bias, unit, -lift, odd, levels, spike)


def for_stream(weight: Tensor, bias: Tensor, grid: float, *, bits: int, levels: int, spike: int) -> Rows:
    """Rows whose sums go onto the grid U of a stream."""
    places = torch.floor(torch.log2(_most(bits) * grid / _peaks(weight))).clamp(-40, 40).to(torch.int64)
    unit = grid * torch.exp2(-places.double())
    return _rows(weight, bias, unit, places, None, levels, spike)


def _rows(weight: Tensor, bias: Tensor, unit: Tensor, shift: Tensor, threshold: Tensor | None, levels: int,
          spike: int) -> Rows:
    per_row = unit.view(-1, *(1,) * (weight.ndim - 1))
    whole = torch.round(weight / per_row)
    if not bool((whole.abs() <= torch.iinfo(torch.int16).max).all()):
        raise ValueError(f"convert: rows of weights must fit 16 bits, got {float(whole.abs().max()):g}: what the layer "
                         "gave on the calibration data is far too small for its weights. Calibrate on other data.")
    whole = whole.to(torch.int16)
    sums = int(whole.abs().to(torch.int64).flatten(1).sum(1).max())
    return Rows(whole, torch.round(bias / unit).to(torch.int64), shift, threshold, sums * spike, sums * levels)


def _most(bits: int) -> int:
    return 2 ** (bits - 1) - 1


def _peaks(weight: Tensor) -> Tensor:
    return weight.flatten(1).abs().amax(1).clamp(min=TINY)


def grid_for(largest: float, bits: int) -> float:
    """The power of two of which `bits` bits and a sign reach `largest`.

    >>> grid_for(100.0, 8)           # 2**0 * 127 would, too: 100 < 128
    1.0
    """
    return 2.0 ** (math.ceil(math.log2(max(largest, TINY ** 0.5))) - (bits - 1))
