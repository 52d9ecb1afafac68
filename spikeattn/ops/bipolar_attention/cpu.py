"""Bipolar attention with Shiftmax in exact float32 arithmetic (see ../shiftmax/cpu.py).

    A = (w V) * 2**-(gamma - m)               w_ij = 2**(u_ij - m_i); the row's factor is applied after the sum

A factor of a power of two commutes with rounding, so the current equals the reference's bit for bit where both
products add in the same order.
"""

import torch
from torch import Tensor

from spikeattn.ops.shiftmax.cpu import row_weights
from spikeattn.ops.ternary_matmul.reference import score_dtype, ternary_matmul

from . import reference
from .reference import attention_gradients, current_dtype, sum_dtype


def bipolar_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, normaliser: str, gradient: str) -> Tensor:
    weights = row_weights(ternary_matmul(q, k), mask, normaliser)
    if weights is None:
        return reference.bipolar_attention(q, k, v, mask, normaliser, gradient)
    w, scale = weights
    dtype = sum_dtype(v)
    return (w.to(dtype) @ v.to(dtype)).mul_(scale).to(current_dtype(v))


def bipolar_attention_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, normaliser: str, gradient: str
) -> tuple[Tensor, Tensor, Tensor]:
    weights = row_weights(ternary_matmul(q, k), mask, normaliser)
    if weights is None:
        return reference.bipolar_attention_backward(grad, q, k, v, mask, normaliser, gradient)
    w, scale = weights
    return attention_gradients(grad, (w * scale).to(sum_dtype(v)), q, k, v, gradient)


def refuses(q: Tensor, k: Tensor, v: Tensor, *options) -> str | None:
    if q.device.type != "cpu":
        return f"measured on CPUs only, got {q.device.type}"
    if score_dtype(q, k) != torch.float32:
        return f"scores must be float32, got {score_dtype(q, k)}"
    return None


def refuses_backward(grad: Tensor, *operands) -> str | None:
    return refuses(*operands)
