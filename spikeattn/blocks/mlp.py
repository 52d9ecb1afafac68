"""The MLP of a spiking transformer: two projections with a neuron between them.

    h   = neuron(BN(W_1 x + b_1))       D -> r D
    out = BN(W_2 h + b_2)               r D -> D, a current
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import Projection, spike_power
from spikeattn.types import State, detach_state


class MLPState(NamedTuple):
    """State of the neuron on the hidden layer."""

    hidden: State = None
    detach = detach_state


class MLP(nn.Module):
    """`current, state = mlp(x, state=None)`, (T, B, N, D) -> (T, B, N, D). neuron: a neuron or an Activation."""

    def __init__(self, dim: int, hidden: int, *, neuron: nn.Module, bias: bool = True):
        super().__init__()
        self.fc1 = Projection(dim, hidden, bias=bias)
        self.neuron = neuron
        self.fc2 = Projection(hidden, dim, bias=bias)

    def forward(self, x: Tensor, state: MLPState | None = None) -> tuple[Tensor, MLPState]:
        hidden, hidden_state = self.neuron(self.fc1(x), state.hidden if state else None)
        return self.fc2(hidden), MLPState(hidden_state)

    def init_firing(self, output_scale: float, input_power: float | None = None) -> None:
        power = spike_power(self.neuron)  # the input comes from a neuron of the same kind unless told otherwise
        self.fc1.init_firing(self.neuron.threshold_current, power if input_power is None else input_power)
        self.fc2.init_firing(output_scale, power)
