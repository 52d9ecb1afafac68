"""Shiftmax in float arithmetic, row by row exact because each row is first shown to be.

    w_j = 2**(x_j - m)                        written into the bits of a float32
    S   = sum_j w_j                           in float64: exact while spread + ceil(log2 M) <= 52
    y_j = w_j * 2**-(gamma - m)               one power of two for the whole row

Every partial sum is a multiple of 2**-spread and at most 2**ceil(log2 M), so within 52 bits no addition rounds.
The normaliser of wider rows is computed in integers by the reference, and a call with weights below the normal
numbers of float32 goes there altogether.
"""

import torch
from torch import Tensor

from . import reference
from .reference import ceil_log2, distances, log2_of_sum, power_of_two


def row_weights(scores: Tensor, mask: Tensor | None, normaliser: str) -> tuple[Tensor, Tensor] | None:
    """(w, scale) with y = w * scale, w (..., N, M) and scale (..., N, 1) float32; None if a w would be subnormal."""
    low, high = scores.aminmax(dim=-1, keepdim=True)
    spread, carry = high - low, ceil_log2(scores.shape[-1])  # of masked keys too: an upper bound
    widest = float(spread.max()) if spread.numel() else 0
    if not widest + carry <= 126:
        return None
    w, row_sum = powers(scores, high, mask)
    fraction, power = torch.frexp(row_sum)
    power = power - (fraction == 0.5 if normaliser == "ceil" else fraction < 0.75).int()
    if widest + carry > 52:
        wide = spread.squeeze(-1) + carry > 52
        keep = None if mask is None else mask.expand(scores.shape)[wide]
        power[wide] = log2_of_sum(distances(scores[wide], keep), normaliser).int()
    return w, power_of_two(power.clamp(min=0), torch.float32)  # power is below 0 only without a key, where w is 0


def powers(scores: Tensor, high: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """w = 2**(x - m) as float32, 0 where masked, and its row sums as float64."""
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
        high = scores.amax(-1, keepdim=True)
        high = torch.where(high == -torch.inf, 0, high)
    # The bias of float32 is 127, and a masked key gets field 0. (high - 127 would round for scores above 2**24.)
    exponent_field = (scores - high).add_(127).clamp_(min=0)
    w = (exponent_field.to(torch.int32) << 23).view(torch.float32)
    return w, w.sum(-1, keepdim=True, dtype=torch.float64)


def shiftmax(scores: Tensor, mask: Tensor | None, normaliser: str, gradient: str, dtype: torch.dtype) -> Tensor:
    weights = row_weights(scores, mask, normaliser)
    if weights is None:
        return reference.shiftmax(scores, mask, normaliser, gradient, dtype)
    w, scale = weights
    return (w * scale).to(dtype)


def refuses(scores: Tensor, *options) -> str | None:
    if scores.device.type != "cpu":
        return f"measured on CPUs only, got {scores.device.type}"
    if scores.dtype != torch.float32:
        return f"scores must be float32, got {scores.dtype}"
    return None
