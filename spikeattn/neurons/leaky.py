"""snnTorch's Leaky with the subtract reset, which is decided by the membrane of the step before.

    r[t] = 1 if m[t-1] > threshold else 0                        reset decision, one step late
    u[t] = beta * m[t-1] + x[t] - threshold * r[t]               charge and reset
    s[t] = 1 if u[t] > threshold else 0                          fire: equality does not fire
    m[t] = u[t]                                                  reset_delay=True (snnTorch's default)
    m[t] = u[t] - threshold * (s[t] - r[t])                      reset_delay=False

It differs from LIF(reset="soft"): there the subtraction happens before the decay, here after it.
The reset r carries no gradient; with reset_delay=False the spike in m[t] does, as in snnTorch 1.0.
"""

from typing import NamedTuple

from torch import Tensor

from spikeattn.neurons.lif import as_surrogate, check_lif
from spikeattn.neurons.neuron import Neuron, is_power_of_two
from spikeattn.surrogate import ATan, Surrogate
from spikeattn.types import NeuronCost, detach_state


class LeakyState(NamedTuple):
    """m: the membrane as snnTorch returns it, shaped like one step of the input."""

    m: Tensor
    detach = detach_state


class Leaky(Neuron):
    """A layer of snnTorch's leaky neurons with reset_mechanism="subtract".

    >>> import torch
    >>> Leaky(beta=0.5)(torch.tensor([[1.0], [1.0], [0.0]]))[0].flatten().tolist()   # m = 1, 1.5, -0.25
    [0.0, 1.0, 0.0]
    """

    citation = "eshraghian2023lessons"
    alphabet = "binary"

    def __init__(
        self,
        beta: float = 0.5,
        threshold: float = 1.0,
        reset_delay: bool = True,
        surrogate: Surrogate | dict = ATan(2.0),  # noqa: B008 - a frozen record
    ):
        super().__init__()
        check_lif("Leaky", beta, 1.0, threshold, "soft")
        self.beta, self.threshold, self.reset_delay = float(beta), float(threshold), reset_delay
        self.surrogate = as_surrogate(surrogate)

    def init_state(self, x_t: Tensor) -> LeakyState:
        return LeakyState(m=x_t.new_zeros(x_t.shape))

    def step(self, x_t: Tensor, state: LeakyState) -> tuple[Tensor, LeakyState]:
        late = (state.m > self.threshold).to(x_t.dtype)
        u = self.beta * state.m + x_t - self.threshold * late
        # fires at u > threshold: the complement of threshold - u >= 0
        spikes = 1 - self.surrogate(self.threshold - u)
        return spikes, LeakyState(m=u if self.reset_delay else u - self.threshold * (spikes - late))

    @property
    def cost(self) -> NeuronCost:
        leak = "none" if self.beta == 1 else "shift" if is_power_of_two(self.beta) else "mul"
        return NeuronCost(leak=leak, compares=1, reset="soft")

    @property
    def threshold_current(self) -> float:
        return self.threshold
