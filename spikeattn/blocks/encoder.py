"""One encoder block: attention, then MLP, each on a residual shortcut.

    x = shortcut(x, attention, neuron_a)
    x = shortcut(x, mlp,       neuron_m)

Any attention, any neuron (or activation), either shortcut.
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention import Attention, BipolarSelfAttention
from spikeattn.blocks.mlp import MLP
from spikeattn.blocks.shortcut import BranchState, MembraneShortcut, Shortcut
from spikeattn.neurons import LIF, Activation, Neuron
from spikeattn.types import detach_state


class EncoderState(NamedTuple):
    """States of the attention branch and of the MLP branch."""

    attn: BranchState | None = None
    mlp: BranchState | None = None
    detach = detach_state


class EncoderBlock(nn.Module):
    """`x, state = block(x, state=None, grid=None)`, tokens (T, B, N, D) in and out.

    attention: a class, built here with `options`, or an Attention of yours. neuron: the block's neuron, a class
    or an instance; every place gets a clone of its own. shortcut: MembraneShortcut() or SpikeShortcut().
    bias: biases of the q, k, v projections. tokens: expected N, which only initialisation uses.

    >>> import torch
    >>> block = EncoderBlock(32, 4, attention=BipolarSelfAttention, neuron=LIF.from_tau(2.0)).eval()
    >>> y, state = block(torch.randn(4, 2, 16, 32))
    >>> y, state = block(torch.randn(1, 2, 16, 32), state)       # one more time step
    >>> y.shape
    torch.Size([1, 2, 16, 32])
    """

    def __init__(self, dim: int, heads: int, *, attention: Attention | type[Attention] = BipolarSelfAttention,
                 neuron: Neuron | Activation | type = LIF, mlp_ratio: float = 4.0,
                 shortcut: Shortcut = MembraneShortcut(), bias: bool = False, tokens: int = 64,  # noqa: B008
                 **options):
        super().__init__()
        neuron = neuron() if isinstance(neuron, type) else neuron
        if isinstance(attention, type):
            attention = attention.in_host(dim, heads, neuron=neuron, tokens=tokens, bias=bias, **options)
        self.shortcut = shortcut
        self.attn_neuron, self.attn = neuron.clone(), attention
        self.mlp_neuron, self.mlp = neuron.clone(), MLP(dim, round(dim * mlp_ratio), neuron=neuron.clone())
        self.init_firing(tokens)

    def forward(self, x: Tensor, state: EncoderState | None = None, *,
                grid: tuple[int, int] | None = None) -> tuple[Tensor, EncoderState]:
        state = state or EncoderState()
        x, attn_state = self.shortcut(x, self.attn, self.attn_neuron, state.attn, grid=grid)
        x, mlp_state = self.shortcut(x, self.mlp, self.mlp_neuron, state.mlp)
        return x, EncoderState(attn_state, mlp_state)

    def init_firing(self, tokens: int) -> None:
        """Initialise every weight so that every neuron of the block fires."""
        scale = self.shortcut.branch_scale(self.attn_neuron.threshold_current)
        self.attn.init_firing(tokens, scale)
        self.mlp.init_firing(scale)
