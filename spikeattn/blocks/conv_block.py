"""The convolutional blocks of the early stages of Meta-SpikeFormer and E-SpikeFormer.

    x = x + separable(neuron(x))                         token mixing
    x = x + BN(conv_2 neuron(BN(conv_1 neuron(x))))      channel mixing by two 3x3 convolutions, C -> r C -> C
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import spike_power
from spikeattn.blocks.mlp import MLPState
from spikeattn.blocks.residual import Residual
from spikeattn.blocks.separable import SeparableConv
from spikeattn.blocks.shortcut import BranchState
from spikeattn.blocks.stem import ConvNorm
from spikeattn.types import detach_state


class ConvMLP(nn.Module):
    """An MLP on pictures whose two projections are 3x3 convolutions: (T, B, C, Y, X) -> the same, a current."""

    def __init__(self, dim: int, hidden: int, *, neuron: nn.Module, bias: bool = False):
        super().__init__()
        self.fc1, self.fc2 = ConvNorm(dim, hidden, bias=bias), ConvNorm(hidden, dim, bias=bias)
        self.neuron = neuron.clone()

    def forward(self, x: Tensor, state: MLPState | None = None) -> tuple[Tensor, MLPState]:
        spikes, hidden = self.neuron(self.fc1(x), state.hidden if state else None)
        return self.fc2(spikes), MLPState(hidden)

    def init_firing(self, output_scale: float) -> None:
        power = spike_power(self.neuron)
        self.fc1.init_firing(self.neuron.threshold_current, power)
        self.fc2.init_firing(output_scale, power)


class ConvBlockState(NamedTuple):
    """States of the two branches."""

    conv: BranchState | None = None
    mlp: BranchState | None = None
    detach = detach_state


class ConvBlock(nn.Module):
    """`x, state = block(x, state=None)`. separable: SeparableConv, SpikingSeparableConv or None (no such branch)."""

    def __init__(self, dim: int, *, neuron: nn.Module, mlp_ratio: float = 4.0,
                 separable: type[nn.Module] | None = SeparableConv, bias: bool = False):
        super().__init__()
        self.conv = Residual(separable(dim, neuron=neuron), neuron=neuron.clone()) if separable else None
        self.mlp = Residual(ConvMLP(dim, int(dim * mlp_ratio), neuron=neuron, bias=bias), neuron=neuron.clone())

    def forward(self, x: Tensor, state: ConvBlockState | None = None) -> tuple[Tensor, ConvBlockState]:
        state = state or ConvBlockState()
        conv = None
        if self.conv is not None:
            x, conv = self.conv(x, state.conv)
        x, mlp = self.mlp(x, state.mlp)
        return x, ConvBlockState(conv, mlp)
