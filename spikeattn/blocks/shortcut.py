"""The two residual shortcuts of spiking transformers.

    membrane shortcut   y = x + layer(neuron(x))     the stream is real; only spikes enter the weights
    spike shortcut      y = x + neuron(layer(x))     the stream is a sum of spikes 0, 1, 2, ... (SEW)

A layer is anything called as `current, state = layer(x, state, **options)`.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.types import State, detach_state


class BranchState(NamedTuple):
    """States of the neuron and of the layer of one residual branch."""

    neuron: State = None
    layer: State = None
    detach = detach_state


@dataclass(frozen=True)
class MembraneShortcut:
    """y = x + layer(neuron(x)): Spikingformer and all pre-activation hosts."""

    def __call__(self, x: Tensor, layer: nn.Module, neuron: nn.Module, state: BranchState | None,
                 **options) -> tuple[Tensor, BranchState]:
        state = state or BranchState()
        spikes, neuron_state = neuron(x, state.neuron)
        current, layer_state = layer(spikes, state.layer, **options)
        return x + current, BranchState(neuron_state, layer_state)

    def branch_scale(self, threshold_current: float) -> float:
        """Deviation at which a branch starts: half a threshold, so that the stream grows slowly with depth."""
        return 0.5 * threshold_current


@dataclass(frozen=True)
class SpikeShortcut:
    """y = x + neuron(layer(x)): Spikformer, as in SEW-ResNet."""

    def __call__(self, x: Tensor, layer: nn.Module, neuron: nn.Module, state: BranchState | None,
                 **options) -> tuple[Tensor, BranchState]:
        state = state or BranchState()
        current, layer_state = layer(x, state.layer, **options)
        spikes, neuron_state = neuron(current, state.neuron)
        return x + spikes, BranchState(neuron_state, layer_state)

    def branch_scale(self, threshold_current: float) -> float:
        """Deviation at which a branch starts: its own neuron fires at about 16 % at once."""
        return threshold_current


Shortcut = MembraneShortcut | SpikeShortcut
