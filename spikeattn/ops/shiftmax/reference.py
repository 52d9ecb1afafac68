"""Shiftmax in integers: exact for every row of integers, whatever its length and spread.

    m     = max_j x_j                                  the row's maximum
    d_j   = m - x_j                                    distance of a key, >= 0
    S     = sum_j 2**-d_j                              in [1, M]
    gamma = m + ceil(log2 S)                           the paper's normaliser (Eq. 13, Eq. 14)
    n_i   = gamma - x_i                                exponent, >= 0
    y_i   = 2**-n_i                                    weight, a power of two

Floating point cannot do this: it drops the far keys of a peaked row, and ceil turns a lost epsilon into a
factor of two. Here S is a fixed-point number held in several int64 words.
"""

import math

import torch
from torch import Tensor

NORMALISERS = ("ceil", "round")
GRADIENTS = ("straight_through", "detached")

MASKED = torch.iinfo(torch.int32).max  # exponent of a masked key
FARTHEST = MASKED - 1  # exponents saturate here: such a weight is 0 in every floating type
NO_KEY = torch.iinfo(torch.int64).max  # distance of a masked key
LARGEST_SCORE = 2**62  # in size, for scores given as floats

# dtype: (integer of the same width, bits of the mantissa, exponent of 1.0)
FLOATS = {
    torch.float64: (torch.int64, 52, 1023),
    torch.float32: (torch.int32, 23, 127),
    torch.bfloat16: (torch.int16, 7, 127),
    torch.float16: (torch.int16, 10, 15),
}


def distances(scores: Tensor, mask: Tensor | None) -> Tensor:
    """d_j = m - x_j, int64 (..., M); NO_KEY where masked; exact up to NO_KEY - 1, where it saturates."""
    x = scores.to(torch.int64)
    if mask is not None:
        x = x.masked_fill(~mask, torch.iinfo(torch.int64).min)
    d = x.amax(-1, keepdim=True) - x
    d = torch.where(d < 0, NO_KEY, d).clamp(max=NO_KEY - 1)  # d < 0: the difference of two int64 wrapped
    return d if mask is None else d.masked_fill(~mask, NO_KEY)


def close_gaps(d: Tensor) -> Tensor:
    """Distances with the same ceil(log2 S) and round(log2 S) and a spread below M (2 + log2 M).

    The keys beyond a gap of more than G = 1 + ceil(log2 M) sum to less than one unit of the last key before
    it, on which every threshold of S lies; whether they are near or far behind the gap is not to be seen.
    """
    widest = 1 + ceil_log2(d.shape[-1])
    nearest_first = d.sort(-1).values
    gaps = nearest_first.diff(dim=-1, prepend=torch.zeros_like(d[..., :1])).clamp(max=widest)
    return gaps.cumsum(-1).masked_fill(nearest_first == NO_KEY, NO_KEY)


def sum_of_powers(d: Tensor) -> tuple[Tensor, Tensor, int]:
    """S as (value, sticky, W): S = (value + rest) * 2**-W, 0 <= rest < 1, and sticky says that rest > 0.

    The binary places of S are cut into words of W. Word 0 holds keys of d <= W, word i those with
    i W < d <= (i+1) W, and each word carries what overflows into the next nearer one. W is such that a word
    stays below 2**53, where it is also exact as float64.
    """
    width = 52 - ceil_log2(d.shape[-1])
    spread = _spread(d)
    if spread > 4 * width:
        d = close_gaps(d)
        spread = _spread(d)
    carry = torch.zeros_like(d[..., 0])
    sticky = torch.zeros_like(carry, dtype=torch.bool)
    for word in range(max(1, math.ceil(spread / width)) - 1, -1, -1):
        last = (word + 1) * width
        here = (d <= last) if word == 0 else (d <= last) & (d > last - width)
        value = carry + torch.where(here, 1 << (last - d).clamp(0, width), 0).sum(-1)
        if word == 0:
            return value, sticky, width
        carry = value >> width
        sticky |= (carry << width) != value


