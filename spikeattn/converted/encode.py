"""Encode: a layer of digit neurons, which turns a value into T signed spikes, most significant first.

    n   = sign(a) floor((2 |a| + theta) / (2 theta)), clipped to [-N, N]          one rounding, half away from zero
    n   = sum_t w_t s_t,   s_t in {-1, 0, 1}                                       the spikes of step t = 1 ... T

a is an integer and theta an odd one (half a threshold is never met, so there are no ties). With balanced ternary
w_t = 3**(T - t), and the neuron fires on its membrane itself: s_t = sign(v) where 2 |v| >= w_t theta, else 0, and
v -= w_t theta s_t.
Differs from an ordinary neuron in: all input arrives at the first step, and the threshold shrinks.
"""

import torch
from torch import Tensor

from spikeattn.codings import CODINGS, quantise_real
from spikeattn.codings.coding import nearest
from spikeattn.converted.node import Node
from spikeattn.types import NeuronCost


class Encode(Node):
    """a -> digit planes (T, ...), int8.

    threshold: odd int64 that broadcasts against a; or, where a is real, the grid step in units of a (float64).

    >>> neuron = Encode(threshold=torch.tensor(3), coding="ternary", timesteps=2)
    >>> neuron(torch.tensor([6, -4, 99])).T.tolist(), neuron.codes(torch.tensor([6, -4, 99])).tolist()
    ([[1, -1], [0, -1], [1, 1]], [2, -1, 4])
    """

    alphabet = "ternary"
    cost = NeuronCost(leak="none", compares=2, reset="none")  # the charge is the subtraction of what was sent

    def __init__(self, *, threshold: Tensor, coding: str, timesteps: int):
        super().__init__({"coding": coding, "timesteps": timesteps}, {"threshold": threshold})
        self.code = CODINGS[coding]
        if self.code.graded:
            self.alphabet = "signed_graded"

    @property
    def levels(self) -> int:
        """N: codes run from -N to N."""
        return self.code.levels(self.timesteps)

    def start(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Membranes charged with a, and the unit in which they fire."""
        if a.is_floating_point():
            return self.code.begin(*self._on_grid(a), self.timesteps)
        return self.code.begin(a, self.threshold, self.timesteps)

    def fire(self, membrane: Tensor, unit: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Spikes of one step (0 ... T - 1), and the membranes after it."""
        return self.code.fire(membrane, unit, step, self.timesteps)

    def forward(self, a: Tensor) -> Tensor:
        membrane, unit = self.start(a)
        planes = []
        for step in range(self.timesteps):
            spikes, membrane = self.fire(membrane, unit, step)
            planes.append(spikes)
        return torch.stack(planes)

    def codes(self, a: Tensor) -> Tensor:
        if a.is_floating_point():
            return self.code.quantise(*self._on_grid(a), self.timesteps)
        return self.code.quantise(a, self.threshold, self.timesteps)

    def early(self, a: Tensor, step: int) -> Tensor:
        """The code as far as the first `step` spikes tell it; only an anytime code can be read before its end.

        >>> rate = Encode(threshold=torch.tensor(1), coding="rate", timesteps=4)
        >>> [rate.early(torch.tensor([4, -2]), t).tolist() for t in (1, 2, 4)]
        [[4, -4], [4, -2], [4, -2]]
        """
        gain = self.code.gain(step, self.timesteps)
        sent = self.code.digits(self.codes(a), self.timesteps)[:step].sum(0, dtype=torch.int64)
        return nearest(sent * gain.numerator, torch.tensor(gain.denominator, device=a.device))

    def _on_grid(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Real values as integers in steps of the grid, of which the threshold is one."""
        return quantise_real(a, self.threshold, self.levels), torch.ones_like(self.threshold, dtype=torch.int64)
