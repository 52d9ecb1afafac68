"""Ternary Spike: ternary LIF with the constants and the straight-through gradient of its code.

    u[t] = beta * v[t-1] + x[t]                               charge, beta = 0.25
    s[t] = sign(u[t]) * [|u[t]| >= threshold]                 fire; threshold = V_th / 2, V_th = 1
    v[t] = u[t] * (1 - |s[t]|)                                hard reset, on either sign
    ds/du = 1 / V_th for |u| <= V_th, else 0                  the derivative of clamp(u / V_th, -1, 1)

The code divides by V_th and fires from one half on, which is the threshold of V_th / 2 here. One window covers both
thresholds and the silence between them.

Source: Guo et al., "Ternary Spike: Learning Ternary Spikes for Spiking Neural Networks" (AAAI 2024), and its code.
Differs from the code in: no gradient through the reset unless asked for (the hosts' convention).
"""

import torch
from torch import Tensor, nn

from spikeattn.neurons.lif import LIFState
from spikeattn.neurons.neuron import check_positive
from spikeattn.neurons.ternary_lif import TernaryLIF
from spikeattn.surrogate import STE


class TernarySpike(TernaryLIF):
    """A layer of ternary neurons as Guo et al. train them.

    >>> spikes, state = TernarySpike()(torch.tensor([[0.4], [0.4], [-0.6]]))       # u = 0.4, 0.5, -0.6
    >>> spikes.flatten().tolist()
    [0.0, 1.0, -1.0]
    """

    citation = "guo2024ternary"

    def __init__(self, threshold: float = 0.5, beta: float = 0.25, detach_reset: bool = True):
        check_positive(type(self).__name__, threshold=threshold)
        super().__init__(beta=beta, threshold=threshold, surrogate=STE(1 / (2 * threshold)), detach_reset=detach_reset)


class ScaledTernarySpike(TernarySpike):
    """Ternary Spike with one learnable amplitude a for the layer: it sends -a, 0 or a.

    Unverified: what we know of this variant of the paper is second-hand, the released code keeps a = 1. Its output is
    not made of units, so exact products of spikes refuse it: `folded` moves a into the weights that follow.

    >>> neuron, amplitude = ScaledTernarySpike(amplitude=1.5).folded()
    >>> type(neuron).__name__, amplitude
    ('TernarySpike', 1.5)
    """

    alphabet = "real"

    def __init__(self, amplitude: float = 1.0, threshold: float = 0.5, beta: float = 0.25, detach_reset: bool = True):
        super().__init__(threshold, beta, detach_reset)
        self.amplitude = amplitude
        self.scale = nn.Parameter(torch.tensor(float(amplitude)))

    def step(self, x_t: Tensor, state: LIFState) -> tuple[Tensor, LIFState]:
        spikes, state = super().step(x_t, state)
        return spikes * self.scale.to(spikes.dtype), state

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        spikes, state = super().forward(x, state)
        return spikes * self.scale.to(spikes.dtype), state

    def folded(self) -> tuple[TernarySpike, float]:
        """The neuron that sends units, and the amplitude by which the next layer's weights are to be multiplied."""
        return TernarySpike(self.threshold, self.beta, self.detach_reset), self.scale.item()
