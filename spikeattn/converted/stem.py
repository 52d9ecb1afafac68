"""The declared stem: how words, pictures and features become integers on the grid of the first stream.

    words       x = sum of rows of integer tables                          read, not computed
    pictures    x = round((W * picture + b) / U)                           analog input times weights, once
    features    x = round(features / U)                                    an analog-to-digital converter
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spikeattn.codings import quantise_real
from spikeattn.converted.node import Node

WIDEST = 2**52  # no stream reaches it


def to_grid(x: Tensor, unit: float) -> Tensor:
    """Real values as integers in steps of `unit`, rounded half away from zero."""
    return quantise_real(x, unit, WIDEST)


class Embedding(Node):
    """Rows of integer tables, added up: words, positions, segments.

    padding_idx: None counts positions from 0; a token id counts only the tokens that are not it (RoBERTa).
    """

    stem = True

    def __init__(self, *, words: Tensor, positions: Tensor | None = None, segments: Tensor | None = None,
                 padding_idx: int | None = None):
        tables = {"words": words, "positions": positions, "segments": segments}
        super().__init__({"padding_idx": padding_idx},
                         {name: table for name, table in tables.items() if table is not None})

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        total = F.embedding(ids, self.words).to(torch.int64)
        if "positions" in self.constants:
            self._check_length(ids)
            total = total + F.embedding(self._places(ids), self.positions)
        if "segments" in self.constants:
            total = total + F.embedding(torch.zeros_like(ids) if segments is None else segments, self.segments)
        return total

    def _check_length(self, ids: Tensor) -> None:
        room = len(self.positions) - (0 if self.padding_idx is None else self.padding_idx + 1)
        if ids.shape[-1] > room:
            raise ValueError(f"Embedding: a text must have at most {room} tokens, got one of {ids.shape[-1]}. "
                             "Truncate it, as the tokenizer does with truncation=True.")

    def _places(self, ids: Tensor) -> Tensor:
        if self.padding_idx is None:
            return torch.arange(ids.shape[-1], device=ids.device).expand(ids.shape)
        real = (ids != self.padding_idx).to(torch.int64)
        return real.cumsum(-1) * real + self.padding_idx


class Patches(Node):
    """A picture -> tokens: a convolution of the analog picture, positions added, then `prefix` (class tokens with their
    positions) in front, all rounded to U.
    """

    stem = True

    def __init__(self, *, weight: Tensor, bias: Tensor, unit: float, stride: list[int], padding: list[int],
                 prefix: Tensor | None = None, positions: Tensor | None = None):
        extra = {"prefix": prefix, "positions": positions}
        super().__init__({"unit": unit, "stride": tuple(stride), "padding": tuple(padding)},
                         {"weight": weight, "bias": bias} | {n: t for n, t in extra.items() if t is not None})

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.conv2d(pixels.double(), self.weight, self.bias, self.stride, self.padding).flatten(2).mT
        if "positions" in self.constants:
            x = x + self.positions
        if "prefix" in self.constants:
            x = torch.cat((self.prefix.expand(x.shape[0], -1, -1), x), 1)
        return to_grid(x, self.unit)


class Analog(Node):
    """The first weights of a network, which meet the analog input: a convolution or a linear layer, rounded to U."""

    stem = True

    def __init__(self, *, weight: Tensor, bias: Tensor, unit: float, stride: list[int] = (), padding: list[int] = (),
                 dilation: list[int] = (), groups: int = 1):
        super().__init__({"unit": unit, "stride": tuple(stride), "padding": tuple(padding),
                          "dilation": tuple(dilation), "groups": groups}, {"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.ndim == 2:
            return to_grid(F.linear(x.double(), self.weight, self.bias), self.unit)
        y = F.conv2d(x.double(), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return to_grid(y, self.unit)


class Quantise(Node):
    """Features that come in as real numbers, onto the grid U."""

    stem = True

    def __init__(self, *, unit: float):
        super().__init__({"unit": unit}, {})

    def forward(self, x: Tensor) -> Tensor:
        return to_grid(x.double(), self.unit)
