"""Bipolar self-attention (BSA).

    Q, K  = TSN(BN(W_q x)), TSN(BN(W_k x))       in {-1, 0, 1}: ternary spikes
    V     = BN(W_v x)                            real: a membrane current, no neuron
    X     = Q K^T                                integers, |X_ij| <= d: additions and subtractions only
    gamma = ceil(log2 sum_j 2^X_ij)              per row
    A_ij  = 2^(X_ij - gamma_i)                   Shiftmax: powers of two, row sum in (1/2, 1]
    out   = BN(W_o TSN(A V))                     A V is a sum of right-shifted V

Per head and per time step. There is no 1/sqrt(d), no exponential and no division.

Source: Wang et al., "Bipolar Self-attention for Spiking Transformers" (NeurIPS 2025), Eq. 13-19.
Differs from the paper in: several heads (the equations show one; each head has its own scores over d = D/H
channels); Q K^T is transposed as the shapes demand (Eq. 17 prints no transpose). Our readings where it is
silent: firing at equality, threshold 0.5 of the outer neuron (the hosts' value), straight-through gradient of
the ceiling.
"""

import math

import torch
from torch import Tensor, nn

from spikeattn.attention.score import ScoreAttention
from spikeattn.neurons import LIF, Neuron
from spikeattn.ops import bipolar_attention, shiftmax, ternary_matmul


class BipolarSelfAttention(ScoreAttention):
    """Attention with ternary queries and keys, Shiftmax weights, and values as membrane currents.

    neuron: the host's neuron (LIF, IF, PLIF, ILIF); its signed form sits on q, k and the output.
    normaliser: "ceil" as in the paper, or "round" for ablation.
    score_scale: None as in the paper. A number (say 1/sqrt(d)) or "learnable" makes the scores real; they are
    rounded to integers, with a straight-through gradient, before Shiftmax.

    >>> import torch
    >>> attention = BipolarSelfAttention(dim=32, heads=4).eval()
    >>> out, state = attention(torch.randint(0, 2, (4, 1, 16, 32)).float())
    >>> out.shape, state.q.v.shape
    (torch.Size([4, 1, 16, 32]), torch.Size([1, 16, 32]))
    """

    citation = "wang2025bsa"
    signed_scores = True
    spiking_values = False

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, normaliser: str = "ceil", score_scale: float | str | None = None):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias)
        self.normaliser = normaliser
        if isinstance(score_scale, str) and score_scale != "learnable":
            raise ValueError(
                f"{type(self).__name__}: score_scale must be None, a number or 'learnable', got {score_scale!r}. "
                "The paper uses none."
            )
        learnable = score_scale == "learnable"
        start = 1 / math.sqrt(dim // heads) if learnable else score_scale
        self.score_scale = nn.Parameter(torch.tensor(start)) if learnable else start
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if self.score_scale is None:
            return bipolar_attention(q, k, v, mask, normaliser=self.normaliser)
        scores = round_straight_through(ternary_matmul(q, k) * self.score_scale)
        weights = shiftmax(scores, mask, normaliser=self.normaliser)
        return weights @ v.to(weights.dtype)

    def value_scale(self, tokens: int) -> float:
        # A row attends to some 16 keys (attention entropies of 3 to 6 bits at usual widths) with a mass of about
        # 0.72, which shrinks the value's deviation by 4 / 0.72; few tokens shrink it less.
        return self.attn_neuron.threshold_current * math.sqrt(min(tokens, 16)) / 0.72


class SpikeDrivenBipolarSelfAttention(BipolarSelfAttention):
    """BSA with ternary spiking values, our fully spike-driven variant (not the published module).

    V = TSN(BN(W_v x)) in {-1, 0, 1}: A V needs one shifted constant per non-zero value and no real operand.
    Its rows average spikes, so |A V| <= 1 and about 0.1 in deviation: the output neuron has a threshold of 1/8
    where the published one, whose values are currents of any size, has 1/2.
    """

    spiking_values = True

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.125,
                 bias: bool = False, normaliser: str = "ceil", score_scale: float | str | None = None):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias, normaliser=normaliser,
                         score_scale=score_scale)

    def value_scale(self, tokens: int) -> float:
        return self.v_neuron.threshold_current


def round_straight_through(x: Tensor) -> Tensor:
    """round(x), ties to even, with the gradient of the identity."""
    return x + (x.round() - x).detach()
