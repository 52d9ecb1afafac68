"""Neurons of other libraries in our blocks: their equations, our explicit state.

    spikes[t], memories[t] = their step(x[t], memories[t-1])

A library's file says how to read the first memories, run one step and move the threshold; this is the rest.
"""

import copy
from abc import abstractmethod
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from spikeattn.neurons import Neuron
from spikeattn.types import detach_state


class ForeignState(NamedTuple):
    """What their neuron would have kept inside itself: the membrane, and synaptic currents where it has them."""

    memories: tuple[Tensor, ...]
    detach = detach_state


class ForeignNeuron(Neuron):
    """A neuron of another library, called as `spikes, state = neuron(current, state=None)`.

    Its own hidden memory is neither read nor written. It is copied as it is (weights included) wherever a block
    asks for a clone, and cannot be written into a `config.json`: build blocks with it, or register a class.
    """

    def __init__(self, neuron: nn.Module):
        super().__init__()
        self.neuron = neuron

    @abstractmethod
    def set_threshold(self, threshold: float) -> None:
        """Make their neuron fire at another threshold."""

    @property
    def threshold_current(self) -> float:
        """Found by bisection: the least current that makes a neuron at rest fire at once (1 where none does)."""
        weight = next(self.neuron.parameters(), None)
        device = weight.device if weight is not None else None
        low, high = 0.0, 2.0**20
        with torch.no_grad():
            if not self._fires(high, device):
                return 1.0
            while high - low > 1e-6 * high:
                middle = (low + high) / 2
                low, high = (low, middle) if self._fires(middle, device) else (middle, high)
        return high

    def _fires(self, current: float, device: torch.device | None) -> bool:
        x = torch.full((1, 1), current, device=device)
        return bool(self.step(x, self.init_state(x))[0].any())

    def options(self) -> dict:
        raise ValueError(
            f"{type(self).__name__}: a neuron that is saved must be plain data, got {type(self.neuron).__name__} of "
            "another library. Use `convert` for one of ours with the same equation."
        )

    def clone(self, *, threshold: float | None = None) -> Self:
        new = copy.deepcopy(self)
        if threshold is not None:
            new.set_threshold(threshold)
        return new

    def extra_repr(self) -> str:
        return ""


def ancestors(module: nn.Module, library: str) -> list[str]:
    """Names of the module's classes that are defined in `library`, the most special first."""
    return [kind.__name__ for kind in type(module).__mro__ if kind.__module__.partition(".")[0] == library]
