"""One encoder block: attention, then MLP, each on a residual shortcut.

    x = shortcut(x, attention, neuron_a)
    x = shortcut(x, mlp,       neuron_m)

Any attention, any neuron (or activation), either shortcut. With the attention Identity the first line is left out.
With an inner shortcut, for MLPs whose hidden layer is as wide as the stream, the second line is two:

    x = x + BN(W_1 neuron_m(x) + b_1)
    x = x + BN(W_2 neuron_h(x) + b_2)
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention import Attention, BipolarSelfAttention, Identity
from spikeattn.attention.projection import Projection
from spikeattn.blocks.mlp import MLP, MLPState
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
    output_bias, mlp_bias: biases in front of the norms behind the attention and in the MLP.
    inner_shortcut: a membrane shortcut around each of the MLP's two projections; needs mlp_ratio = 1.

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
                 inner_shortcut: bool = False, output_bias: bool = True, mlp_bias: bool = True, **options):
        super().__init__()
        if inner_shortcut and (round(dim * mlp_ratio) != dim or not isinstance(shortcut, MembraneShortcut)):
            raise ValueError(
                f"EncoderBlock: inner_shortcut must have mlp_ratio=1 and a membrane shortcut, got {mlp_ratio} and "
                f"{shortcut}. The hidden layer then has the {dim} channels of the stream."
            )
        neuron = neuron() if isinstance(neuron, type) else neuron
        if isinstance(attention, type):
            attention = attention.in_host(dim, heads, neuron=neuron, tokens=tokens, bias=bias, **options)
        self.shortcut, self.attn_shortcut = shortcut, shortcut
        self.inner_shortcut = inner_shortcut
        self.attn_neuron = None if isinstance(attention, Identity) else neuron.clone()
        self.attn = attention
        if not output_bias and isinstance(getattr(attention, "proj", None), Projection):
            attention.proj.linear.bias = None
        self.mlp_neuron = neuron.clone()
        self.mlp = MLP(dim, round(dim * mlp_ratio), neuron=neuron.clone(), bias=mlp_bias)
        self.init_firing(tokens)

    def forward(self, x: Tensor, state: EncoderState | None = None, *,
                grid: tuple[int, int] | None = None) -> tuple[Tensor, EncoderState]:
        state = state or EncoderState()
        attn_state = None
        if self.attn_neuron is not None:
            x, attn_state = self.attn_shortcut(x, self.attn, self.attn_neuron, state.attn, grid=grid)
        mlp = self._two_shortcuts if self.inner_shortcut else self._one_shortcut
        x, mlp_state = mlp(x, state.mlp)
        return x, EncoderState(attn_state, mlp_state)

    def _one_shortcut(self, x: Tensor, state: BranchState | None) -> tuple[Tensor, BranchState]:
        return self.shortcut(x, self.mlp, self.mlp_neuron, state)

    def _two_shortcuts(self, x: Tensor, state: BranchState | None) -> tuple[Tensor, BranchState]:
        state = state or BranchState()
        spikes, outer = self.mlp_neuron(x, state.neuron)
        x = x + self.mlp.fc1(spikes)
        spikes, inner = self.mlp.neuron(x, state.layer.hidden if state.layer else None)
        return x + self.mlp.fc2(spikes), BranchState(outer, MLPState(inner))

    def init_firing(self, tokens: int) -> None:
        """Initialise every weight so that every neuron of the block fires."""
        scale = self.shortcut.branch_scale(self.mlp_neuron.threshold_current)
        self.attn.init_firing(tokens, scale)
        self.mlp.init_firing(scale)
