"""Leaky integrate-and-fire over T steps as one op, with its own backward pass (see reference.py)."""

import torch
from torch import Tensor

from spikeattn.ops.lif import cpu
from spikeattn.ops.lif.reference import RESETS, LIFState, fire, is_average, lif_backward, lif_forward, lif_step
from spikeattn.ops.op import Differentiable, Implementation, Op, explained, last_derivative
from spikeattn.scan import scan
from spikeattn.surrogate import SURROGATES, Sigmoid, Surrogate

__all__ = ["LIF", "LIF_BACKWARD", "RESETS", "LIFState", "fire", "is_average", "lif", "lif_step"]

_DYNAMICS = (
    "float beta, float gain, float threshold, str reset, bool ternary, bool detach_reset, str surrogate, float alpha"
)


def _over_time(size, in_dims, args):
    """vmap's axis goes behind the time axis of sequences and in front of a single membrane."""
    sequences = {0, 2, 3} if len(args) == 12 else {0}

    def align(index, arg, dim):
        if not isinstance(arg, Tensor):
            return arg
        place = 1 if index in sequences else 0
        return arg.unsqueeze(place).expand(*arg.shape[:place], size, *arg.shape[place:]) if dim is None \
            else arg.movedim(dim, place)

    placed = [align(index, arg, dim) for index, (arg, dim) in enumerate(zip(args, in_dims, strict=True))]
    return placed, (1, 0) if len(args) == 12 else (1, 0, 1)


def _fake_forward(current, v, *options):
    kept = current.shape[0] if options[-1] else 0
    return current.new_empty(current.shape), v.new_empty(v.shape), current.new_empty((kept, *current.shape[1:]))


def _fake_backward(grad_spikes, grad_v, spikes, membranes, *options):
    return membranes.new_empty(membranes.shape), grad_v.new_empty(grad_v.shape)


LIF = Op(
    "lif",
    f"(Tensor current, Tensor v, {_DYNAMICS}, bool keep_membrane) -> (Tensor, Tensor, Tensor)",
    reference=lif_forward, fake=_fake_forward, batching=_over_time,
    faster=(Implementation("cpu", cpu.lif_forward, cpu.refuses),),
)
LIF_BACKWARD = Op(
    "lif_backward",
    f"(Tensor grad_spikes, Tensor grad_v, Tensor spikes, Tensor membranes, {_DYNAMICS}) -> (Tensor, Tensor)",
    reference=lif_backward, fake=_fake_backward, batching=_over_time,
)
_backward = last_derivative(LIF_BACKWARD)


class _LIF(Differentiable):
    op = LIF

    @staticmethod
    def setup_context(ctx, inputs, output):
        spikes, _, membranes = output
        ctx.dynamics = inputs[2:-1]
        ctx.mark_non_differentiable(membranes)
        ctx.save_for_backward(spikes, membranes)

    @staticmethod
    def backward(ctx, grad_spikes, grad_v, _):
        grads = _backward(grad_spikes, grad_v, *ctx.saved_tensors, *ctx.dynamics)
        return *grads, *[None] * (len(ctx.dynamics) + 1)


@explained(LIF)
def lif(
    current: Tensor,
    state: LIFState | None = None,
    *,
    beta: float,
    gain: float = 1.0,
    threshold: float = 1.0,
    reset: str = "hard",
    ternary: bool = False,
    surrogate: Surrogate = Sigmoid(4.0),  # noqa: B008 - a frozen record
    detach_reset: bool = True,
) -> tuple[Tensor, LIFState]:
    """Spikes of a layer of leaky integrate-and-fire neurons, and its state after the last step.

        u[t] = beta * v[t-1] + gain * x[t]           charge
        s[t] = [u >= threshold] (- [-u >= threshold] when ternary)
        v[t] = u (1 - |s|) | u - threshold s | u     reset "hard", "soft", "none"

    current: (T, ...), T >= 1; state: of shape (...), None begins at 0. A surrogate that is not one of
    spikeattn.surrogate.SURROGATES runs through the plain loop, with the same values.

    >>> spikes, state = lif(torch.tensor([[0.6], [0.8]]), beta=0.5)
    >>> spikes.flatten().tolist(), state.v.item()
    ([0.0, 1.0], 0.0)
    """
    _check(current, state, reset)
    state = LIFState(v=current.new_zeros(current.shape[1:])) if state is None else state
    if SURROGATES.get(surrogate.name) is not type(surrogate):
        dynamics = dict(beta=beta, gain=gain, threshold=threshold, reset=reset, ternary=ternary,
                        surrogate=surrogate, detach_reset=detach_reset)
        return scan(lambda x, s: lif_step(x, s, **dynamics), current, state)
    v = state.v.to(current.dtype)
    keep = torch.is_grad_enabled() and (current.requires_grad or v.requires_grad)
    spikes, v, _ = _LIF.apply(current, v, beta, gain, threshold, reset, ternary, detach_reset,
                              surrogate.name, surrogate.alpha, keep)
    return spikes, LIFState(v=v)


def _check(current: Tensor, state: LIFState | None, reset: str) -> None:
    if reset not in RESETS:
        raise ValueError(f"lif: reset must be one of {RESETS}, got {reset!r}. 'hard' sets the membrane to 0.")
    if current.ndim < 1 or current.shape[0] == 0:
        raise ValueError(f"lif: current must be (T, ...) with T >= 1, got {tuple(current.shape)}. Pass a step.")
    if state is not None and state.v.shape != current.shape[1:]:
        raise ValueError(
            f"lif: the membrane must be shaped like one step {tuple(current.shape[1:])}, got {tuple(state.v.shape)}. "
            "Pass state=None to begin a new sequence."
        )
