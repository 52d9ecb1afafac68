"""The binary neuron with fewer passes over memory: comparisons in place of surrogates, updates in place.

Equal to reference.py bit for bit: a hard reset writes 0 where the reference multiplies by 0. Forward only and for
binary spikes only: a ternary form and a backward pass of this kind were measured and won nothing.
"""

import torch
from torch import Tensor

from spikeattn.ops.lif.reference import is_average


def refuses(current: Tensor, v: Tensor, beta: float, gain: float, threshold: float, reset: str, ternary: bool,
            *others) -> str | None:
    """Why these arguments run elsewhere, or None."""
    if current.device.type != "cpu":
        return f"it is for CPU tensors, got {current.device.type}"
    return "ternary spikes gain nothing by it" if ternary else None


def lif_forward(current: Tensor, v: Tensor, beta: float, gain: float, threshold: float, reset: str, ternary: bool,
                detach_reset: bool, surrogate: str, alpha: float,
                keep_membrane: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(spikes, membrane after the last step, charged membranes or an empty tensor), as in reference.py."""
    average = is_average(beta, gain)
    driven = current if average or gain == 1 else gain * current
    spikes = current.new_empty(current.shape)
    membranes = current.new_empty((current.shape[0] if keep_membrane else 0, *current.shape[1:]))
    for t in range(current.shape[0]):
        add = driven[t].sub(v).div_(1 / gain) if average else driven[t]
        u = torch.add(v if average else beta * v, add, out=membranes[t] if keep_membrane else None)
        fired = u >= threshold
        spikes[t] = fired
        if reset == "hard":
            v = u.masked_fill(fired, 0)
        elif reset == "soft":
            v = u - threshold * spikes[t]
        else:
            v = u
    return spikes, v.clone() if v is u else v, membranes
