"""Circular-convolutional attention (CAT): one row of N coefficients in place of an N x N score matrix.

    z       = coefficients(x)                          one row of N numbers per head
    w       = softmax(z)                               over the N tokens
    corr:   out_i = sum_j w[(j - i) mod N] V_j         row i of the matrix is w rolled right by i
    conv:   out_i = sum_j w[(i - j) mod N] V_j         circular convolution
    causal: out_i = sum_{j<=i} e^z[i-j] V_j / sum_{k<=i} e^z[k]
    y       = BN(W_o out)

Computed by FFT in O(N log N), or with the matrix gathered in O(N^2): the maths is in ops/circular/README.md.
The mechanism depends on the order of the tokens and is neither permutation- nor shift-equivariant.

    variant   coefficients z_i               values          parameters without W_o and norms
    "qv"      W_A x_i                        W_v x           (D + H) D        CAT, the default
    "qkv"     Q_i . mean_j K_j / sqrt(d)     W_v x           3 D^2            averaged-key
    "q"       W_A x_i                        learned table   (N + H) D        depends on N
    "v"       learned table                  W_v x           (N + D) D        depends on N

Source: Yamada, "Circular-convolutional attention" (NeurIPS 2025, arXiv 2504.06704).
Differs from the paper in: batch norms behind W_q, W_k, W_v and W_o, as in our hosts. Ours are the exact
causal form and its numeric guard, the tables of variants "q" and "v" (read off the parameter counts; in "v"
every channel has a row of its own), the running mean of keys in causal "qkv", and Shiftmax as normaliser.
"""

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from spikeattn.attention.attention import Attention
from spikeattn.attention.bsa import round_straight_through
from spikeattn.attention.projection import SPIKE_POWER, Projection
from spikeattn.attention.softmax import causal_mask, check_mask, mixed_power
from spikeattn.errors import nearest
from spikeattn.neurons import Activation, Neuron
from spikeattn.ops import shiftmax
from spikeattn.ops.circular import (
    ORIENTATIONS,
    causal_matmul,
    circulant,
    circulant_matmul,
    circulant_matmul_gather,
)


class TokenCoefficients(nn.Module):
    """z = W_A x: (T, B, N, D) -> (T, B, H, N). A bias would cancel in the normaliser, so there is none."""

    def __init__(self, dim: int, heads: int, *, bias: bool, causal: bool, tokens: int | None):
        super().__init__()
        self.groups = heads
        self.linear = nn.Linear(dim, heads, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).mT

    def init_firing(self) -> None:
        nn.init.normal_(self.linear.weight, std=1 / math.sqrt(self.linear.in_features * SPIKE_POWER))


