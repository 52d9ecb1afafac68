"""Patch embeddings of hierarchical hosts: a chain of convolutions beside a 1x1 convolution as shortcut.

    spike      x_j = neuron(pool(BN(conv3x3 x_{j-1})))         j = 1 ... J
               out = x_J + neuron(BN(conv1x1 x_branch))        a sum of spikes
    membrane   x_j = pool(BN(conv3x3 neuron(x_{j-1})))         no neuron in front of a picture
               out = x_J + BN(conv1x1 neuron(x_branch))        a current; the chain's own neuron spikes serve both

The shortcut makes the same picture smaller by its stride or, "pool", by a max pool behind its norm.

Source: the SPEDS module of Zhou et al., "QKFormer" (NeurIPS 2024), and the embeddings of Fang et al., "Spiking
Neural Networks Need High-Frequency Information" (Max-Former, NeurIPS 2025), with their code.
Differs from the code in: where it runs two equal neurons on one input (the first embedding of Max-Former for
CIFAR), one neuron serves both branches; spikes and gradients are the same.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention.projection import SPIKE_POWER
from spikeattn.blocks.stem import ConvNorm, SpikePool, Stage, Stem
from spikeattn.types import State, detach_state

CHAIN_POWER = 0.09  # mean square of the spikes inside a chain, where currents that deviate by one threshold fire so
POOLED = 0.65  # the largest of 9 unit normals exceeds 1.5 about half of the time


@dataclass(frozen=True)
class Embedding:
    """The plan of one patch embedding.

    layers: (width, downsampling) of each 3x3 convolution, as in a stem. branch: number of layers in front of the
    point where the shortcut leaves. shortcut: "stride", or "pool" where only max pools make it smaller.

    >>> Embedding(((8, "pool"), (8, ""))).halvings
    1
    """

    layers: tuple[Stage, ...]
    branch: int = 0
    shortcut: str = "stride"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple((int(width), down) for width, down in self.layers))
        if not 0 <= self.branch < len(self.layers) or self.shortcut not in ("stride", "pool"):
            raise ValueError(
                f"Embedding: branch must lie in 0 ... {len(self.layers) - 1} and shortcut be 'stride' or 'pool', "
                f"got {self.branch} and {self.shortcut!r}. See blocks/patch_embedding.py."
            )

    @property
    def width(self) -> int:
        return self.layers[-1][0]

    @property
    def halvings(self) -> int:
        """How often the picture is halved on the shortcut's way."""
        return sum(down != "" for _, down in self.layers[self.branch:])

    def scaled(self, dim: int, new_dim: int) -> "Embedding":
        """The same plan with all widths times new_dim / dim."""
        layers = tuple((width * new_dim // dim, down) for width, down in self.layers)
        return Embedding(layers, self.branch, self.shortcut)


class EmbeddingState(NamedTuple):
    """States of the chain's neurons (None where a layer has none) and of the shortcut's."""

    layers: tuple[State, ...] = ()
    shortcut: State = None
    detach = detach_state


class PatchEmbedding(Stem):
    """What both kinds share: the chain `convs` with its pools, the 1x1 convolution `shortcut` with its pools."""

    def __init__(self, in_channels: int, plan: Embedding, *, bias: bool = False):
        super().__init__(in_channels, plan.layers, bias=bias)
        self.branch = plan.branch
        before = in_channels if plan.branch == 0 else plan.layers[plan.branch - 1][0]
        pooled = plan.shortcut == "pool"
        stride = 1 if pooled else 2**plan.halvings
        self.shortcut = ConvNorm(before, plan.width, kernel=1, stride=stride, bias=bias)
        self.pools = nn.ModuleList(SpikePool() if down == "pool" else nn.Identity() for _, down in plan.layers)
        self.shortcut_pools = nn.ModuleList(SpikePool() for _ in range(plan.halvings * pooled))

    def pooled(self, index: int) -> float:
        """Factor of the current's deviation in layer `index` at initialisation: its pool lifts what it lets pass."""
        return POOLED if isinstance(self.pools[index], SpikePool) else 1.0

    def short(self, x: Tensor) -> Tensor:
        x = self.shortcut(x)
        for pool in self.shortcut_pools:
            x = pool(x)
        return x


class SpikeEmbedding(PatchEmbedding):
    """The spike form: pictures (T, B, C, Y, X) or spikes in, sums of spikes 0, 1, 2 out.

    >>> import torch
    >>> from spikeattn.neurons import LIF
    >>> embedding = SpikeEmbedding(4, Embedding(((8, ""), (8, "pool"))), neuron=LIF())
    >>> embedding(torch.randn(2, 1, 4, 6, 6))[0].shape
    torch.Size([2, 1, 8, 3, 3])
    """

    def __init__(self, in_channels: int, plan: Embedding, *, neuron: nn.Module, bias: bool = False):
        super().__init__(in_channels, plan, bias=bias)
        self.neurons = nn.ModuleList(neuron.clone() for _ in plan.layers)
        self.shortcut_neuron = neuron.clone()
        self.init_firing()

    def forward(self, x: Tensor, state: EmbeddingState | None = None) -> tuple[Tensor, EmbeddingState]:
        self.check_input(x)
        state = state or EmbeddingState((None,) * len(self.convs))
        short, after = x, []
        layers = zip(self.convs, self.pools, self.neurons, state.layers, strict=True)
        for index, (conv, pool, neuron, layer) in enumerate(layers):
            short = x if index == self.branch else short
            x, layer = neuron(pool(conv(x)), layer)
            after.append(layer)
        spikes, short_state = self.shortcut_neuron(self.short(short), state.shortcut)
        return x + spikes, EmbeddingState(tuple(after), short_state)

    def init_firing(self, input_power: float = 1.0) -> None:
        """input_power: mean square of what comes in, 1 for a standardised picture."""
        for index, neuron in enumerate(self.neurons):
            scale = neuron.threshold_current * self.pooled(index)
            self.convs[index].init_firing(scale, CHAIN_POWER if index else input_power)
        self.shortcut.init_firing(self.shortcut_neuron.threshold_current, CHAIN_POWER if self.branch else input_power)


class MembraneEmbedding(PatchEmbedding):
    """The membrane form: pictures or a membrane stream in, a membrane stream out.

    first: the input is a picture, so its convolution has no neuron in front.
    """

    def __init__(self, in_channels: int, plan: Embedding, *, neuron: nn.Module, first: bool = False,
                 bias: bool = False):
        super().__init__(in_channels, plan, bias=bias)
        if first and plan.branch == 0:
            raise ValueError("MembraneEmbedding: branch must be at least 1 behind a picture, got 0. It has no spikes.")
        self.first = first
        self.neurons = nn.ModuleList(neuron.clone() for _ in plan.layers[first:])
        self.threshold_current = neuron.threshold_current
        self.init_firing()

    def forward(self, x: Tensor, state: EmbeddingState | None = None) -> tuple[Tensor, EmbeddingState]:
        self.check_input(x)
        state = state or EmbeddingState((None,) * len(self.neurons))
        short, after = x, []
        if self.first:
            x = self.pools[0](self.convs[0](x))
        layers = zip(self.convs[self.first:], self.pools[self.first:], self.neurons, state.layers, strict=True)
        for index, (conv, pool, neuron, layer) in enumerate(layers, start=int(self.first)):
            spikes, layer = neuron(x, layer)
            short = spikes if index == self.branch else short
            x = pool(conv(spikes))
            after.append(layer)
        return x + self.short(short), EmbeddingState(tuple(after))

    def init_firing(self) -> None:
        for index, conv in enumerate(self.convs):
            power = 1.0 if self.first and not index else SPIKE_POWER
            conv.init_firing(self.threshold_current * self.pooled(index), power)
        scale = self.threshold_current * (POOLED if self.shortcut_pools else 1.0)
        self.shortcut.init_firing(scale, SPIKE_POWER)
