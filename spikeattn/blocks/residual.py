"""One residual branch on pictures, with the neuron in front of it.

    x = x + layer(neuron(x))                     x (T, B, C, Y, X); or the other shortcut

The branch of an attention works on the tokens of the picture and knows its grid.
"""

from torch import Tensor, nn

from spikeattn.attention import Attention
from spikeattn.blocks.shortcut import BranchState, MembraneShortcut, Shortcut


class Residual(nn.Module):
    """`x, state = branch(x, state=None)` around any layer on pictures that has `init_firing(scale)`."""

    def __init__(self, layer: nn.Module, *, neuron: nn.Module, shortcut: Shortcut = MembraneShortcut()):  # noqa: B008
        super().__init__()
        self.shortcut, self.neuron, self.layer = shortcut, neuron, layer
        self.init_firing()

    def forward(self, x: Tensor, state: BranchState | None = None) -> tuple[Tensor, BranchState]:
        return self.shortcut(x, self.layer, self.neuron, state)

    def init_firing(self) -> None:
        self.layer.init_firing(self.shortcut.branch_scale(self.neuron.threshold_current))


class AttentionResidual(nn.Module):
    """`x, state = branch(x, state=None)` around an attention. tokens: expected N, for initialisation."""

    def __init__(self, attention: Attention, *, neuron: nn.Module, tokens: int,
                 shortcut: Shortcut = MembraneShortcut()):  # noqa: B008
        super().__init__()
        self.shortcut, self.neuron, self.attn = shortcut, neuron, attention
        self.attn.init_firing(tokens, shortcut.branch_scale(neuron.threshold_current))

    def forward(self, x: Tensor, state: BranchState | None = None) -> tuple[Tensor, BranchState]:
        grid = (x.shape[-2], x.shape[-1])
        tokens, state = self.shortcut(as_tokens(x), self.attn, self.neuron, state, grid=grid)
        return as_picture(tokens, grid), state


def as_tokens(x: Tensor) -> Tensor:
    """(T, B, C, Y, X) -> (T, B, N, D)."""
    return x.flatten(-2).mT


def as_picture(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """(T, B, N, D) -> (T, B, C, Y, X)."""
    return x.mT.unflatten(-1, grid)
