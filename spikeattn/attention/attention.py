"""What every attention is, whatever mixes the tokens.

    out, state = attention(x, state=None, *, grid=None, mask=None)

x, out (T, B, N, D); grid = (Y, X) for mechanisms that need the picture; mask boolean, True = may attend,
broadcastable to (T, B, H, N, M). `out` is the current behind the output projection and its norm: the block
that owns the attention adds the neuron and the residual.
"""

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from torch import Tensor, nn

from spikeattn.neurons import Activation, Neuron
from spikeattn.types import State


class Attention(nn.Module, ABC):
    """Multi-head attention over tokens: D channels in H heads of d = D / H."""

    citation: ClassVar[str | tuple[str, ...]] = ()  # whom to cite: see citations.py
    stream_chunk: int = 1  # time steps that are mixed with one another; T must be a multiple

    def __init__(self, dim: int, heads: int):
        super().__init__()
        if heads < 1 or dim % heads:
            divisors = [h for h in range(1, dim + 1) if dim % h == 0]
            raise ValueError(
                f"{type(self).__name__}: the number of heads must divide dim, got dim={dim}, heads={heads}. "
                f"Choose heads from {divisors}."
            )
        self.dim, self.heads = dim, heads

    @abstractmethod
    def forward(self, x: Tensor, state: State = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, State]: ...

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        """Build this attention for a model: its neuron, number of tokens and projection biases are offered."""
        return cls(dim, heads, bias=bias, **options)

    @abstractmethod
    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Initialise all weights so that every neuron inside fires, for inputs that fire at about 20 %.

        tokens: number of keys. output_scale: standard deviation wanted of the current that leaves.
        """

    def check_input(self, x: Tensor) -> None:
        name = type(self).__name__
        if x.ndim != 4 or x.shape[0] == 0:
            raise ValueError(
                f"{name}: x must have shape (T, B, N, D) with T >= 1, got {tuple(x.shape)}. "
                "For (B, N, D) use spikeattn.attention.BatchFirst, or x.unsqueeze(0) for one step."
            )
        if x.shape[0] % self.stream_chunk:
            raise ValueError(
                f"{name}: T must be a multiple of {self.stream_chunk}, got {x.shape[0]} in {tuple(x.shape)}. "
                "Give whole chunks of time steps, or build it with another chunk."
            )
        if x.shape[-1] != self.dim:
            raise ValueError(
                f"{name}: x must have {self.dim} channels in its last axis, got {x.shape[-1]} in {tuple(x.shape)}. "
                f"Build the attention with dim={x.shape[-1]} or project x first."
            )

    def split(self, x: Tensor) -> Tensor:
        """(T, B, N, D) -> (T, B, H, N, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    @staticmethod
    def merge(x: Tensor) -> Tensor:
        """(T, B, H, N, d) -> (T, B, N, D)."""
        return x.transpose(-2, -3).flatten(-2)


def as_neuron(neuron: Neuron | type[Neuron], owner: str, **changes) -> Neuron:
    """A fresh neuron of one's own from a class or an instance, with some arguments changed."""
    if isinstance(neuron, type) and issubclass(neuron, Neuron):
        neuron = neuron()
    if not isinstance(neuron, Neuron):
        raise ValueError(
            f"{owner}: neuron must be a spiking neuron (a class or an instance), got {neuron!r}. "
            "This mechanism computes on spikes; in an ANN use SoftmaxAttention or CircularAttention."
        )
    if hasattr(neuron, "options"):
        return neuron.clone(**changes)
    return copy.deepcopy(neuron)


def check_grid(owner: nn.Module, x: Tensor, grid: tuple[int, int] | None) -> tuple[int, int]:
    """grid = (Y, X) of the tokens x (T, B, N, D), for mechanisms that need the picture."""
    name = type(owner).__name__
    if grid is None:
        raise ValueError(f"{name}: grid must be (rows, columns) of the tokens, got None. Pass grid=(Y, X).")
    rows, columns = grid
    if rows * columns != x.shape[-2]:
        raise ValueError(
            f"{name}: grid must hold the {x.shape[-2]} tokens, got {tuple(grid)}. Pass grid=(Y, X) with Y * X = N."
        )
    return rows, columns


class BatchFirst(nn.Module):
    """An attention as (B, N, D) -> (B, N, D), for code written around nn.MultiheadAttention: one time step.

    State does not survive the call.
    """

    def __init__(self, attention: Attention):
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if x.ndim != 3:
            raise ValueError(f"BatchFirst: x must have shape (B, N, D), got {tuple(x.shape)}. Drop the time axis.")
        out, _ = self.attention(x.unsqueeze(0), mask=mask)
        return out.squeeze(0)
