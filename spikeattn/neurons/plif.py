"""Parametric LIF: one learnable decay for the whole layer.

    beta = 1 - sigmoid(w)                              w is a parameter; tau = 1 / sigmoid(w)
    u[t] = v[t-1] + sigmoid(w) * (x[t] - v[t-1])       charge, decay_input=True
    u[t] = beta * v[t-1] + x[t]                        charge, decay_input=False
    s[t], v[t]                                         fire and reset as in LIF

Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
Networks" (ICCV 2021); `w` is the name in SpikingJelly's checkpoints.
"""

import math

import torch
from torch import Tensor, nn

from spikeattn.neurons.lif import Reset, as_surrogate, check_lif
from spikeattn.neurons.neuron import Neuron
from spikeattn.ops.lif import LIFState, fire
from spikeattn.surrogate import Sigmoid, Surrogate
from spikeattn.types import NeuronCost


class PLIF(Neuron):
    """A layer of LIF neurons that learns its decay; `init_tau` is the time constant at the start.

    >>> PLIF(init_tau=2.0).w.item()
    -0.0
    """

    citation = "fang2021plif"
    alphabet = "binary"
    ternary = False

    def __init__(
        self,
        init_tau: float = 2.0,
        decay_input: bool = True,
        threshold: float = 1.0,
        reset: Reset = "hard",
        surrogate: Surrogate | dict = Sigmoid(4.0),  # noqa: B008 - a frozen record
        detach_reset: bool = True,
    ):
        super().__init__()
        if not init_tau > 1:
            raise ValueError(f"{type(self).__name__}: init_tau must be above 1, got {init_tau}. The paper uses 2.")
        check_lif(type(self).__name__, 0.0, 1.0, threshold, reset)
        self.init_tau, self.decay_input, self.threshold, self.reset = init_tau, decay_input, float(threshold), reset
        self.surrogate, self.detach_reset = as_surrogate(surrogate), detach_reset
        self.w = nn.Parameter(torch.tensor(-math.log(init_tau - 1)))

    def init_state(self, x_t: Tensor) -> LIFState:
        return LIFState(v=x_t.new_zeros(x_t.shape))

    def step(self, x_t: Tensor, state: LIFState) -> tuple[Tensor, LIFState]:
        rate = self.w.sigmoid().to(x_t.dtype)
        u = state.v + (x_t - state.v) * rate if self.decay_input else (1 - rate) * state.v + x_t
        spikes, v = fire(u, threshold=self.threshold, reset=self.reset, ternary=self.ternary,
                         surrogate=self.surrogate, detach_reset=self.detach_reset)
        return spikes, LIFState(v=v)

    @property
    def cost(self) -> NeuronCost:
        return NeuronCost(leak="mul", compares=2 if self.ternary else 1, reset=self.reset)

    @property
    def threshold_current(self) -> float:
        return self.threshold * self.init_tau if self.decay_input else self.threshold
