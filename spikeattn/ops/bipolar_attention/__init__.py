"""Bipolar attention: ternary scores, Shiftmax, shifted values (the mathematics is in README.md)."""

import torch
from torch import Tensor

from spikeattn.ops.op import Differentiable, Implementation, Op, explained, last_derivative
from spikeattn.ops.shiftmax import check_mask
from spikeattn.ops.shiftmax.reference import GRADIENTS, NORMALISERS
from spikeattn.ops.ternary_matmul import check_heads, check_leading, expand_heads
from spikeattn.ops.ternary_matmul.reference import check_spikes

from . import cpu, reference
from .reference import current_dtype, sum_dtype

__all__ = ["bipolar_attention"]


def _fake(q, k, v, mask, normaliser, gradient):
    return v.new_empty((*q.shape[:-1], v.shape[-1]), dtype=current_dtype(v))


def _fake_backward(grad, q, k, v, mask, normaliser, gradient):
    return tuple(t.new_empty(t.shape, dtype=sum_dtype(v)) for t in (q, k, v))


BIPOLAR_ATTENTION = Op(
    "bipolar_attention",
    "(Tensor q, Tensor k, Tensor v, Tensor? mask, str normaliser, str gradient) -> Tensor",
    reference=reference.bipolar_attention, fake=_fake,
    check=lambda q, k, *rest: check_spikes("bipolar_attention", q, k),
    faster=(Implementation("cpu", cpu.bipolar_attention, cpu.refuses),),
)
BIPOLAR_ATTENTION_BACKWARD = Op(
    "bipolar_attention_backward",
    "(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor? mask, str normaliser, str gradient) "
    "-> (Tensor, Tensor, Tensor)",
    reference=reference.bipolar_attention_backward, fake=_fake_backward,
    faster=(Implementation("cpu", cpu.bipolar_attention_backward, cpu.refuses_backward),),
)

_backward = last_derivative(BIPOLAR_ATTENTION_BACKWARD)


class _BipolarAttention(Differentiable):
    op = BIPOLAR_ATTENTION

    @staticmethod
    def setup_context(ctx, inputs, output):
        q, k, v, mask, ctx.normaliser, ctx.gradient = inputs
        ctx.save_for_backward(q, k, v, mask)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, mask = ctx.saved_tensors
        dq, dk, dv = _backward(grad, q, k, v, mask, ctx.normaliser, ctx.gradient)
        return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype), None, None, None


@explained(BIPOLAR_ATTENTION)
def bipolar_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    normaliser: str = "ceil",
    gradient: str = "straight_through",
) -> Tensor:
    """The current of bipolar self-attention before its output neuron.

        u_ij = sum_c q_ic k_jc                       integer score of ternary spikes
        n_ij = ceil(log2 sum_j 2**u_ij) - u_ij       Shiftmax exponent
        a_ik = sum_j v_jk 2**-n_ij                   values shifted by n and accumulated

    q: (..., N, d) and k: (..., M, d) spikes in {-1, 0, 1} or integer levels; v: (..., M, e), any real values;
    leading axes broadcast; mask: boolean, True = may attend, broadcastable to (..., N, M). Returns (..., N, e) in
    the type of v, summed in float32 or wider. A query without keys gives 0. `normaliser` and `gradient` as in
    `shiftmax`. The backward pass keeps q, k and v only.

    Source: Wang et al., "Bipolar Self-attention for Spiking Transformers", NeurIPS 2025, Eq. 13-18.
    Differs from the paper in: masks, the choice of normaliser, and the backward rule, on which it is silent.

    >>> q, k = torch.tensor([[1., -1.]]), torch.tensor([[1., -1.], [0., 1.]])     # scores 2 and -1
    >>> bipolar_attention(q, k, v=torch.tensor([[8.], [16.]]))                    # 8 / 2 + 16 / 16
    tensor([[5.]])
    """
    check_heads("bipolar_attention", q, k)
    _check_values(k, v)
    if normaliser not in NORMALISERS or gradient not in GRADIENTS:
        raise ValueError(
            f"bipolar_attention: normaliser must be one of {NORMALISERS} and gradient one of {GRADIENTS}, got "
            f"{normaliser!r} and {gradient!r}. The defaults are the first of each."
        )
    q, k, v = expand_heads(q, k, v)
    check_mask("bipolar_attention", mask, torch.Size((*q.shape[:-1], k.shape[-2])))
    return _BipolarAttention.apply(q, k, v, mask, normaliser, gradient)


def _check_values(k: Tensor, v: Tensor) -> None:
    if v.ndim < 2 or v.shape[-2] != k.shape[-2] or k.shape[-2] == 0:
        raise ValueError(
            f"bipolar_attention: v must be (..., M, e) with one row for each of the M >= 1 keys, got v "
            f"{tuple(v.shape)} and k {tuple(k.shape)}. Pass the values of the same tokens."
        )
    if v.dtype == torch.bool or v.is_complex():
        raise TypeError(f"bipolar_attention: v must be of a real type, got {v.dtype}. Convert it.")
    check_leading("bipolar_attention", k, v)
