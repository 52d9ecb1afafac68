"""A published defect, kept for the weights that were trained with it: a neuron over time and batch in one axis.

    x (T, B, ...)  ->  (T B, ...)       one sequence of T B steps, item after item within each time step
    s = neuron(x)  ->  (T, B, ...)

The membrane of one picture leaks into the next one of its batch, so the result depends on who else is in the
batch. With a batch of 1 nothing changes. For loading published weights only.

Source: the last neuron of the self-attention class in the code of QKFormer (Zhou et al., NeurIPS 2024); issue 14 of
its repository reports it. The paper describes no such thing.
"""

from torch import Tensor, nn

from spikeattn.types import State


class TimeBatchMerged(nn.Module):
    """`neuron` over the merged axis: `spikes, state = layer(x, state=None)`; the state has no batch axis.

    >>> import torch
    >>> from spikeattn.neurons import LIF
    >>> x = torch.tensor([[[0.75], [0.75]]])         # one step of two items, each below the threshold of 1
    >>> TimeBatchMerged(LIF(beta=0.5))(x)[0].flatten().tolist()      # the second starts at 0.5 * 0.75
    [0.0, 1.0]
    """

    def __init__(self, neuron: nn.Module):
        super().__init__()
        self.neuron = neuron

    @property
    def threshold_current(self) -> float:
        return self.neuron.threshold_current

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        spikes, state = self.neuron(x.flatten(0, 1), state)
        return spikes.unflatten(0, x.shape[:2]), state
