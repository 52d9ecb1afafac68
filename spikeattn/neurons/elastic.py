"""Elastic bi-spiking neuron of SpikeLM: rounds to -1, 0, 1, and resets by a factor.

    u[t] = v[t-1] + x[t]                                      charge
    s[t] = clamp(round(u[t] / alpha), -1, 1)                  fire, ties to even: from |u| > alpha / 2 on
    v[t] = beta * u[t] * alpha * (1 - s[t])                   decay and reset, beta = 0.25, as coded
    ds/du = 1 / alpha for |u| <= alpha, else 0                surrogate (LSQ)

The reset is not symmetric: what is left of u is 0 after a positive spike, beta alpha without one, and twice that
after a negative one. alpha is twice the threshold.

Source: Xing et al., "SpikeLM: Towards General Spike-Driven Language Modeling via Elastic Bi-Spiking Mechanisms"
(ICML 2024), and its code (spikeLM-BERT/spiking.py).
Differs from the code in: the amplitude alpha, by which the code multiplies the spikes it sends, is left to the
weights that follow, so that spikes are units (the code's are alpha s); one alpha for all time steps, where the code
has one for each; no gradient through the spike in the reset.
"""

from typing import NamedTuple, Self

from torch import Tensor

from spikeattn.neurons.ilif import round_in_window
from spikeattn.neurons.neuron import Neuron, check_positive, is_power_of_two
from spikeattn.types import NeuronCost, detach_state


class ElasticState(NamedTuple):
    """v: what the reset has left, shaped like one step of the input."""

    v: Tensor
    detach = detach_state


class ElasticBiSpiking(Neuron):
    """A layer of elastic bi-spiking neurons; alpha = 2 threshold.

    >>> import torch
    >>> spikes, state = ElasticBiSpiking()(torch.tensor([[0.4, -0.8], [0.45, -0.2]]))
    >>> spikes.tolist()              # u = 0.4, then 0.1 + 0.45; -0.8, then -2 * 0.2 - 0.2
    [[0.0, -1.0], [1.0, -1.0]]
    """

    alphabet = "ternary"
    citation = "xing2024spikelm"

    def __init__(self, threshold: float = 0.5, beta: float = 0.25):
        super().__init__()
        check_positive(type(self).__name__, threshold=threshold)
        if not 0 <= beta <= 1:
            raise ValueError(f"{type(self).__name__}: beta must lie in [0, 1], got {beta}. The code has 0.25.")
        self.threshold, self.beta = float(threshold), float(beta)

    @classmethod
    def from_current(cls, x: Tensor, **options) -> Self:
        """With the alpha that the code starts from: twice the mean size of the first current."""
        return cls(threshold=x.abs().mean().item(), **options)

    @property
    def alpha(self) -> float:
        return 2 * self.threshold

    def init_state(self, x_t: Tensor) -> ElasticState:
        return ElasticState(v=x_t.new_zeros(x_t.shape))

    def step(self, x_t: Tensor, state: ElasticState) -> tuple[Tensor, ElasticState]:
        u = state.v + x_t
        spikes = round_in_window(u / self.alpha, -1.0, 1.0)
        return spikes, ElasticState(v=self.beta * self.alpha * u * (1 - spikes.detach()))

    @property
    def cost(self) -> NeuronCost:
        decay = self.beta * self.alpha
        leak = "none" if decay == 1 else "shift" if is_power_of_two(decay) else "mul"
        return NeuronCost(leak=leak, compares=2, reset="hard")

    @property
    def threshold_current(self) -> float:
        return self.threshold
