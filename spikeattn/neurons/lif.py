"""Leaky integrate-and-fire.

    u[t] = beta * v[t-1] + gain * x[t]      charge: decay the membrane, add the current
    s[t] = 1 if u[t] >= threshold else 0    fire: equality fires
    v[t] = u[t] * (1 - s[t])                hard reset
    v[t] = u[t] - threshold * s[t]          soft reset

The conventions of other libraries in these letters:

    SpikingJelly  tau, decay_input=True     beta = 1 - 1/tau, gain = 1/tau
    SpikingJelly  tau, decay_input=False    beta = 1 - 1/tau, gain = 1
    snnTorch      beta, "zero" or "none"    the same beta, gain = 1, threshold one ulp higher (it fires at >)
    BSA paper     tau in (0, 1)             beta = tau, gain = 1 (Eq. 3-5, written with the decay after the reset)
"""

import math
from typing import Literal, Self

import numpy as np
from torch import Tensor

from spikeattn.neurons.neuron import Neuron, check_current, check_positive, is_power_of_two
from spikeattn.ops.lif import RESETS, LIFState, lif, lif_step
from spikeattn.surrogate import SURROGATES, Sigmoid, Surrogate
from spikeattn.types import NeuronCost

Reset = Literal["hard", "soft", "none"]


class LIF(Neuron):
    """A layer of leaky integrate-and-fire neurons; spikes are 0 or 1.

    beta: share of the membrane kept per step, in [0, 1]. gain: factor of the input.
    threshold: membrane at which it fires (>=). reset: "hard" to 0, "soft" by subtraction, or "none".
    surrogate: derivative used backward. detach_reset: no gradient through the reset (all published spiking
    transformers train so).

    >>> import torch
    >>> spikes, state = LIF(beta=0.5)(torch.tensor([[0.6], [0.8], [0.0]]))
    >>> spikes.flatten().tolist(), state.v.item()      # u = 0.6, then 0.3 + 0.8 = 1.1, then 0
    ([0.0, 1.0, 0.0], 0.0)
    """

    alphabet = "binary"
    ternary = False

    def __init__(
        self,
        beta: float = 0.5,
        gain: float = 1.0,
        threshold: float = 1.0,
        reset: Reset = "hard",
        surrogate: Surrogate | dict = Sigmoid(4.0),  # noqa: B008 - a frozen record
        detach_reset: bool = True,
    ):
        super().__init__()
        check_lif(type(self).__name__, beta, gain, threshold, reset)
        self.beta, self.gain, self.threshold, self.reset = float(beta), float(gain), float(threshold), reset
        self.surrogate, self.detach_reset = as_surrogate(surrogate), detach_reset

    @classmethod
    def from_tau(cls, tau: float = 2.0, decay_input: bool = True, **options) -> Self:
        """SpikingJelly's convention: v += (x - v)/tau, or v += x - v/tau without decay_input.

        Its `v_threshold` is our `threshold`; `v_reset=None` is `reset="soft"`, `v_reset=0.` is "hard".
        """
        if not tau >= 1:
            raise ValueError(f"{cls.__name__}.from_tau: tau must be at least 1, got {tau}. SpikingJelly's is 2.")
        return cls(beta=1 - 1 / tau, gain=1 / tau if decay_input else 1.0, **options)

    @classmethod
    def from_snntorch(
        cls, beta: float, threshold: float = 1.0, reset_mechanism: Literal["zero", "none"] = "zero", **options
    ) -> Self:
        """snnTorch's Leaky with reset "zero" or "none": it fires at >, so the threshold moves up by one float32 ulp.

        Its "subtract" is decided by the previous membrane and is a neuron of its own: `Leaky`.
        """
        resets = {"zero": "hard", "none": "none"}
        if reset_mechanism not in resets:
            raise ValueError(
                f"{cls.__name__}.from_snntorch: reset_mechanism must be 'zero' or 'none', got {reset_mechanism!r}. "
                "For 'subtract' use spikeattn.neurons.Leaky."
            )
        above = float(np.nextafter(np.float32(threshold), np.float32(math.inf)))
        return cls(beta=beta, gain=1.0, threshold=above, reset=resets[reset_mechanism], **options)

    def init_state(self, x_t: Tensor) -> LIFState:
        return LIFState(v=x_t.new_zeros(x_t.shape))

    def step(self, x_t: Tensor, state: LIFState) -> tuple[Tensor, LIFState]:
        return lif_step(x_t, state, **self._dynamics())

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        check_current(self, x)
        return lif(x, state, **self._dynamics())

    def _dynamics(self) -> dict:
        return dict(beta=self.beta, gain=self.gain, threshold=self.threshold, reset=self.reset,
                    ternary=self.ternary, surrogate=self.surrogate, detach_reset=self.detach_reset)

    @property
    def cost(self) -> NeuronCost:
        leak = "none" if self.beta == 1 else "shift" if is_power_of_two(self.beta) else "mul"
        return NeuronCost(leak=leak, compares=2 if self.ternary else 1, reset=self.reset)

    @property
    def threshold_current(self) -> float:
        return self.threshold / self.gain


def check_lif(owner: str, beta: float, gain: float, threshold: float, reset: str) -> None:
    check_positive(owner, gain=gain, threshold=threshold)
    if not 0 <= beta <= 1:
        raise ValueError(f"{owner}: beta must lie in [0, 1], got {beta}. From a time constant: beta = 1 - 1/tau.")
    if reset not in RESETS:
        raise ValueError(f"{owner}: reset must be one of {RESETS}, got {reset!r}. 'hard' sets the membrane to 0.")


def as_surrogate(surrogate: Surrogate | dict) -> Surrogate:
    """A surrogate from itself or from the plain data of a config file."""
    if isinstance(surrogate, Surrogate):
        return surrogate
    if isinstance(surrogate, dict) and surrogate.get("name") in SURROGATES:
        return SURROGATES[surrogate["name"]](surrogate["alpha"])
    raise ValueError(
        f"surrogate: must be a spikeattn.surrogate record, got {surrogate!r}. "
        f"For example ATan(2.0); in a config file name one of {sorted(SURROGATES)}."
    )
