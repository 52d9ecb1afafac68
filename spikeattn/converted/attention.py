"""Attention on code words: no exponential, no division, no product of two numbers of several bits with rounding.

    z_ij = q_i . k_j                      spikes: acc <- b acc + s_q,t . k    (planes of q, finished integers k)
    k_ij = (max_j z_ij - z_ij) >> s       rounded; s belongs to the head: one unit of the score is 2**-s octaves
    A_ij = 2**-n_ij                       Shiftmax of -k_ij; keys with k_ij > window have no weight
    O_i  = r(sum_j A_ij) sum_j A_ij v_j   shifts and additions; r is a row factor in eighths

The constants log2(e) / sqrt(d) and the steps of q and k are folded into the weights in front, so that the unit of z is
a power of two. O carries `window` + `fraction` + 3 binary places, enough for every weight: nothing is rounded.
With `normaliser` "exact" the weights are the softmax of the same scores in floating point.

Source: Shiftmax of bipolar self-attention (Wang et al., NeurIPS 2025, Eq. 13-15).
Differs from the paper in: scores are rounded to integers first, keys below the window are dropped, and a factor per
row brings the row sum, which Shiftmax leaves in (1/2, 1], nearer to 1.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikeattn.converted.linear import exact_dtype
from spikeattn.converted.node import Product
from spikeattn.ops.horner import horner
from spikeattn.ops.round_shift import round_shift
from spikeattn.ops.row_factor import row_factor, scale_rows
from spikeattn.ops.shiftmax import shiftmax


class Held(NamedTuple):
    """What the attention keeps while planes come in: planes of q, and k and v as far as they are known."""

    q: Tensor
    k: Tensor
    v: Tensor


class Attention(Product):
    """Code words q, k, v (B, N, D) and a mask (B, M) of keys -> (B, N, D) in `window + fraction + 3` binary places.

    score_shift: s of each head, int64 (H,). levels: N of the code. fraction: places for the row sum, at least log2 of
    the number of keys. value_step: what one step of v is worth (D,), where the softmax is exact and the output real.
    """

    coded = (0, 1, 2)

    def __init__(self, *, score_shift: Tensor, heads: int, base: int, levels: int, normaliser: str, window: int,
                 fraction: int, causal: bool, value_step: Tensor | None = None):
        options = dict(heads=heads, base=base, levels=levels, normaliser=normaliser, window=window, fraction=fraction,
                       causal=causal)
        tensors = {"score_shift": score_shift} | ({} if value_step is None else {"value_step": value_step})
        super().__init__(options, tensors)

    @property
    def places(self) -> int:
        """Binary places of the output."""
        return self.window + self.fraction + 3

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._attend(q, horner(k, self.base), horner(v, self.base), mask)

    def accumulate(self, sums: Any, *planes: Tensor) -> Held:
        q, k, v = planes
        if sums is None:
            return Held(q, horner(k, self.base), horner(v, self.base))
        return Held(torch.cat((sums.q, q)), *(horner(torch.stack((known, *new.to(known.dtype))), self.base)
                                              for known, new in ((sums.k, k), (sums.v, v))))

    def finish(self, sums: Held, *others: Tensor | None) -> Tensor:
        return self._attend(sums.q, sums.k, sums.v, others[0] if others else None)

    def codes(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k = self._split(q), self._split(k)
        dtype = exact_dtype(q.shape[-1] * self.levels**2)
        return self._mix((q.to(dtype) @ k.to(dtype).mT).to(torch.int64), self._split(v), mask)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Planes of q against the finished integers k: additions only."""
        q, k = self._split(q), self._split(k)
        dtype = exact_dtype(q.shape[-1] * self.levels)
        scores = horner(q.to(dtype) @ k.to(dtype).mT, self.base)
        return self._mix(scores, self._split(v), mask)

    def _mix(self, scores: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """scores (B, H, N, M) and v (B, H, M, d), both int64."""
        allowed = self._allowed(scores, mask)
        shift = self.score_shift[:, None, None]
        if self.normaliser == "exact":
            octaves = scores.double() * torch.exp2(-shift.double())
            return self._join(softmax(octaves * math.log(2), allowed) @ v.double()) * self.value_step
        lowest = torch.iinfo(torch.int64).min // 2
        highest = scores.masked_fill(~allowed, lowest).amax(-1, keepdim=True)
        distance = round_shift((highest - scores).clamp(min=0), shift)
        near = allowed & (distance <= self.window)
        weights = shiftmax(-distance, near, dtype=torch.float64)
        places = 2.0 ** (self.window + self.fraction)
        eighths = row_factor((weights.sum(-1) * places).to(torch.int64), self.normaliser)
        values = (weights @ v.double() * places).to(torch.int64)
        return self._join(scale_rows(values, eighths.unsqueeze(-1)))

    def _allowed(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        n, m = scores.shape[-2:]
        if m > 2**self.fraction:
            raise ValueError(f"Attention: there must be at most {2**self.fraction} keys, got {m}. Shorten the input to "
                             "what the source model takes.")
        allowed = torch.ones((), dtype=torch.bool, device=scores.device).expand(scores.shape)
        if mask is not None:
            allowed = allowed & mask.bool()[:, None, None, :]
        if self.causal:
            allowed = allowed & torch.ones(n, m, dtype=torch.bool, device=scores.device).tril(m - n)
        return allowed

    def _split(self, x: Tensor) -> Tensor:
        """(..., N, D) -> (..., H, N, d)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def _join(self, x: Tensor) -> Tensor:
        """(B, H, N, d) -> (B, N, D)"""
        return x.transpose(-3, -2).flatten(-2)


def softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Softmax over the allowed keys; a row without any has no weight."""
    weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
    return torch.where(allowed.any(-1, keepdim=True), weights, 0.0)