class AveragedKeyCoefficients(nn.Module):
    """z_i = Q_i . mean_j K_j / sqrt(d): (T, B, N, D) -> (T, B, H, N); causal: the mean over j <= i."""

    def __init__(self, dim: int, heads: int, *, bias: bool, causal: bool, tokens: int | None):
        super().__init__()
        self.groups, self.causal = heads, causal
        self.q, self.k = Projection(dim, dim, bias=bias), Projection(dim, dim, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k = (layer(x).unflatten(-1, (self.groups, -1)) for layer in (self.q, self.k))  # (T, B, N, H, d)
        if self.causal:
            seen = torch.arange(1, x.shape[-2] + 1, device=x.device, dtype=k.dtype)
            key = k.cumsum(-3) / seen[:, None, None]
        else:
            key = k.mean(-3, keepdim=True)
        return (q * key).sum(-1).mT / math.sqrt(q.shape[-1])

    def init_firing(self) -> None:
        self.q.init_firing(1.0)
        self.k.init_firing(1.0)


class TableCoefficients(nn.Module):
    """z is a learned table, one row per channel, whatever the input: (D, N)."""

    def __init__(self, dim: int, heads: int, *, bias: bool, causal: bool, tokens: int):
        super().__init__()
        self.groups = dim
        self.table = nn.Parameter(torch.empty(dim, tokens))

    def forward(self, x: Tensor) -> Tensor:
        return check_tokens(self.table, -1, x)

    def init_firing(self) -> None:
        nn.init.normal_(self.table)


class TableValues(nn.Module):
    """V is a learned table (N, D), whatever the input."""

    def __init__(self, dim: int, *, bias: bool, tokens: int):
        super().__init__()
        self.table = nn.Parameter(torch.empty(tokens, dim))

    def forward(self, x: Tensor) -> Tensor:
        return check_tokens(self.table, 0, x).expand_as(x)

    def init_firing(self, scale: float) -> None:
        nn.init.normal_(self.table, std=scale)


def projected_values(dim: int, *, bias: bool, tokens: int | None) -> Projection:
    return Projection(dim, dim, bias=bias)


def check_tokens(table: Tensor, axis: int, x: Tensor) -> Tensor:
    if table.shape[axis] != x.shape[-2]:
        raise ValueError(
            f"CircularAttention: x must have the {table.shape[axis]} tokens its table was built for, "
            f"got {x.shape[-2]}. Build it with tokens={x.shape[-2]}, or use variant 'qv', which has no table."
        )
    return table


VARIANTS: dict[str, tuple[Callable, Callable]] = {  # name: (coefficients, values)
    "qv": (TokenCoefficients, projected_values),
    "qkv": (AveragedKeyCoefficients, projected_values),
    "q": (TokenCoefficients, TableValues),
    "v": (TableCoefficients, projected_values),
}


def softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the last axis; where the mask is False the weight is 0, rows without a key are all 0."""
    if mask is None:
        return scores.softmax(-1)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    return weights.masked_fill(~mask, 0.0)


def rounded_shiftmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Shiftmax of the scores rounded to integers, with the straight-through gradient of rounding."""
    return shiftmax(round_straight_through(scores), mask)


NORMALISERS: dict[str, Callable[..., Tensor]] = {"softmax": softmax, "shiftmax": rounded_shiftmax}
IMPLEMENTATIONS = ("auto", "fft", "gather")


class CircularAttention(Attention):
    """CAT over tokens, (T, B, N, D) -> (T, B, N, D); time steps do not interact and there is no state.

    variant: "qv" (CAT), "qkv", "q" or "v"; the last two need the number of `tokens`. normaliser: "softmax" or
    "shiftmax" (weights are powers of two). orientation: "corr" (default) or "conv"; the causal form has one
    orientation, "conv", because a row of the other reads coefficients of later tokens.
    implementation: "fft", "gather", or "auto": FFT unless a mask or causal Shiftmax needs the matrix. The
    causal FFT is guarded: where its error would show (and always while compiling or exporting, when values
    cannot be looked at) the matrix is built instead.
    bias: biases of the projections in front of norms (W_o always has one).

    >>> import torch
    >>> attention = CircularAttention(dim=8, heads=2).eval()
    >>> out, state = attention(torch.randn(1, 3, 5, 8))
    >>> out.shape, state
    (torch.Size([1, 3, 5, 8]), None)
    """

    citation = "yamada2025cat"

    def __init__(self, dim: int, heads: int, *, variant: str = "qv", orientation: str | None = None,
                 implementation: str = "auto", causal: bool = False, normaliser: str = "softmax",
                 tokens: int | None = None, bias: bool = False):
        super().__init__(dim, heads)
        _choose("variant", variant, VARIANTS)
        _choose("implementation", implementation, IMPLEMENTATIONS)
        _choose("normaliser", normaliser, NORMALISERS)
        if orientation is not None:
            _choose("orientation", orientation, ORIENTATIONS)
        if causal and orientation == "corr":
            raise ValueError(
                "CircularAttention: the causal form must have orientation 'conv', got 'corr', in which row i "
                "reads coefficients of tokens behind i. Leave orientation out or pass 'conv'."
            )
        coefficients, values = VARIANTS[variant]
        if tokens is None and (coefficients is TableCoefficients or values is TableValues):
            raise ValueError(
                f"CircularAttention: variant {variant!r} must know the number of tokens, got tokens=None. "
                "Pass tokens=N, or use variant 'qv' or 'qkv', which take any N."
            )
        self.variant, self.normaliser, self.implementation = variant, normaliser, implementation
        self.causal, self.orientation = causal, orientation or ("conv" if causal else "corr")
        self.coefficients = coefficients(dim, heads, bias=bias, causal=causal, tokens=tokens)
        self.v = values(dim, bias=bias, tokens=tokens)
        self.proj = Projection(dim, dim, bias=True)
        self.init_firing(tokens=tokens or 64, output_scale=1.0)

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        return cls(dim, heads, tokens=tokens, bias=bias, **options)

    def forward(self, x: Tensor, state: None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, None]:
        self.check_input(x)
        check_mask(type(self).__name__, mask)
        groups = self.coefficients.groups
        values = self.v(x).unflatten(-1, (groups, -1)).transpose(-2, -3)  # (T, B, groups, N, d)
        return self.proj(self.merge(self.mix(self.coefficients(x), values, mask))), None

    def mix(self, z: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Coefficients (..., N) and values (..., N, d) -> (..., N, d)."""
        normalise = NORMALISERS[self.normaliser]
        z = z.to(torch.promote_types(z.dtype, torch.float32))  # half precision loses what the weights weigh
        reason = self.refuses_fft(mask)
        if self.implementation == "fft" and reason:
            raise ValueError(f"CircularAttention: {reason}. Use implementation='auto' or 'gather'.")
        gather = self.implementation == "gather" or reason is not None
        if self.causal and not gather:
            return causal_matmul(z, values)
        if self.causal or mask is not None:
            visible = mask
            if self.causal:
                earlier = causal_mask(z.shape[-1], z.device)
                visible = earlier if mask is None else earlier & mask
            return normalise(circulant(z, self.orientation), visible).to(values.dtype) @ values
        form = circulant_matmul_gather if gather else circulant_matmul
        return form(normalise(z), values, self.orientation)

    def refuses_fft(self, mask: Tensor | None) -> str | None:
        """Why the FFT form cannot be used, or None."""
        if mask is not None:
            return "the FFT form must have no mask, got one: a matrix with masked keys is not circulant"
        if self.causal and self.normaliser != "softmax":
            return f"the causal FFT form must have the softmax normaliser, got {self.normaliser!r}"
        return None

    def init_firing(self, tokens: int, output_scale: float) -> None:
        self.coefficients.init_firing()
        self.v.init_firing(1.0)
        self.proj.init_firing(output_scale, input_power=mixed_power(tokens))

    def extra_repr(self) -> str:
        names = ("variant", "orientation", "implementation", "causal", "normaliser")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


def _choose(what: str, value: str, choices) -> None:
    if value not in choices:
        raise ValueError(
            f"CircularAttention: {what} must be one of {sorted(choices)}, got {value!r}. {nearest(value, choices)}"
        )
