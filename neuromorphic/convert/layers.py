"""The float layers of an adapted network that torch has no class for. Shapes: tokens (B, N, D), pictures (B, C, Y, X).

    Embedding          x_n = W[id_n] + P[position_n] + S[segment_n]                     stem
    Patches            x = [prefix; flatten(conv pixels) + positions]                   stem
    SoftmaxAttention   y = softmax(scale Q K^T + mask) V                                per head
    CircularAttention  y = the FFT mixing of spikeattn's CAT                            stays float
    Add, Select, MeanPool, Normalise, ToTokens                                   as named

Everything else is torch's own: Linear, Conv2d, LayerNorm, GELU, ReLU, SiLU, Tanh, Sigmoid, MaxPool2d, Flatten.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeattn.attention import CircularAttention as CAT
from spikeattn.attention.softmax import causal_mask
from spikeattn.converted.circular import averaged_key


class Embedding(nn.Module):
    """Token vectors from tables, read without arithmetic other than the sum.

        x_n = words[id_n] + positions[p_n] + segments[s_n]

    ids (B, N) -> (B, N, D). padding_idx: None counts p_n = n; a number counts as RoBERTa does, the real tokens from
    padding_idx + 1 on and every padding token at padding_idx. Absent segments are 0.

    >>> table = torch.eye(3)
    >>> Embedding(table, positions=10 * torch.ones(2, 3))(torch.tensor([[2, 0]])).detach()
    tensor([[[10., 10., 11.],
             [11., 10., 10.]]])
    """

    stem = True

    def __init__(self, words: Tensor, positions: Tensor | None = None, segments: Tensor | None = None,
                 padding_idx: int | None = None):
        super().__init__()
        self.padding_idx = padding_idx
        for name, table in (("words", words), ("positions", positions), ("segments", segments)):
            self.register_parameter(name, None if table is None else nn.Parameter(table.detach().clone()))

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        x = functional.embedding(ids, self.words)
        if self.positions is not None:
            x = x + functional.embedding(self.place(ids), self.positions)
        if self.segments is not None:
            x = x + functional.embedding(torch.zeros_like(ids) if segments is None else segments, self.segments)
        return x

    def place(self, ids: Tensor) -> Tensor:
        """Row of the position table for each token, (B, N) or (N,)."""
        if self.padding_idx is None:
            rows = torch.arange(ids.shape[1], device=ids.device)
        else:
            real = (ids != self.padding_idx).long()
            rows = real.cumsum(1) * real + self.padding_idx
        if rows.numel() and int(rows.max()) >= len(self.positions):
            room = len(self.positions) - (0 if self.padding_idx is None else self.padding_idx + 1)
            raise ValueError(
                f"Embedding: a text must have at most {room} tokens, got one of {ids.shape[1]}. "
                "Truncate it, as the tokenizer does with truncation=True."
            )
        return rows


class Patches(nn.Module):
    """Tokens from a picture.

        x = [prefix; flatten(conv(pixels)) + positions]

    pixels (B, C, Y, X) -> (B, P + N, D). prefix (P, D): class, distillation or register tokens with their positions
    already added; positions (N, D).

    >>> conv = nn.Conv2d(1, 2, 2, stride=2)
    >>> Patches(conv, prefix=torch.zeros(1, 2), positions=torch.zeros(4, 2))(torch.zeros(3, 1, 4, 4)).shape
    torch.Size([3, 5, 2])
    """

    stem = True

    def __init__(self, conv: nn.Conv2d, prefix: Tensor | None = None, positions: Tensor | None = None):
        super().__init__()
        self.conv = conv
        for name, table in (("prefix", prefix), ("positions", positions)):
            self.register_parameter(name, None if table is None else nn.Parameter(table.detach().clone()))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.conv(pixels).flatten(2).mT
        if self.positions is not None:
            if x.shape[1] != len(self.positions):
                raise ValueError(
                    f"Patches: a picture must give {len(self.positions)} patches, got {x.shape[1]} from "
                    f"{tuple(pixels.shape)}. Resize the pictures to what the checkpoint was trained on."
                )
            x = x + self.positions
        if self.prefix is not None:
            x = torch.cat((self.prefix.expand(len(x), -1, -1), x), 1)
        return x


class ToTokens(nn.Module):
    """(B, C, Y, X) -> (B, Y X, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mT


class SoftmaxAttention(nn.Module):
    """Multi-head softmax attention on ready queries, keys and values, each (B, N, D) -> (B, N, D).

        y_n = sum_m softmax_m(scale q_n . k_m) v_m          over the keys m that n may see

    mask (B, N): non-zero for real tokens, the only keys that are seen; causal: m <= n. A row without keys gives 0.

    >>> x = torch.ones(1, 2, 4)
    >>> SoftmaxAttention(heads=2, scale=0.5)(x, x, x * torch.tensor([[1.0], [3.0]]))[0, :, 0]
    tensor([2., 2.])
    """

    def __init__(self, heads: int, scale: float, causal: bool = False):
        super().__init__()
        self.heads, self.scale, self.causal = heads, float(scale), causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))  # (B, H, N, d)
        scores = q @ k.mT * self.scale
        visible = self.visible(scores, mask)
        if visible is None:
            weights = scores.softmax(-1)
        else:
            lowest = torch.finfo(scores.dtype).min
            weights = scores.masked_fill(~visible, lowest).softmax(-1).masked_fill(~visible, 0.0)
        return (weights @ v).transpose(1, 2).flatten(2)

    def visible(self, scores: Tensor, mask: Tensor | None) -> Tensor | None:
        """Which keys a query sees, broadcastable to (B, H, N, M), None for all."""
        keys = None if mask is None else (mask != 0)[:, None, None, :]
        if not self.causal:
            return keys
        earlier = causal_mask(scores.shape[-1], scores.device)
        return earlier if keys is None else earlier & keys

    def extra_repr(self) -> str:
        return f"heads={self.heads}, scale={self.scale:.6g}, causal={self.causal}"


