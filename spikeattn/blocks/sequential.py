"""Layers one after another, each with its own state."""

import inspect
from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.types import State, detach_state


class SequentialState(NamedTuple):
    """One state for each layer, None where it has none."""

    layers: tuple[State, ...]
    detach = detach_state


class SpikingSequential(nn.Sequential):
    """`nn.Sequential` for layers with and without state: `out, state = net(x, state=None)`.

    Layers that return a pair are given their state; plain modules (Linear, Flatten) are called as they are.

    >>> import torch
    >>> from spikeattn.neurons import LIF
    >>> net = SpikingSequential(nn.Linear(3, 5), LIF(), nn.Linear(5, 2))
    >>> out, state = net(torch.randn(4, 1, 3))
    >>> out.shape, len(state.layers)
    (torch.Size([4, 1, 2]), 3)
    """

    def forward(self, x: Tensor, state: SequentialState | None = None) -> tuple[Tensor, SequentialState]:
        before = state.layers if state else (None,) * len(self)
        after = []
        for layer, layer_state in zip(self, before, strict=True):
            if keeps_state(layer):
                x, layer_state = layer(x, layer_state)
            else:
                x = layer(x)
            after.append(layer_state)
        return x, SequentialState(tuple(after))


def keeps_state(layer: nn.Module) -> bool:
    """True for layers whose call takes and returns a state."""
    return "state" in inspect.signature(layer.forward).parameters
