"""Separable convolutions: a wide hidden layer between two 1x1 convolutions, mixed in space channel by channel.

    Meta-SpikeFormer   out = BN(W_2 depthwise(neuron(BN(W_1 x))))
    E-SpikeFormer      out = BN(W_2 neuron(BN(depthwise(neuron(BN(W_1 x))))))

x: spikes (T, B, C, Y, X); out: a current of the same shape.

Source: Yao et al., "Spike-driven Transformer V2" (ICLR 2024) and "Scaling Spike-driven Transformer" (2025), after
the inverted separable convolution of MobileNetV2.
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import spike_power
from spikeattn.blocks.stem import ConvNorm
from spikeattn.types import State, detach_state


class SeparableState(NamedTuple):
    """States of the neurons behind the first and, where there is one, behind the depth-wise convolution."""

    hidden: State = None
    mixed: State = None
    detach = detach_state


class SeparableConv(nn.Module):
    """The form of Meta-SpikeFormer: the depth-wise convolution hands its membrane straight on."""

    def __init__(self, dim: int, *, neuron: nn.Module, ratio: int = 2, kernel: int = 7):
        super().__init__()
        hidden = ratio * dim
        self.expand = ConvNorm(dim, hidden, kernel=1)
        self.neuron = neuron.clone()
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden, bias=False)
        self.project = ConvNorm(hidden, dim, kernel=1)

    def forward(self, x: Tensor, state: SeparableState | None = None) -> tuple[Tensor, SeparableState]:
        state = state or SeparableState()
        spikes, hidden = self.neuron(self.expand(x), state.hidden)
        mixed = self.depthwise(spikes.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.project(mixed), SeparableState(hidden)

    def init_firing(self, output_scale: float) -> None:
        power = spike_power(self.neuron)
        self.expand.init_firing(self.neuron.threshold_current, power)
        nn.init.normal_(self.depthwise.weight, std=(self.depthwise.weight[0].numel() * power) ** -0.5)
        self.project.init_firing(output_scale, 1.0)


class SpikingSeparableConv(nn.Module):
    """The form of E-SpikeFormer: every convolution has its norm and reads spikes."""

    def __init__(self, dim: int, *, neuron: nn.Module, ratio: int = 2, kernel: int = 7):
        super().__init__()
        hidden = ratio * dim
        self.expand = ConvNorm(dim, hidden, kernel=1)
        self.neuron = neuron.clone()
        self.depthwise = ConvNorm(hidden, hidden, kernel=kernel, groups=hidden)
        self.mixed_neuron = neuron.clone()
        self.project = ConvNorm(hidden, dim, kernel=1)

    def forward(self, x: Tensor, state: SeparableState | None = None) -> tuple[Tensor, SeparableState]:
        state = state or SeparableState()
        spikes, hidden = self.neuron(self.expand(x), state.hidden)
        spikes, mixed = self.mixed_neuron(self.depthwise(spikes), state.mixed)
        return self.project(spikes), SeparableState(hidden, mixed)

    def init_firing(self, output_scale: float) -> None:
        power = spike_power(self.neuron)
        self.expand.init_firing(self.neuron.threshold_current, power)
        self.depthwise.init_firing(self.mixed_neuron.threshold_current, power)
        self.project.init_firing(output_scale, power)
