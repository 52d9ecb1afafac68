"""Integer LIF: trained with integer levels, run as unit spikes over D virtual steps.

    u[t] = beta * v[t-1] + x[t]                                  charge
    s[t] = round(clamp(u[t] / threshold, 0, D))                  fire: an integer level 0 ... D, ties to even
    v[t] = u[t] - threshold * s[t]                               soft reset (beta = 0: no memory at all)
    ds/du = 1 / threshold for 0 <= u <= D threshold, else 0      surrogate: the window of the clamp
    inference:  s[t] = b[t,1] + ... + b[t,D],  b in {0, 1}       `unroll`: T x D binary steps

Source: Luo et al., "Integer-Valued Training and Spike-Driven Inference" (SpikeYOLO, ECCV 2024); with beta = 0
and `normalise` it is the neuron of Spike-driven Transformer V3 (levels divided by D). The unrolled form is
exact for linear layers because the spikes of a level sum to it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikeattn.neurons.neuron import Neuron, check_positive, is_power_of_two
from spikeattn.types import NeuronCost, detach_state


class ILIFState(NamedTuple):
    """v: membrane after the soft reset, shaped like one step of the input."""

    v: Tensor
    detach = detach_state


class _RoundInWindow(torch.autograd.Function):
    """round(clamp(x, low, high)) forward; identity inside [low, high], zero outside, backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp(low, high).round()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, low, high = inputs
        ctx.save_for_backward((x >= low) & (x <= high))

    @staticmethod
    def backward(ctx, grad: Tensor):
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None


def round_in_window(x: Tensor, low: float, high: float) -> Tensor:
    """round(clamp(x, low, high)), ties to even; its gradient is 1 inside the window and 0 outside."""
    return _RoundInWindow.apply(x, low, high)


class ILIF(Neuron):
    """A layer of integer neurons; outputs are the levels 0 ... levels (divided by `levels` with `normalise`).

    >>> neuron = ILIF(levels=4)
    >>> spikes, _ = neuron(torch.tensor([[1.6, 9.0, -1.0]]))
    >>> spikes.tolist(), neuron.unroll(spikes).sum(0).tolist()
    ([[2.0, 4.0, 0.0]], [2.0, 4.0, 0.0])
    """

    citation = "luo2024integer"
    alphabet = "graded"
    lowest_sign = 0

    def __init__(self, levels: int = 4, beta: float = 0.0, threshold: float = 1.0, normalise: bool = False):
        super().__init__()
        check_positive(type(self).__name__, threshold=threshold, levels=levels)
        if not 0 <= beta <= 1:
            raise ValueError(f"{type(self).__name__}: beta must lie in [0, 1], got {beta}. 0 keeps no membrane.")
        self.levels, self.beta, self.threshold, self.normalise = int(levels), float(beta), float(threshold), normalise

    def init_state(self, x_t: Tensor) -> ILIFState:
        return ILIFState(v=x_t.new_zeros(x_t.shape))

    def step(self, x_t: Tensor, state: ILIFState) -> tuple[Tensor, ILIFState]:
        u = self.beta * state.v + x_t
        level = round_in_window(u / self.threshold, float(self.lowest_sign * self.levels), float(self.levels))
        after = u - self.threshold * level.detach()
        return (level / self.levels if self.normalise else level), ILIFState(v=after)

    def unroll(self, spikes: Tensor) -> Tensor:
        """(T, ...) levels -> (T * levels, ...) unit spikes whose sum over each group of `levels` is the level.

        With `normalise` the weights that follow carry the factor 1/levels, so that the spikes stay units.
        """
        level = (spikes * self.levels if self.normalise else spikes).round()
        order = torch.arange(1, self.levels + 1, device=spikes.device, dtype=spikes.dtype)
        order = order.view(1, -1, *[1] * (spikes.ndim - 1))
        units = (level.abs().unsqueeze(1) >= order).to(spikes.dtype) * level.sign().unsqueeze(1)
        return units.flatten(0, 1)

    @property
    def spike_step(self) -> float:
        return 1 / self.levels if self.normalise else 1.0

    @property
    def cost(self) -> NeuronCost:
        leak = "shift" if is_power_of_two(self.beta) else "mul" if self.beta else "none"
        # at inference each level is sent as unit spikes, one comparison and one subtraction for each
        return NeuronCost(leak=leak, compares=self.levels * (1 - self.lowest_sign), reset="soft",
                          state_words=1 if self.beta else 0)

    @property
    def threshold_current(self) -> float:
        return self.threshold / 2  # from here on a current rounds up to level 1
