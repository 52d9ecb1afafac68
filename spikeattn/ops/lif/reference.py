"""Leaky integrate-and-fire, binary or ternary: one step, and the backward pass through T steps.

    u[t] = beta * v[t-1] + gain * x[t]                 charge
    u[t] = v[t-1] + (x[t] - v[t-1]) / tau              the same where beta = 1 - 1/tau and gain = 1/tau
    s[t] = [u >= threshold]                            fire, binary {0, 1}
    s[t] = [u >= threshold] - [-u >= threshold]        fire, ternary {-1, 0, 1}
    v[t] = u * (1 - fired)                             reset "hard": back to 0, on either sign
    v[t] = u - threshold * s                           reset "soft": subtract what was sent
    v[t] = u                                           reset "none"

fired is |s|. With detach_reset the reset carries no gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikeattn.surrogate import SURROGATES, Surrogate
from spikeattn.types import detach_state

RESETS = ("hard", "soft", "none")


class LIFState(NamedTuple):
    """v: membrane after the reset, shaped like one step of the input."""

    v: Tensor
    detach = detach_state


def is_average(beta: float, gain: float) -> bool:
    """True where the membrane is a running average of the current: beta + gain = 1 (SpikingJelly's decay_input)."""
    return beta + gain == 1 and gain != 1


def charge(current: Tensor, v: Tensor, beta: float, gain: float) -> Tensor:
    """u = beta * v + gain * current.

    A running average is rounded as SpikingJelly rounds it, v + (current - v) / tau: where a membrane meets the
    threshold exactly, the other form sends other spikes.
    """
    if is_average(beta, gain):
        return v + (current - v) / (1 / gain)
    return beta * v + gain * current


def fire(
    u: Tensor, *, threshold: float, reset: str, ternary: bool, detach_reset: bool, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Spikes of the charged membrane u, and the membrane after the reset."""
    spikes = fired = surrogate(u - threshold)
    if ternary:
        negative = surrogate(-u - threshold)
        spikes, fired = spikes - negative, spikes + negative
    if reset == "hard":
        return spikes, u * (1 - (fired.detach() if detach_reset else fired))
    if reset == "soft":
        return spikes, u - threshold * (spikes.detach() if detach_reset else spikes)
    return spikes, u


def lif_step(
    current: Tensor, state: LIFState, *, beta: float, gain: float, threshold: float, reset: str, ternary: bool,
    surrogate: Surrogate, detach_reset: bool,
) -> tuple[Tensor, LIFState]:
    """One step of a layer: (spikes, state after the reset)."""
    u = charge(current, state.v, beta, gain)
    spikes, v = fire(u, threshold=threshold, reset=reset, ternary=ternary, detach_reset=detach_reset,
                     surrogate=surrogate)
    return spikes, LIFState(v=v)


def lif_forward(
    current: Tensor,
    v: Tensor,
    beta: float,
    gain: float,
    threshold: float,
    reset: str,
    ternary: bool,
    detach_reset: bool,
    surrogate: str,
    alpha: float,
    keep_membrane: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(spikes (T, ...), membrane after the last step, charged membranes u (T, ...) or (0, ...))."""
    shape = SURROGATES[surrogate](alpha)
    spikes, charged = [], []
    for x in current.unbind(0):
        u = charge(x, v, beta, gain)
        s, v = fire(u, threshold=threshold, reset=reset, ternary=ternary, detach_reset=detach_reset,
                    surrogate=shape)
        spikes.append(s)
        if keep_membrane:
            charged.append(u)
    membranes = torch.stack(charged) if keep_membrane else current.new_empty((0, *current.shape[1:]))
    return torch.stack(spikes), v, membranes


def lif_backward(
    grad_spikes: Tensor,
    grad_v: Tensor,
    spikes: Tensor,
    membranes: Tensor,
    beta: float,
    gain: float,
    threshold: float,
    reset: str,
    ternary: bool,
    detach_reset: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor]:
    """(gradient of current (T, ...), gradient of the first membrane): the chain rule of `fire`, from t = T-1 down.

    ds/du = g(u - threshold) + g(-u - threshold),  dfired/du = g(u - threshold) - g(-u - threshold);
    the second terms exist for a ternary neuron only.
    """
    g = SURROGATES[surrogate](alpha).derivative
    slope_spike = slope_fired = g(membranes - threshold)
    if ternary:
        negative = g(-membranes - threshold)
        slope_spike, slope_fired = slope_spike + negative, slope_fired - negative
    grad_current = membranes.new_empty(membranes.shape)
    for t in range(membranes.shape[0] - 1, -1, -1):
        grad_u = grad_spikes[t] * slope_spike[t]
        if reset == "hard":
            grad_u = grad_u + grad_v * (1 - spikes[t].abs())
            if not detach_reset:
                grad_u = grad_u - grad_v * membranes[t] * slope_fired[t]
        elif reset == "soft":
            grad_u = grad_u + grad_v
            if not detach_reset:
                grad_u = grad_u - grad_v * threshold * slope_spike[t]
        else:
            grad_u = grad_u + grad_v
        grad_current[t] = gain * grad_u
        grad_v = beta * grad_u
    return grad_current, grad_v
