"""Dual spike self-attention (DSSA).

    Y_1, Y_2 = halves of BN(conv_pxp x)          x spikes; p x p patches without overlap, C -> 2 C, N_p = N / p^2 places
    A        = LIF(c_1 Y_1^T x)                  in {0, 1}: N_p x N scores, one spiking operand
    O        = LIF(c_2 Y_2 A)                    in {0, 1}: the other product, again with one spiking operand
    out      = BN(W_o O)
    c_1      = 1 / sqrt(f_x d)                   f_x: firing rate of x
    c_2      = 1 / sqrt(f_A N_p)                 f_A: firing rate of A

Per head and per time step; d = D / H. The rates are running averages for each head, kept in the buffers
`firing_rate_x` and `firing_rate_attn`, which training updates (f <- 0.999 f + 0.001 f_batch) before it uses them.

A buffer of zeros is *unset*: the first training batch then sets it to its own rate; in evaluation the rate of the
input at hand is used, of each item at each step, so that items of a batch do not mix and streaming equals the
whole. Once trained, or loaded, the stored rates are used.

Source: Shi et al., "SpikingResformer: Bridging ResNet and Vision Transformer in Spiking Neural Networks" (CVPR
2024) and its code.
Differs from the code in: an unset rate gives NaN in its evaluation mode; a head that never fires divides by zero.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from spikeattn.attention.attention import Attention, as_neuron, check_grid
from spikeattn.attention.projection import Projection, init_current, spike_power
from spikeattn.neurons import LIF, Activation, Neuron
from spikeattn.types import State, detach_state


class DualSpikeState(NamedTuple):
    """States of the neurons on the scores and on the output."""

    attn: State = None
    out: State = None
    detach = detach_state


class DualSpikeSelfAttention(Attention):
    """Attention whose two products each have one spiking operand; x must be spikes, `grid` is required.

    patch: side p of the patches that reduce the keys. keys: N_p in the scale c_2, None for that of the picture at
    hand. momentum: of the averaged rates.

    >>> attention = DualSpikeSelfAttention(dim=32, heads=4, patch=2).eval()
    >>> out, state = attention(torch.randint(0, 2, (4, 1, 16, 32)).float(), grid=(4, 4))
    >>> out.shape, state.attn.v.shape                    # 4 places attend to 16
    (torch.Size([4, 1, 16, 32]), torch.Size([1, 4, 4, 16]))
    """

    citation = "shi2024spikingresformer"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, patch: int = 1,
                 keys: int | None = None, momentum: float = 0.999):
        super().__init__(dim, heads)
        owner = type(self).__name__
        if patch < 1:
            raise ValueError(f"{owner}: patch must be at least 1, got {patch}. The paper uses 4, 2 and 1.")
        self.patch, self.keys, self.momentum = patch, keys, momentum
        self.reduce = nn.Conv2d(dim, 2 * dim, patch, stride=patch, bias=False)
        self.norm = nn.BatchNorm2d(2 * dim)
        self.attn_neuron, self.out_neuron = as_neuron(neuron, owner), as_neuron(neuron, owner)
        self.proj = Projection(dim, dim, bias=False)
        self.register_buffer("firing_rate_x", torch.zeros(1, 1, heads, 1, 1))
        self.register_buffer("firing_rate_attn", torch.zeros(1, 1, heads, 1, 1))
        self.init_firing(tokens=64, output_scale=self.attn_neuron.threshold_current)

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        return cls(dim, heads, neuron=neuron, **options)

    def forward(self, x: Tensor, state: DualSpikeState | None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, State]:
        self.check_input(x)
        rows, columns = self._checked_grid(x, grid, mask)
        state = state or DualSpikeState()
        picture = x.flatten(0, 1).mT.unflatten(-1, (rows, columns))  # (T B, D, Y, X)
        y = self.norm(self.reduce(picture)).flatten(-2).unflatten(0, x.shape[:2])  # (T, B, 2 D, N_p)
        first, second = y.unflatten(2, (self.heads, -1)).chunk(2, dim=3)  # (T, B, H, d, N_p) each
        spikes = self.split(x).mT  # (T, B, H, d, N)
        scores = (first.mT @ spikes) * self._scale(self.firing_rate_x, spikes, self.dim // self.heads)
        scores, attn = self.attn_neuron(scores, state.attn)  # (T, B, H, N_p, N)
        current = (second @ scores) * self._scale(self.firing_rate_attn, scores, self.keys or scores.shape[-2])
        out, out_state = self.out_neuron(current.flatten(2, 3).mT, state.out)  # (T, B, N, D)
        return self.proj(out), DualSpikeState(attn, out_state)

    def _checked_grid(self, x: Tensor, grid: tuple[int, int] | None, mask: Tensor | None) -> tuple[int, int]:
        name = type(self).__name__
        if mask is not None:
            raise ValueError(
                f"{name}: mask must be None, got {tuple(mask.shape)}. Its scores are between patches and tokens; "
                "use another attention for masked tokens."
            )
        rows, columns = check_grid(self, x, grid)
        if min(rows, columns) < self.patch:
            raise ValueError(
                f"{name}: the grid must hold one patch of {self.patch} x {self.patch}, got {(rows, columns)}. "
                "Use larger pictures or a smaller patch."
            )
        return rows, columns

    def _scale(self, average: Tensor, spikes: Tensor, width: int) -> Tensor:
        """1 / sqrt(rate * width); the average is updated first in training."""
        spikes = spikes.detach()
        if self.training:
            batch = spikes.mean((0, 1, 3, 4), keepdim=True)
            old = torch.where((average == 0).all(), batch, average)
            average.copy_(old + (1 - self.momentum) * (batch - old))
        rate = torch.where(average > 0, average, spikes.mean((3, 4), keepdim=True))
        silent = rate == 0  # its product is 0 whatever the scale
        return 1 / torch.sqrt(torch.where(silent, torch.ones_like(rate), rate) * width)

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """The scales c_1, c_2 hand the deviation of Y on to both neurons: it starts at their threshold."""
        power = spike_power(self.attn_neuron)
        init_current(self.reduce, self.norm, self.attn_neuron.threshold_current, power)
        self.proj.init_firing(output_scale, power)
