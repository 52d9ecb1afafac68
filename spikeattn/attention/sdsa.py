"""Spike-driven self-attention (SDSA): a mask of channels in place of scores.

    Q, K, V = LIF(BN(W x))                       in {0, 1}; (T, B, H, N, d)
    g_c     = LIF(sum_n K_nc V_nc)               one gate for each channel: (T, B, 1, D); threshold 0.5
    out     = BN(W_o (Q * g))                    additions and gating only: linear in N and in d

In event mode ("erode" in the code) 3x3 maxima of stride 1 thicken the spikes:

    K, V    = max over the 3x3 neighbours in the picture
    K * V and Q * g = max over 3x3 in the plane of tokens and head channels (N, d)

The second line is what the code computes: it pools after the reshape, so the window spans neighbouring tokens of
one row of the flattened picture and neighbouring channels of one head.

Source: Yao et al., "Spike-driven Transformer" (NeurIPS 2023), Eq. 7-9, and its code; SDSA-1 of the second version.
Differs from the paper in: the event mode, which only the code has. The code's unused convolution over heads
(`talking_heads`) is left out.
"""

from torch import Tensor, nn
from torch.nn import functional

from spikeattn.attention.attention import check_grid
from spikeattn.attention.score import ScoreAttention, ScoreAttentionState
from spikeattn.attention.ssa import deviation
from spikeattn.neurons import LIF, Neuron

ERODED = ("", "kv", "qkv")


class SpikeDrivenSelfAttention(ScoreAttention):
    """Attention without scores: a gate for each channel, opened by keys and values that fire together.

    erode: "" for pictures, "kv" for event frames as published, "qkv" where queries are pooled too (STAtten's
    code); needs `grid`. The gate's neuron is `attn_neuron`.

    >>> import torch
    >>> attention = SpikeDrivenSelfAttention(dim=16, heads=2).eval()
    >>> out, state = attention(torch.ones(4, 1, 6, 16))
    >>> out.shape, state.attn.v.shape                # one gate for each channel
    (torch.Size([4, 1, 6, 16]), torch.Size([1, 1, 16]))
    """

    citation = "yao2023sdt"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, erode: str = ""):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias)
        if erode not in ERODED:
            raise ValueError(f"{type(self).__name__}: erode must be one of {ERODED}, got {erode!r}. Pictures use ''.")
        self.erode = erode
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def forward(self, x: Tensor, state: ScoreAttentionState | None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, ScoreAttentionState]:
        (q, k, v), state = self.project(x, state, grid)
        if self.erode:
            grid = check_grid(self, x, grid)
            k, v = thicken(k, grid), thicken(v, grid)
            q = thicken(q, grid) if "q" in self.erode else q
        q, k, v = self.split(q), self.split(k), self.split(v)
        gates, attn_state = self.attn_neuron(self.merge(self.mix(q, k, v, mask)), state.attn)
        gated = q * self.split(gates)
        return self.proj(self.merge(self.plane(gated)), grid), state._replace(attn=attn_state)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """The current of the gates, (T, B, H, 1, d)."""
        if mask is not None:
            raise ValueError(
                f"{type(self).__name__}: mask must be None, got {tuple(mask.shape)}. One gate serves all tokens, there "
                "is no score between two of them; use SpikingSelfAttention or BipolarSelfAttention."
            )
        return self.plane(k * v).sum(-2, keepdim=True)

    def plane(self, x: Tensor) -> Tensor:
        """In event mode the 3x3 maxima over (N, d) of x (T, B, H, N, d)."""
        if not self.erode:
            return x
        return functional.max_pool2d(x.flatten(0, 1), 3, stride=1, padding=1).unflatten(0, x.shape[:2])

    def build_projections(self, kind: type[nn.Module], *, value_dim: int | None = None, bias: bool = False,
                          output_bias: bool = False) -> None:
        if value_dim not in (None, self.dim):
            raise ValueError(
                f"{type(self).__name__}: values must be as wide as the {self.dim} channels of the keys that they meet "
                f"one by one, got {value_dim}. In a host with wider values use 'ssa', 'bsa' or 'statten'."
            )
        super().build_projections(kind, bias=bias, output_bias=output_bias)

    def value_scale(self, tokens: int) -> float:
        return self.v_neuron.threshold_current

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Keys and values start at the rate f at which gates open a little more often than not:

            N p^2 = 1.5 threshold_current(gate)           p = f, in event mode p = 1 - (1 - f)^9

        In event mode coincidences come in clumps, but the maxima over (N, d) give each to three channels. Below a
        rate of 1.8 % a layer counts as silent: with more than 60 tokens event mode opens its gates more often.
        """
        super().init_firing(tokens, output_scale)
        meeting = min(0.5, (1.5 * self.attn_neuron.threshold_current / tokens) ** 0.5)
        rate = max(0.018, 1 - (1 - meeting) ** (1 / 9) if self.erode else min(0.4, meeting))
        for projection, neuron in ((self.k, self.k_neuron), (self.v, self.v_neuron)):
            self.init_input(projection, neuron.threshold_current * deviation(neuron, rate))


def thicken(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """The maximum of each token and its neighbours in the picture: (T, B, N, D) -> (T, B, N, D).

    >>> import torch
    >>> thicken(torch.tensor([0.0, 0.0, 0.0, 1.0]).view(1, 1, 4, 1), (1, 4)).flatten()
    tensor([0., 0., 1., 1.])
    """
    picture = x.mT.unflatten(-1, grid)  # (T, B, D, Y, X)
    pooled = functional.max_pool2d(picture.flatten(0, 1), 3, stride=1, padding=1)
    return pooled.unflatten(0, x.shape[:2]).flatten(-2).mT
