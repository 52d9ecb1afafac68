"""Depth-wise convolution as token mixer: a local control without queries, keys or scores.

    out_c = BN(w_c * x_c + b_c)          k x k convolution of every channel by itself, over the picture

Behind the host's neuron the input is spikes: k^2 additions for each output at most.

Source: the DWC-k mixers of Fang et al., "Spiking Neural Networks Need High-Frequency Information" (NeurIPS 2025,
Max-Former): k = 7 and 5 in the early stages for ImageNet, 3 for CIFAR and event cameras.
"""

from typing import Self

from torch import Tensor, nn

from spikeattn.attention.attention import Attention
from spikeattn.attention.projection import SPIKE_POWER, ChannelNorm, init_current
from spikeattn.neurons import Activation, Neuron


class DepthwiseConvolution(Attention):
    """Mixing of neighbouring tokens; needs grid = (Y, X). heads is accepted and has no effect.

    kernel: odd width k of the convolution.

    >>> import torch
    >>> mixer = DepthwiseConvolution(8, 1, kernel=5)
    >>> mixer(torch.ones(1, 2, 12, 8), grid=(3, 4))[0].shape
    torch.Size([1, 2, 12, 8])
    """

    citation = "fang2025maxformer"

    def __init__(self, dim: int, heads: int, *, kernel: int = 3):
        super().__init__(dim, heads)
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"{type(self).__name__}: kernel must be odd, got {kernel}. The papers use 3, 5 and 7.")
        self.conv = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = ChannelNorm(dim)
        self.init_firing(tokens=64, output_scale=1.0)

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        return cls(dim, heads, **options)

    def forward(self, x: Tensor, state: None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, None]:
        self.check_input(x)
        name = type(self).__name__
        if mask is not None:
            raise ValueError(f"{name}: mask must be None, got {tuple(mask.shape)}. A convolution reads neighbours.")
        if grid is None or grid[0] * grid[1] != x.shape[2]:
            raise ValueError(f"{name}: grid=(Y, X) must give the {x.shape[2]} tokens of x, got {grid}. Pass grid=.")
        pictures = x.flatten(0, 1).mT.unflatten(-1, tuple(grid))  # (T B, D, Y, X)
        mixed = self.conv(pictures).flatten(-2).mT.unflatten(0, x.shape[:2])  # (T, B, N, D)
        return self.norm(mixed), None

    def init_firing(self, tokens: int, output_scale: float) -> None:
        init_current(self.conv, self.norm, output_scale, SPIKE_POWER)
