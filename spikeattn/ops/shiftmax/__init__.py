"""Shiftmax: attention weights that are powers of two (the mathematics is in README.md)."""

import torch
from torch import Tensor

from spikeattn.ops.op import Differentiable, Implementation, Op, explained, last_derivative

from . import cpu, reference
from .reference import GRADIENTS, MASKED, NORMALISERS, check_scores

__all__ = ["shiftmax", "shiftmax_exponents", "pack_exponents", "unpack_exponents"]

PACKED_MASKED = 255

SHIFTMAX = Op(
    "shiftmax",
    "(Tensor scores, Tensor? mask, str normaliser, str gradient, ScalarType dtype) -> Tensor",
    reference=reference.shiftmax,
    fake=lambda scores, mask, normaliser, gradient, dtype: scores.new_empty(scores.shape, dtype=dtype),
    check=check_scores,
    faster=(Implementation("cpu", cpu.shiftmax, cpu.refuses),),
)
SHIFTMAX_BACKWARD = Op(
    "shiftmax_backward",
    "(Tensor grad, Tensor weights, str gradient) -> Tensor",
    reference=reference.shiftmax_backward,
    fake=lambda grad, weights, gradient: grad.new_empty(
        grad.shape, dtype=torch.promote_types(torch.promote_types(grad.dtype, weights.dtype), torch.float32)),
)
SHIFTMAX_EXPONENTS = Op(
    "shiftmax_exponents",
    "(Tensor scores, Tensor? mask, str normaliser) -> Tensor",
    reference=reference.shiftmax_exponents,
    fake=lambda scores, mask, normaliser: scores.new_empty(scores.shape, dtype=torch.int32),
    check=check_scores,
)

_backward = last_derivative(SHIFTMAX_BACKWARD)


class _Shiftmax(Differentiable):
    op = SHIFTMAX

    @staticmethod
    def setup_context(ctx, inputs, output):
        scores, _, _, ctx.gradient, _ = inputs
        ctx.scores_dtype = scores.dtype
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        (weights,) = ctx.saved_tensors
        return _backward(grad, weights, ctx.gradient).to(ctx.scores_dtype), None, None, None, None


@explained(SHIFTMAX)
def shiftmax(
    scores: Tensor,
    mask: Tensor | None = None,
    *,
    normaliser: str = "ceil",
    gradient: str = "straight_through",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Each row of integer scores as weights that are powers of two and sum to more than 1/2 and at most 1.

        gamma = ceil(log2 sum_j 2**x_j)              the row's normaliser, exact for every row
        y_i   = 2**(x_i - gamma)                     weight

    scores: (..., N, M), integers in an integer or a floating type. mask: boolean, True = may attend,
    broadcastable to the scores. A masked key has weight 0 and is no part of the sum; a row without keys is 0; a
    single key has weight 1. The weights are float32 or wider unless `dtype` says otherwise; below the type's
    range they are 0.
    normaliser: "round" takes the nearest power of two of the sum instead (row sums in [3/4, 3/2)).
    gradient: "straight_through" takes ceil as the identity, dx_j = ln2 y_j (g_j - sum_i p_i g_i) with
    p = y / sum(y); "detached" holds gamma constant, dx_j = ln2 y_j g_j.

    Source: Wang et al., "Bipolar Self-attention for Spiking Transformers", NeurIPS 2025, Eq. 13 and 14.
    Differs from the paper in: masks, the choice of normaliser, and the backward rule, on which it is silent.

    >>> shiftmax(torch.tensor([3, 1, -2]))              # 8 + 2 + 1/4 is at most 16
    tensor([0.5000, 0.1250, 0.0156])
    """
    _check("shiftmax", scores, mask, normaliser)
    if gradient not in GRADIENTS:
        raise ValueError(f"shiftmax: gradient must be one of {GRADIENTS}, got {gradient!r}. Choose one of them.")
    return _Shiftmax.apply(scores, mask, normaliser, gradient, _weight_dtype(scores, dtype))


@explained(SHIFTMAX_EXPONENTS)
def shiftmax_exponents(scores: Tensor, mask: Tensor | None = None, *, normaliser: str = "ceil") -> Tensor:
    """The exponents n of Shiftmax, weight = 2**-n, as int32: what a shifter needs, exact for every row.

    Scores and mask as in `shiftmax`. n is 2**31 - 1 where masked; exponents of 2**31 - 2 and more are given as
    2**31 - 2.

    >>> shiftmax_exponents(torch.tensor([[3, 1, -2], [0, -25, -25]]), torch.tensor([True, True, False]))
    tensor([[         1,          3, 2147483647],
            [         1,         26, 2147483647]], dtype=torch.int32)
    """
    _check("shiftmax_exponents", scores, mask, normaliser)
    return SHIFTMAX_EXPONENTS(scores, mask, normaliser)


def pack_exponents(exponents: Tensor) -> Tensor:
    """Exponents in one byte each, 255 = masked; those beyond 254 are refused.

    Scores of ternary q and k of d channels over M keys have n <= 2 d + ceil(log2 M), so d <= 120 always fits.

    >>> pack_exponents(torch.tensor([1, 26, 2147483647], dtype=torch.int32))
    tensor([  1,  26, 255], dtype=torch.uint8)
    """
    masked = exponents == MASKED
    largest = int(torch.where(masked, 0, exponents).max())
    if largest >= PACKED_MASKED:
        raise ValueError(
            f"pack_exponents: exponents must be at most 254, got {largest}. "
            "Keep them as int32, or mask keys so far from the row's maximum."
        )
    return torch.where(masked, PACKED_MASKED, exponents).to(torch.uint8)


def unpack_exponents(packed: Tensor) -> Tensor:
    """The int32 exponents that `pack_exponents` was given.

    >>> unpack_exponents(torch.tensor([1, 255], dtype=torch.uint8))
    tensor([         1, 2147483647], dtype=torch.int32)
    """
    return torch.where(packed == PACKED_MASKED, MASKED, packed.to(torch.int32)).to(torch.int32)


def _weight_dtype(scores: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.promote_types(scores.dtype, torch.float32)
    if dtype not in reference.FLOATS:
        raise ValueError(f"shiftmax: dtype must be one of {list(reference.FLOATS)}, got {dtype}. None gives float32.")
    return dtype


def _check(name: str, scores: Tensor, mask: Tensor | None, normaliser: str) -> None:
    if normaliser not in NORMALISERS:
        raise ValueError(f"{name}: normaliser must be one of {NORMALISERS}, got {normaliser!r}. The paper's is 'ceil'.")
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(
            f"{name}: scores must be (..., N, M) with at least one key, got shape {tuple(scores.shape)}. "
            "To exclude every key of a row, mask them."
        )
    if scores.dtype == torch.bool or scores.is_complex():
        raise TypeError(f"{name}: scores must be integers or integer-valued floats, got {scores.dtype}. Convert them.")
    check_mask(name, mask, scores.shape)


def check_mask(name: str, mask: Tensor | None, shape: torch.Size) -> None:
    """A mask is boolean and broadcasts to the scores without enlarging them."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"{name}: mask must be boolean, True = may attend, got {mask.dtype}. Use mask > 0.")
    fits = mask.ndim <= len(shape) and all(
        size == 1 or size == full for size, full in zip(reversed(mask.shape), reversed(shape), strict=False))
    if not fits:
        raise ValueError(
            f"{name}: mask must broadcast to the scores {tuple(shape)}, got {tuple(mask.shape)}. "
            "A mask of keys is (B, 1, 1, M), a causal one (N, M)."
        )
