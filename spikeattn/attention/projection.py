"""A linear map over channels with its batch norm: the bricks of every attention and MLP.

    y = BatchNorm(W x + b)          over the last axis of x (..., D_in) -> (..., D_out)

The published code writes the same map as Linear, Conv1d(kernel 1) or Conv2d(kernel 1); weights differ in
trailing axes of size 1 only. At inference the norm folds into W and b.
"""

import math

import torch
from torch import Tensor, nn

SPIKE_POWER = 0.2  # mean square of a spiking input that fires at 20 %, the rate that initialisation aims at


def spike_power(neuron: nn.Module) -> float:
    """Mean square of what `neuron` sends for a normal current whose deviation just makes it fire.

    0.2 for spikes and about that for integer levels, smaller by levels^2 if they are divided by their number.
    """
    return SPIKE_POWER / (neuron.levels**2 if getattr(neuron, "normalise", False) else 1)


class ChannelNorm(nn.BatchNorm1d):
    """Batch norm over the last axis of (..., D): statistics over time, batch and tokens together."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self.training and x.device.type == "cpu":
            # PyTorch's CPU kernel for (rows, D) adds up all rows one after another, which costs float32 statistics
            # about one digit; its kernel for (1, D, rows) does not
            columns = super().forward(rows.mT.contiguous().unsqueeze(0))
            return columns.squeeze(0).mT.contiguous().view(x.shape)
        return super().forward(rows).view(x.shape)


class Projection(nn.Module):
    """Linear and batch norm, (..., dim_in) -> (..., dim_out). Other kinds of projection also look at the grid."""

    def __init__(self, dim_in: int, dim_out: int, *, bias: bool = False):
        super().__init__()
        self.linear = nn.Linear(dim_in, dim_out, bias=bias)
        self.norm = ChannelNorm(dim_out)

    def forward(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        return self.norm(self.linear(x))

    def init_firing(self, scale: float, input_power: float = SPIKE_POWER) -> None:
        """Start with currents of standard deviation `scale`: see `init_current`."""
        init_current(self.linear, self.norm, scale, input_power)


@torch.no_grad()
def init_current(layer: nn.Linear | nn.Conv2d, norm: nn.modules.batchnorm._BatchNorm, scale: float,
                 input_power: float) -> None:
    """Initialise a weight layer and its norm so that the current behind them has standard deviation `scale`.

        W ~ N(0, 1 / (fan_in * input_power)),  b = 0     the layer's output has variance 1 before any training
        norm weight = scale, norm bias = 0               so evaluation mode fires as training mode does

    Ours: the defaults of PyTorch leave most layers of a spiking transformer silent.
    """
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=1 / math.sqrt(fan_in * input_power))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    nn.init.constant_(norm.weight, scale)
    nn.init.zeros_(norm.bias)