def _spread(d: Tensor) -> int:
    return int(torch.where(d == NO_KEY, 0, d).max()) if d.numel() else 0


def log2_of_sum(d: Tensor, normaliser: str) -> Tensor:
    """gamma - m, int64 (..., 1): log2 of the power of two that stands for S."""
    value, sticky, width = sum_of_powers(d)
    fraction, exponent = torch.frexp(value.double())  # value = fraction * 2**exponent, fraction in [1/2, 1)
    exponent = exponent.to(torch.int64) - width
    if normaliser == "ceil":  # the least power of two >= S: S itself if it is one
        exponent = exponent - ((fraction == 0.5) & ~sticky).to(torch.int64)
    else:  # the nearest power of two, upwards from 1.5 times the lower one
        exponent = exponent - (fraction < 0.75).to(torch.int64)
    return exponent.unsqueeze(-1)


def shiftmax_exponents(scores: Tensor, mask: Tensor | None, normaliser: str) -> Tensor:
    """n_i = gamma - x_i, int32; MASKED where masked."""
    d = distances(scores, mask)
    n = torch.where(d < FARTHEST, d + log2_of_sum(d, normaliser), FARTHEST).clamp(max=FARTHEST)
    return torch.where(d == NO_KEY, MASKED, n).to(torch.int32)


def power_of_two(n: Tensor, dtype: torch.dtype) -> Tensor:
    """2**-n for n >= 0, written into the bits of a float; 0 below the smallest number of the type.

    A bias b and p bits of mantissa: the exponent field b - n for normal numbers (n < b), and one mantissa bit
    for subnormal ones. No exp2 or pow, which round, and no product, which a flush-to-zero mode would zero.
    """
    integer, mantissa, bias = FLOATS[dtype]
    n = n.clamp(max=bias + mantissa).to(integer)
    normal = (bias - n).clamp(min=0) << mantissa
    subnormal = torch.where(n < bias + mantissa, 1 << (bias - 1 + mantissa - n).clamp(0, mantissa), 0)
    return torch.where(n < bias, normal, subnormal).to(integer).view(dtype)


def shiftmax(scores: Tensor, mask: Tensor | None, normaliser: str, gradient: str, dtype: torch.dtype) -> Tensor:
    """y_i = 2**-n_i in `dtype`. `gradient` names the rule of the backward op; the weights do not depend on it."""
    return power_of_two(shiftmax_exponents(scores, mask, normaliser), dtype)


def shiftmax_backward(grad: Tensor, weights: Tensor, gradient: str) -> Tensor:
    """dL/dx from g = dL/dy and the weights y.

        detached:          dx_j = ln2 y_j g_j                       gamma held constant
        straight_through:  dx_j = ln2 y_j (g_j - sum_i p_i g_i)     ceil taken as the identity, p = y / sum(y)
    """
    dtype = torch.promote_types(torch.promote_types(grad.dtype, weights.dtype), torch.float32)
    g, y = grad.to(dtype), weights.to(dtype)
    if gradient == "straight_through":
        mass = y.sum(-1, keepdim=True)
        g = g - (y * g).sum(-1, keepdim=True) / torch.where(mass > 0, mass, 1)  # a row without keys has mass 0
    return math.log(2) * y * g


def check_scores(scores: Tensor, mask: Tensor | None, *options) -> None:
    if not scores.is_floating_point():
        return
    x = scores if mask is None else torch.where(mask, scores, 0)
    if not bool(((x == x.round()) & (x.abs() <= LARGEST_SCORE)).all()):
        raise ValueError(
            "shiftmax: scores must be integers of at most 2**62 in size wherever the mask lets a key through, got "
            "fractions, infinities or NaN. Round scaled scores first, and exclude keys with mask= (True = may attend)."
        )


def ceil_log2(count: int) -> int:
    return (count - 1).bit_length()
