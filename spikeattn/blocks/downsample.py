"""What makes pictures smaller and wider between stages, and what makes them from the input.

    first     x = BN(conv x), perhaps a 3x3 max pool of stride 2 over membranes
    later     x = BN(conv3x3 neuron(x))          a membrane leaves, spikes enter the convolution
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import spike_power
from spikeattn.blocks.stem import ConvNorm, SpikePool
from spikeattn.types import State, detach_state


class ConvStem(nn.Module):
    """One convolution of the input frames (T, B, C, Y, X), no neuron: a membrane leaves.

    pool: a max pool behind it; the maximum of nine membranes is large, so that the norm starts at half the scale.
    """

    def __init__(self, in_channels: int, width: int, *, kernel: int, stride: int, scale: float, pool: bool = False,
                 bias: bool = False):
        super().__init__()
        self.in_channels, self.stride = in_channels, stride
        self.embed = ConvNorm(in_channels, width, kernel=kernel, stride=stride, bias=bias)
        self.pool = SpikePool() if pool else None
        self.embed.init_firing(scale / 2 if pool else scale, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 5 or x.shape[2] != self.in_channels:
            raise ValueError(
                f"ConvStem: pictures must be (T, B, {self.in_channels}, Y, X), got {tuple(x.shape)}. "
                "Check the channel count (in_channels=) and the axis order: time first."
            )
        x = self.embed(x)
        return x if self.pool is None else self.pool(x)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns behind the stem for pictures of `size` = (Y, X)."""
        size = smaller(size, self.stride)
        return size if self.pool is None else smaller(size, 2)


class DownsampleState(NamedTuple):
    """State of the neuron in front of the convolution."""

    neuron: State = None
    detach = detach_state


class Downsample(nn.Module):
    """`x, state = down(x, state=None)`: a neuron, then a 3x3 convolution with its norm."""

    def __init__(self, channels: int, width: int, *, neuron: nn.Module, stride: int = 2, bias: bool = False):
        super().__init__()
        self.neuron, self.stride = neuron.clone(), stride
        self.embed = ConvNorm(channels, width, stride=stride, bias=bias)
        self.embed.init_firing(neuron.threshold_current, spike_power(neuron))

    def forward(self, x: Tensor, state: DownsampleState | None = None) -> tuple[Tensor, DownsampleState]:
        spikes, after = self.neuron(x, state.neuron if state else None)
        return self.embed(spikes), DownsampleState(after)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        return smaller(size, self.stride)


def smaller(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Rows and columns behind an odd kernel that keeps the size at stride 1.

    >>> smaller((7, 8), 2)
    (4, 4)
    """
    return -(-size[0] // stride), -(-size[1] // stride)
