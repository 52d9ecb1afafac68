"""Layer norm and RMS norm of integers: two products a value, one leading one and one table read a row."""

import torch
from torch import Tensor

from spikeattn.ops.round_shift.reference import round_shift

FRACTION = 14  # bits of a table entry behind the binary point


def integer_norm(x: Tensor, table: Tensor, gamma: Tensor, beta: Tensor, epsilon: int, drop: int, shift: int,
                 largest: int) -> Tensor:
    """c_i = D x_i - sum_j x_j, then as the RMS norm has it."""
    c = x.shape[-1] * x - x.sum(-1, keepdim=True)
    return _normalise(c, table, gamma, beta, epsilon, drop, shift)


def integer_rms_norm(x: Tensor, table: Tensor, gamma: Tensor, beta: Tensor, epsilon: int, drop: int, shift: int,
                     largest: int) -> Tensor:
    """c_i = x_i."""
    return _normalise(x, table, gamma, beta, epsilon, drop, shift)


def _normalise(c: Tensor, table: Tensor, gamma: Tensor, beta: Tensor, epsilon: int, drop: int, shift: int) -> Tensor:
    """y_i = round_shift(c_i m gamma_i, shift + p) + beta_i, with m 2^-p the reciprocal root of sum c^2 + epsilon."""
    c = round_shift(c, c.new_tensor(drop))
    m, p = reciprocal_root(((c * c).sum(-1, keepdim=True) + epsilon).clamp(min=1), table)
    return round_shift(c * m * gamma, p + shift) + beta


def reciprocal_root(v: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """(m, p) with m 2^-(FRACTION + p) near v^-1/2, for integers v >= 1.

        v = 4^p 2^q (1 + f),  q in {0, 1},  0 <= f < 1              from the leading one of v
        m = table[q, floor(2^b f)]                                  b bits behind the leading one
    """
    bits = table.shape[-1].bit_length() - 1
    place = leading_place(v)
    behind = torch.where(place >= bits, v >> (place - bits).clamp(min=0), v << (bits - place).clamp(min=0))
    p, q = place >> 1, place & 1
    return table.flatten()[q * 2**bits + (behind & (2**bits - 1))], p


def leading_place(v: Tensor) -> Tensor:
    """floor(log2 v) of integers v >= 1, by halving the places to look at."""
    place = torch.zeros_like(v)
    for width in (32, 16, 8, 4, 2, 1):
        step = (v >= 1 << width).to(v.dtype) * width
        place, v = place + step, v >> step
    return place


def check_size(x: Tensor, table: Tensor, gamma: Tensor, beta: Tensor, epsilon: int, drop: int, shift: int,
               largest: int) -> None:
    low, high = (int(end) for end in x.aminmax()) if x.numel() else (0, 0)
    if max(-low, high) > largest:
        raise ValueError(
            f"integer_norm: inputs must be at most {largest} in size for the squares to fit 64 bits, got "
            f"{max(-low, high)}. Build the constants with a larger `largest`, or use a coarser unit."
        )
