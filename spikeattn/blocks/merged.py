"""A published defect, kept for the weights that were trained with it: a neuron over time and batch in one axis.

    x (T, B, ...)  ->  (T B, ...)       one sequence of T B steps, item after item within each time step
    y = x + neuron(layer(x))            with that neuron, its spikes brought back to (T, B, ...)

The membrane of one picture leaks into the next one of its batch, so the result depends on who else is in the
batch. With a batch of 1 nothing changes. For loading published weights only.

Source: the last neuron of the self-attention class in the code of QKFormer (Zhou et al., NeurIPS 2024); issue 14 of
its repository reports it. The paper describes no such thing.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from spikeattn.blocks.shortcut import BranchState, SpikeShortcut


@dataclass(frozen=True)
class TimeBatchMergedShortcut(SpikeShortcut):
    """y = x + neuron(layer(x)), the neuron running over time and batch as one; its state has no batch axis.

    >>> import torch
    >>> from spikeattn.blocks import SpikingSequential
    >>> from spikeattn.neurons import LIF
    >>> x = torch.tensor([[[0.75], [0.75]]])         # one step of two items, each below the threshold of 1
    >>> y, _ = TimeBatchMergedShortcut()(x, SpikingSequential(), LIF(beta=0.5), None)
    >>> (y - x).flatten().tolist()                   # the second item begins with half of the first one's 0.75
    [0.0, 1.0]
    """

    def __call__(self, x: Tensor, layer: nn.Module, neuron: nn.Module, state: BranchState | None,
                 **options) -> tuple[Tensor, BranchState]:
        state = state or BranchState()
        current, layer_state = layer(x, state.layer, **options)
        spikes, neuron_state = neuron(current.flatten(0, 1), state.neuron)
        return x + spikes.unflatten(0, x.shape[:2]), BranchState(neuron_state, layer_state)