class CircularAttention(nn.Module):
    """The mixing of CAT on ready values and coefficients; floating point, so the converted network is a hybrid.

        y = circulant(softmax(z)) V,       z_n = coefficients (B, N, H)  or  z_n = q_n . mean_m k_m / sqrt(d)

    values, q, k (B, N, D) -> (B, N, D). The equations are those of `spikeattn.attention.CircularAttention`.
    """

    hybrid = True
    mix, refuses_fft = CAT.mix, CAT.refuses_fft

    def __init__(self, heads: int, *, orientation: str, causal: bool, normaliser: str, implementation: str = "auto"):
        super().__init__()
        self.heads, self.orientation, self.causal, self.normaliser = heads, orientation, causal, normaliser
        self.implementation = implementation

    def forward(self, values: Tensor, z: Tensor, keys: Tensor | None = None) -> Tensor:
        if keys is None:
            z = z.mT  # (B, H, N)
        else:
            z = averaged_key(z, keys, heads=self.heads, causal=self.causal)
        values = values.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, d)
        return self.mix(z, values).transpose(1, 2).flatten(2)


class Add(nn.Module):
    """The residual sum of two wires."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Select(nn.Module):
    """One token, (B, N, D) -> (B, D): the class token."""

    def __init__(self, index: int = 0):
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index]


class MeanPool(nn.Module):
    """Mean over the real tokens, (B, N, D) -> (B, D). skip: leading tokens that are left out.

    >>> x = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> MeanPool()(x, torch.tensor([[1, 1, 0]])), MeanPool(skip=1)(x)
    (tensor([[2.]]), tensor([[6.]]))
    """

    def __init__(self, skip: int = 0):
        super().__init__()
        self.skip = skip

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x[:, self.skip :]
        if mask is None:
            return x.mean(1)
        real = (mask != 0)[:, self.skip :, None].to(x.dtype)
        return (x * real).sum(1) / real.sum(1).clamp(min=1e-9)


class Normalise(nn.Module):
    """x / |x|, the last axis brought to length 1."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1)
