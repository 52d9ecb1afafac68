"""Spiking attention by a score between queries and keys: the frame that SSA, BSA and their ablations share.

    Q = neuron_q(BN(W_q x))      K = neuron_k(BN(W_k x))         spikes
    V = neuron_v(BN(W_v x)), or BN(W_v x) as a membrane current where there is no value neuron
    A = neuron_a(mix(Q, K, V))                                   mix is the mechanism; per head, per time step
    out = BN(W_o A)

Shapes: x (T, B, N, D); Q, K, V (T, B, H, N, d). The mechanism itself has no parameters.
"""

from abc import abstractmethod
from typing import NamedTuple, Self

from torch import Tensor, nn

from spikeattn.attention.attention import Attention, as_neuron
from spikeattn.attention.projection import Projection, spike_power
from spikeattn.neurons import LIF, Activation, Neuron
from spikeattn.ops import ternary_matmul
from spikeattn.types import State, detach_state


class ScoreAttentionState(NamedTuple):
    """States of the neurons on queries, keys, values (None without one) and on the attention's output."""

    q: State = None
    k: State = None
    v: State = None
    attn: State = None
    detach = detach_state


class ScoreAttention(Attention):
    """Queries, keys and values from x, a mechanism `mix` between them, a neuron, an output projection.

    neuron: the host's neuron; its clones sit on q, k, v and the output with threshold `attn_threshold` on the
    latter (0.5 in every published host). bias: biases of W_q, W_k, W_v (W_o always has one).
    """

    signed_scores = False  # queries, keys and the output are ternary
    spiking_values = True  # False: V stays a membrane current

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False):
        super().__init__(dim, heads)
        owner = type(self).__name__
        base = as_neuron(neuron, owner)
        score = base.signed() if self.signed_scores else base
        self.q_neuron, self.k_neuron = as_neuron(score, owner), as_neuron(score, owner)
        self.v_neuron = as_neuron(score, owner) if self.spiking_values else None
        self.attn_neuron = as_neuron(score, owner, threshold=attn_threshold)
        self.build_projections(Projection, bias=bias, output_bias=True)

    def build_projections(self, kind: type[nn.Module], *, value_dim: int | None = None, bias: bool = False,
                          output_bias: bool = False) -> None:
        """Fresh W_q, W_k, W_v, W_o of another kind or with wider values, for hosts whose own ones differ."""
        values = value_dim or self.dim
        if values % self.heads:
            raise ValueError(
                f"{type(self).__name__}: value_dim must be a multiple of the {self.heads} heads, got {values}. "
                f"Choose a multiple of dim={self.dim}."
            )
        self.q, self.k = kind(self.dim, self.dim, bias=bias), kind(self.dim, self.dim, bias=bias)
        self.v, self.proj = kind(self.dim, values, bias=bias), kind(values, self.dim, bias=output_bias)

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        return cls(dim, heads, neuron=neuron, bias=bias, **options)

    @abstractmethod
    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """The current (T, B, H, N, d) that the mechanism sends to the output neuron."""

    def forward(self, x: Tensor, state: ScoreAttentionState | None = None, *,
                grid: tuple[int, int] | None = None, mask: Tensor | None = None) -> tuple[Tensor, State]:
        (q, k, v), state = self.project(x, state, grid)
        current = self.merge(self.mix(self.split(q), self.split(k), self.split(v), mask))
        spikes, attn_state = self.attn_neuron(current, state.attn)
        return self.proj(spikes, grid), state._replace(attn=attn_state)

    def project(self, x: Tensor, state: ScoreAttentionState | None,
                grid: tuple[int, int] | None) -> tuple[tuple[Tensor, ...], ScoreAttentionState]:
        """Queries, keys and values (T, B, N, D), and the state with their new membranes (`attn` still the old one)."""
        self.check_input(x)
        state = state or ScoreAttentionState()
        q, q_state = self.q_neuron(self.q(x, grid), state.q)
        k, k_state = self.k_neuron(self.k(x, grid), state.k)
        v, v_state = self.v(x, grid), None
        if self.v_neuron is not None:
            v, v_state = self.v_neuron(v, state.v)
        return (q, k, v), ScoreAttentionState(q_state, k_state, v_state, state.attn)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """left right^T of spikes, exact; levels divided by their number are exact fractions, which the op refuses."""
        if getattr(self.q_neuron, "normalise", False):
            return left @ right.mT
        return ternary_matmul(left, right)

    def init_firing(self, tokens: int, output_scale: float) -> None:
        self.init_input(self.q, self.q_neuron.threshold_current)
        self.init_input(self.k, self.k_neuron.threshold_current)
        self.init_input(self.v, self.value_scale(tokens))
        self.proj.init_firing(output_scale, spike_power(self.attn_neuron))

    def init_input(self, projection: nn.Module, scale: float) -> None:
        """Initialise W_q, W_k or W_v for spikes of a neuron like those in here."""
        projection.init_firing(scale, spike_power(self.q_neuron))

    @abstractmethod
    def value_scale(self, tokens: int) -> float:
        """Standard deviation of the value current at initialisation, so that the output neuron fires."""
