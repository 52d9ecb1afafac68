"""Stems: from pictures to tokens by convolutions.

    Spikformer      for each stage  x = pool(neuron(BN(conv3x3 x))), then x = x + neuron(BN(conv3x3 x))
    Spikingformer   x = BN(conv3x3 x), then for each stage  x = BN(conv3x3 pool(neuron(x)))

A stage is (width, downsampling): "" keeps the size, "pool" halves it by a 3x3 max pool of stride 2 (over spikes,
so the maximum is an OR), "stride" halves it by the convolution itself. The Spikformer stem also takes "pool_current",
the pool in front of the neuron.

Source: Zhou et al., "Spikformer" (ICLR 2023), the spiking patch splitting; Zhou et al., "Spikingformer" (2023).
"stride" is ours, for small pictures; "pool_current" stands in SpikingJelly 2.0's Spikformer.
"""

import math
from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import SPIKE_POWER, init_current
from spikeattn.types import State, detach_state

Stage = tuple[int, str]
DOWNSAMPLING = ("", "pool", "stride")


class StemState(NamedTuple):
    """One neuron state for each stage, and one for the residual position stage where there is one."""

    stages: tuple[State, ...] = ()
    position: State = None
    detach = detach_state


class ConvNorm(nn.Module):
    """BN(conv x) on pictures over time: (T, B, C, Y, X) -> (T, B, C', Y', X'). kernel: odd width, 3 by default."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, groups: int = 1,
                 bias: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, groups=groups,
                              bias=bias)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])

    def init_firing(self, scale: float, input_power: float) -> None:
        init_current(self.conv, self.norm, scale, input_power)


class SpikePool(nn.Module):
    """3x3 max pool of stride 2 on pictures over time."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(x.flatten(0, 1), 3, stride=2, padding=1).unflatten(0, x.shape[:2])


class Stem(nn.Module):
    """What the stems share: one convolution for each stage."""

    downsampling = DOWNSAMPLING

    def __init__(self, in_channels: int, stages: tuple[Stage, ...], *, bias: bool = False):
        super().__init__()
        for _, down in stages:
            if down not in self.downsampling:
                raise ValueError(
                    f"{type(self).__name__}: downsampling must be one of {self.downsampling}, got {down!r}. "
                    "See blocks/stem.py."
                )
        self.in_channels, self.stages = in_channels, stages
        widths = [in_channels, *(width for width, _ in stages)]
        self.convs = nn.ModuleList(
            ConvNorm(before, width, stride=2 if down == "stride" else 1, bias=bias)
            for before, (width, down) in zip(widths[:-1], stages, strict=True)
        )

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of tokens for pictures of `image_size` = (Y, X)."""
        halvings = sum(down != "" for _, down in self.stages)
        rows, columns = (math.ceil(size / 2**halvings) for size in image_size)
        return rows, columns

    def check_input(self, x: Tensor) -> None:
        if x.ndim != 5 or x.shape[2] != self.in_channels:
            raise ValueError(
                f"{type(self).__name__}: pictures must be (T, B, {self.in_channels}, Y, X), got {tuple(x.shape)}. "
                "Check the channel count (in_channels=) and the axis order: time first."
            )


class SpikformerStem(Stem):
    """Convolution, neuron, pool at each stage; then a residual position stage."""

    downsampling = (*DOWNSAMPLING, "pool_current")

    def __init__(self, in_channels: int, stages: tuple[Stage, ...], *, neuron: nn.Module):
        super().__init__(in_channels, stages)
        self.neurons = nn.ModuleList(neuron.clone() for _ in stages)
        self.pools, self.current_pools = (
            nn.ModuleList(SpikePool() if down == kind else nn.Identity() for _, down in stages)
            for kind in ("pool", "pool_current")
        )
        self.position, self.position_neuron = ConvNorm(stages[-1][0], stages[-1][0]), neuron.clone()
        self.init_firing()

    def forward(self, x: Tensor, state: StemState | None = None) -> tuple[Tensor, StemState]:
        self.check_input(x)
        before = state or StemState(stages=(None,) * len(self.convs))
        after = []
        layers = zip(self.convs, self.current_pools, self.neurons, self.pools, before.stages, strict=True)
        for conv, current_pool, neuron, pool, stage in layers:
            spikes, stage = neuron(current_pool(conv(x)), stage)
            x = pool(spikes)
            after.append(stage)
        spikes, position = self.position_neuron(self.position(x), before.position)
        return x + spikes, StemState(tuple(after), position)

    def init_firing(self) -> None:
        for index, (conv, neuron) in enumerate(zip(self.convs, self.neurons, strict=True)):
            conv.init_firing(neuron.threshold_current, SPIKE_POWER if index else 1.0)
        self.position.init_firing(self.position_neuron.threshold_current, SPIKE_POWER)


class SpikingformerStem(Stem):
    """A first convolution, then neuron, pool, convolution at each further stage: a membrane leaves, no spike."""

    def __init__(self, in_channels: int, stages: tuple[Stage, ...], *, neuron: nn.Module):
        super().__init__(in_channels, stages)
        if stages[0][1] == "pool":
            raise ValueError(
                "SpikingformerStem: the first stage must not pool, for no spikes come before it, got 'pool'. "
                "Use '' or 'stride' there."
            )
        self.neurons = nn.ModuleList(neuron.clone() for _ in stages[1:])
        self.pools = nn.ModuleList(SpikePool() if down == "pool" else nn.Identity() for _, down in stages[1:])
        self.threshold_current = neuron.threshold_current
        self.init_firing()

    def forward(self, x: Tensor, state: StemState | None = None) -> tuple[Tensor, StemState]:
        self.check_input(x)
        before = state or StemState(stages=(None,) * len(self.neurons))
        x = self.convs[0](x)
        after = []
        for conv, neuron, pool, stage in zip(self.convs[1:], self.neurons, self.pools, before.stages, strict=True):
            spikes, stage = neuron(x, stage)
            x = conv(pool(spikes))
            after.append(stage)
        return x, StemState(tuple(after))

    def init_firing(self) -> None:
        for index, conv in enumerate(self.convs):
            conv.init_firing(self.threshold_current, SPIKE_POWER if index else 1.0)
