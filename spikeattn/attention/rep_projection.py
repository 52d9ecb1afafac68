"""Projections written as several linear layers that re-parameterise one convolution (RepConv).

Over a 3x3 neighbourhood, in Spike-driven Transformer V2:

    h = BN(W_1 x)                           1x1, D -> D
    h = pad(h, with what BN gives to 0)     one pixel on every side: as if x had been padded with zeros
    h = W_3 (depthwise3x3 h)                no further padding; 1x1, D -> D'
    y = BN(BN(h))

Everything is linear, so at inference it is one 3x3 convolution of the zero-padded spikes and a constant. Padding
with zeros behind the folded norm would be wrong at the border: the pad is the response to zero, not zero.

Over channels only, in the large models of V3:

    y = BN(BN(W_2 BN(W_1 x)))               D -> 3/2 D -> D'

Source: Yao et al., "Spike-driven Transformer V2" (ICLR 2024) and "Scaling Spike-driven Transformer" (2025), the q,
k, v and output projections of their code.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeattn.attention.attention import check_grid
from spikeattn.attention.projection import SPIKE_POWER, ChannelNorm, Projection, init_current


class PaddedNorm(nn.BatchNorm2d):
    """Batch norm of (B, C, Y, X) that adds a border of one pixel, filled with the response to zero.

    The border carries no gradient to the norm's weight and bias, as in the published code.

    >>> norm = PaddedNorm(1).eval()
    >>> norm.bias.data.fill_(3.0), norm(torch.ones(1, 1, 1, 1)).squeeze()[0]
    (tensor([3.]), tensor([3., 3., 3.], grad_fn=<SelectBackward0>))
    """

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        zero = self.bias.detach() - self.running_mean * self.weight.detach() / torch.sqrt(self.running_var + self.eps)
        inside = functional.pad(torch.ones_like(y[:1, :1], dtype=torch.bool), [1] * 4)
        return torch.where(inside, functional.pad(y, [1] * 4), zero.view(1, -1, 1, 1))


class RepProjection(nn.Module):
    """Tokens (T, B, N, dim_in) of a grid of N = Y X places -> currents (T, B, N, dim_out)."""

    def __init__(self, dim_in: int, dim_out: int, *, bias: bool = False):
        super().__init__()
        self.mix = nn.Conv2d(dim_in, dim_in, 1, bias=False)
        self.mix_norm = PaddedNorm(dim_in)
        self.depthwise = nn.Conv2d(dim_in, dim_in, 3, groups=dim_in, bias=False)
        self.project = nn.Conv2d(dim_in, dim_out, 1, bias=bias)
        self.project_norm = nn.BatchNorm2d(dim_out)
        self.norm = nn.BatchNorm2d(dim_out)

    def forward(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        rows, columns = check_grid(self, x, grid)
        picture = x.flatten(0, 1).mT.unflatten(-1, (rows, columns))  # (T B, D, Y, X)
        h = self.depthwise(self.mix_norm(self.mix(picture)))
        y = self.norm(self.project_norm(self.project(h)))
        return y.flatten(-2).mT.unflatten(0, x.shape[:2])

    def init_firing(self, scale: float, input_power: float = SPIKE_POWER) -> None:
        """Start with currents of standard deviation `scale`: each stage keeps a variance of 1, the last norm scales."""
        init_current(self.mix, self.mix_norm, 1.0, input_power)
        nn.init.normal_(self.depthwise.weight, std=1 / math.sqrt(self.depthwise.weight[0].numel()))
        init_current(self.project, self.project_norm, 1.0, 1.0)
        nn.init.constant_(self.norm.weight, scale)
        nn.init.zeros_(self.norm.bias)


class PointRepProjection(nn.Module):
    """Currents (..., dim_in) -> (..., dim_out) through a linear hidden layer. width: hidden over input channels."""

    def __init__(self, dim_in: int, dim_out: int, *, bias: bool = False, width: float = 1.5, outer_norm: bool = True):
        super().__init__()
        self.expand = Projection(dim_in, int(dim_in * width))
        self.project = Projection(int(dim_in * width), dim_out, bias=bias)
        self.norm = ChannelNorm(dim_out) if outer_norm else None

    def forward(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        y = self.project(self.expand(x))
        return y if self.norm is None else self.norm(y)

    def init_firing(self, scale: float, input_power: float = SPIKE_POWER) -> None:
        self.expand.init_firing(1.0, input_power)
        self.project.init_firing(1.0 if self.norm else scale, 1.0)
        if self.norm is not None:
            nn.init.constant_(self.norm.weight, scale)
            nn.init.zeros_(self.norm.bias)
