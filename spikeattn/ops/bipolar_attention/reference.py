"""Bipolar attention as the composition of its three parts.

    U = Q K^T                 ternary_matmul, integers
    W = Shiftmax(U)           powers of two
    A = W V                   the paper's shifts of V, accumulated

The backward pass saves Q, K and V and computes U and W again: no array of N x M is kept.
"""

import torch
from torch import Tensor

from spikeattn.ops.shiftmax.reference import shiftmax, shiftmax_backward
from spikeattn.ops.ternary_matmul.reference import ternary_matmul


def current_dtype(v: Tensor) -> torch.dtype:
    """The type of the current: that of V, or float32 for an integer V."""
    return v.dtype if v.dtype.is_floating_point else torch.float32


def sum_dtype(v: Tensor) -> torch.dtype:
    """The type in which W V is summed: float32 or wider."""
    return torch.promote_types(v.dtype, torch.float32)


def bipolar_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, normaliser: str, gradient: str) -> Tensor:
    """A = Shiftmax(Q K^T) V. `gradient` names the rule of the backward op; the current does not depend on it."""
    weights = shiftmax(ternary_matmul(q, k), mask, normaliser, gradient, sum_dtype(v))
    return (weights @ v.to(weights.dtype)).to(current_dtype(v))


def bipolar_attention_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, normaliser: str, gradient: str
) -> tuple[Tensor, Tensor, Tensor]:
    weights = shiftmax(ternary_matmul(q, k), mask, normaliser, gradient, sum_dtype(v))
    return attention_gradients(grad, weights, q, k, v, gradient)


def attention_gradients(
    grad: Tensor, weights: Tensor, q: Tensor, k: Tensor, v: Tensor, gradient: str
) -> tuple[Tensor, Tensor, Tensor]:
    """dV = W^T G, dW = G V^T, dU by Shiftmax's rule, dQ = dU K, dK = dU^T Q."""
    dtype = weights.dtype
    g = grad.to(dtype)
    d_scores = shiftmax_backward(g @ v.to(dtype).mT, weights, gradient)
    return d_scores @ k.to(dtype), d_scores.mT @ q.to(dtype), weights.mT @ g
