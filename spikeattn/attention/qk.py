"""Q-K attention: queries decide which tokens, or which channels, of the keys pass. No values, no scores.

    Q, K = LIF(BN(W_q x)), LIF(BN(W_k x))        in {0, 1}; (T, B, H, N, d)
    token     a_i = LIF(sum_c Q_ic)              one gate for each token: (T, B, H, N, 1)
    channel   a_c = LIF(sum_i Q_ic)              one gate for each channel: (T, B, H, 1, d)
    out   = BN(W_o (a * K))                      threshold 0.5 on the gate's neuron

Per head and per time step; the cost is linear in N and in d, additions and gating only.

Source: Zhou et al., "QKFormer: Hierarchical Spiking Transformer using Q-K Attention" (NeurIPS 2024);
the released code has the token form. Differs from the paper in: the threshold of the channel gate, which the
paper leaves open, is the token gate's.
"""

from abc import abstractmethod
from statistics import NormalDist
from typing import NamedTuple, Self

from torch import Tensor

from spikeattn.attention.attention import Attention, as_neuron
from spikeattn.attention.projection import SPIKE_POWER, Projection
from spikeattn.neurons import LIF, Activation, Neuron
from spikeattn.types import State, detach_state


class QKAttentionState(NamedTuple):
    """States of the neurons on queries, keys and gates."""

    q: State = None
    k: State = None
    attn: State = None
    detach = detach_state


class QKAttention(Attention):
    """What token and channel attention share. neuron: the host's; its clones sit on q, k and the gates.

    attn_threshold: threshold of the gates' neuron, 0.5 in the published code: one query spike opens a gate.
    bias: biases of W_q and W_k (W_o has one).
    """

    citation = "zhou2024qkformer"
    input_power = SPIKE_POWER  # mean square of the input that initialisation counts on

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False):
        super().__init__(dim, heads)
        owner = type(self).__name__
        self.q, self.k = Projection(dim, dim, bias=bias), Projection(dim, dim, bias=bias)
        self.q_neuron, self.k_neuron = as_neuron(neuron, owner), as_neuron(neuron, owner)
        self.attn_neuron = as_neuron(neuron, owner, threshold=attn_threshold)
        self.proj = Projection(dim, dim, bias=True)
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        return cls(dim, heads, neuron=neuron, bias=bias, **options)

    @abstractmethod
    def gate_current(self, q: Tensor) -> Tensor:
        """Queries (T, B, H, N, d) -> the current of the gates, broadcastable to the keys."""

    @abstractmethod
    def queries_per_gate(self, tokens: int) -> int:
        """How many query spikes one gate adds up."""

    def forward(self, x: Tensor, state: QKAttentionState | None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, QKAttentionState]:
        self.check_input(x)
        if mask is not None:
            raise ValueError(
                f"{type(self).__name__}: mask must be None, got {tuple(mask.shape)}. This mechanism has no score "
                "between tokens; use SpikingSelfAttention or BipolarSelfAttention."
            )
        state = state or QKAttentionState()
        q, q_state = self.q_neuron(self.q(x), state.q)
        k, k_state = self.k_neuron(self.k(x), state.k)
        gates, attn_state = self.attn_neuron(self.gate_current(self.split(q)), state.attn)
        return self.proj(self.merge(gates * self.split(k))), QKAttentionState(q_state, k_state, attn_state)

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Queries start at the rate f at which half of the gates, of n queries each, open: 1 - (1 - f)^n = 1/2."""
        rate = max(0.01, 1 - 0.5 ** (1 / self.queries_per_gate(tokens)))
        deviations = max(0.25, -NormalDist().inv_cdf(rate))  # where a unit normal exceeds its threshold at that rate
        self.q.init_firing(self.q_neuron.threshold_current / deviations, self.input_power)
        self.k.init_firing(self.k_neuron.threshold_current)
        self.proj.init_firing(output_scale)


class TokenQKAttention(QKAttention):
    """Q-K attention that lets whole tokens pass.

    >>> import torch
    >>> attention = TokenQKAttention(dim=16, heads=2).eval()
    >>> out, state = attention(torch.ones(4, 1, 6, 16))
    >>> out.shape, state.attn.v.shape                # one gate for each head and token
    (torch.Size([4, 1, 6, 16]), torch.Size([1, 2, 6, 1]))
    """

    # its gates add few, rare query spikes, and rare events depend strongly on the input: it is taken to be as strong
    # as the sums of spikes in a deep host with spike shortcuts, where this mechanism stands
    input_power = 4 * SPIKE_POWER

    def gate_current(self, q: Tensor) -> Tensor:
        return q.sum(-1, keepdim=True)

    def queries_per_gate(self, tokens: int) -> int:
        return self.dim // self.heads


class ChannelQKAttention(QKAttention):
    """Q-K attention that lets whole channels pass.

    >>> import torch
    >>> out, state = ChannelQKAttention(dim=16, heads=2).eval()(torch.ones(4, 1, 6, 16))
    >>> state.attn.v.shape                           # one gate for each head and channel
    torch.Size([1, 2, 1, 8])
    """

    def gate_current(self, q: Tensor) -> Tensor:
        return q.sum(-2, keepdim=True)

    def queries_per_gate(self, tokens: int) -> int:
        return tokens
