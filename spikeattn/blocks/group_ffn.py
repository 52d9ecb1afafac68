"""Group-wise spiking feed-forward network of SpikingResformer.

    u   = BN(W_1 x)                              1x1 convolution, C -> r C
    u   = u + BN(conv3x3 neuron(u))              groups of `group_size` channels, with a shortcut of its own
    out = BN(W_2 neuron(u))                      r C -> C, a current

Source: Shi et al., "SpikingResformer" (CVPR 2024).
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import spike_power
from spikeattn.blocks.stem import ConvNorm
from spikeattn.types import State, detach_state


class GroupFFNState(NamedTuple):
    """States of the neurons in front of the group convolution and of the last projection."""

    group: State = None
    down: State = None
    detach = detach_state


class GroupFFN(nn.Module):
    """Spikes (T, B, C, Y, X) -> a current of the same shape."""

    def __init__(self, dim: int, *, neuron: nn.Module, ratio: int = 4, group_size: int = 64):
        super().__init__()
        hidden = ratio * dim
        if hidden % group_size:
            raise ValueError(
                f"GroupFFN: group_size must divide the {hidden} hidden channels, got {group_size}. "
                "The published models use 64 and 32."
            )
        self.up = ConvNorm(dim, hidden, kernel=1)
        self.group_neuron = neuron.clone()
        self.group = ConvNorm(hidden, hidden, groups=hidden // group_size)
        self.down_neuron = neuron.clone()
        self.down = ConvNorm(hidden, dim, kernel=1)

    def forward(self, x: Tensor, state: GroupFFNState | None = None) -> tuple[Tensor, GroupFFNState]:
        state = state or GroupFFNState()
        u = self.up(x)
        spikes, group = self.group_neuron(u, state.group)
        spikes, down = self.down_neuron(u + self.group(spikes), state.down)
        return self.down(spikes), GroupFFNState(group, down)

    def init_firing(self, output_scale: float) -> None:
        power = spike_power(self.group_neuron)
        self.up.init_firing(self.group_neuron.threshold_current, power)
        self.group.init_firing(0.5 * self.down_neuron.threshold_current, power)
        self.down.init_firing(output_scale, power)
