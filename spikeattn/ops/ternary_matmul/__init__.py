"""Scores of ternary queries and keys (the mathematics is in README.md)."""

import torch
from torch import Tensor

from spikeattn.ops.op import Differentiable, Op, explained, last_derivative

from . import reference
from .reference import check_spikes, score_dtype

__all__ = ["ternary_matmul"]


def _fake(q, k):
    return q.new_empty((*q.shape[:-1], k.shape[-2]), dtype=score_dtype(q, k))


def _fake_backward(grad, q, k):
    dtype = torch.promote_types(score_dtype(q, k), grad.dtype)
    return q.new_empty(q.shape, dtype=dtype), k.new_empty(k.shape, dtype=dtype)


TERNARY_MATMUL = Op(
    "ternary_matmul", "(Tensor q, Tensor k) -> Tensor",
    reference=reference.ternary_matmul, fake=_fake,
    check=lambda q, k: check_spikes("ternary_matmul", q, k),
)
TERNARY_MATMUL_BACKWARD = Op(
    "ternary_matmul_backward", "(Tensor grad, Tensor q, Tensor k) -> (Tensor, Tensor)",
    reference=reference.ternary_matmul_backward, fake=_fake_backward,
)

_backward = last_derivative(TERNARY_MATMUL_BACKWARD)


class _TernaryMatmul(Differentiable):
    op = TERNARY_MATMUL

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        q, k = ctx.saved_tensors
        dq, dk = _backward(grad, q, k)
        return dq.to(q.dtype), dk.to(k.dtype)


@explained(TERNARY_MATMUL)
def ternary_matmul(q: Tensor, k: Tensor) -> Tensor:
    """Scores of spiking queries against spiking keys, exact integers.

        u_ij = sum_c q_ic k_jc                       additions and subtractions of ones; no scale

    q: (..., N, d), k: (..., M, d), spikes in {-1, 0, 1}; integer levels (graded spikes) are taken too, as long as
    every sum stays exact. Leading axes broadcast. Returns (..., N, M): float32 or wider for floating spikes, also
    for half types and under autocast; int32 for integer ones. Gradients: dQ = G K, dK = G^T Q.

    Source: Wang et al., NeurIPS 2025, section on the ternary matrix product (Eq. 17, which omits the transpose).

    >>> ternary_matmul(torch.tensor([[1, -1, 0]]), torch.tensor([[1, 1, 1], [-1, 1, 0]]))
    tensor([[ 0, -2]], dtype=torch.int32)
    """
    check_heads("ternary_matmul", q, k)
    return _TernaryMatmul.apply(*expand_heads(q, k))


def check_heads(name: str, q: Tensor, k: Tensor) -> None:
    """q (..., N, d) and k (..., M, d) share d and are integers or real numbers."""
    for letter, spikes in (("q", q), ("k", k)):
        if spikes.ndim < 2:
            raise ValueError(f"{name}: {letter} must be (..., N, d), got {tuple(spikes.shape)}. Keep the token axis.")
        if spikes.dtype == torch.bool or spikes.is_complex():
            raise TypeError(f"{name}: {letter} must be integers or floats, got {spikes.dtype}. Convert it.")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"{name}: q and k must have the same d, got {q.shape[-1]} and {k.shape[-1]}. "
            "Project both to the same head width."
        )
    check_leading(name, q, k)


def leading_axes(*tensors: Tensor) -> torch.Size:
    """What the axes before the last two broadcast to; where all are equal without torch, which takes 0.2 ms for it."""
    first, *others = (t.shape[:-2] for t in tensors)
    return torch.broadcast_shapes(first, *others) if any(shape != first for shape in others) else first


def check_leading(name: str, *tensors: Tensor) -> None:
    try:
        leading_axes(*tensors)
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
        raise ValueError(f"{name}: leading axes must broadcast, got {shapes}. Use the same batch and heads.") from error


def expand_heads(*tensors: Tensor) -> list[Tensor]:
    """Views with the same leading axes, so that gradients of broadcast operands are summed by autograd."""
    leading = leading_axes(*tensors)
    return [t if t.shape[:-2] == leading else t.expand(*leading, *t.shape[-2:]) for t in tensors]
