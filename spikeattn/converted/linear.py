"""Products of code words with weights: Linear and Conv2d.

    spikes        acc <- b * acc + W s_t            one pass over the weights for each digit plane, additions only
    codes         acc  = W n
    y = round_shift(acc + bias, shift)              onto the grid of whoever reads it

W are small integers (12 bits a row by default), so every sum is exact: in float32 where |W| summed over a row stays
below 2**24, else in float64 below 2**53. With real weights (float64) acc is real, and the two forms agree only up to
rounding.
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikeattn.converted.node import Product
from spikeattn.ops.horner import horner
from spikeattn.ops.round_shift import round_shift

EXACT = {torch.float32: 2**24, torch.float64: 2**53}  # integers up to here have a float of their own


def exact_dtype(largest: int) -> torch.dtype:
    """The smaller float type that adds integers up to `largest` in size without rounding."""
    for dtype, limit in EXACT.items():
        if largest < limit:
            return dtype
    raise ValueError(f"convert: sums must stay below 2**53 to be exact, got {largest}. Use narrower weights or less T.")


class Weighted(Product):
    """Shared by Linear and Conv2d: which function multiplies.

    weight: int16, or float64 where weights stay real; bias, shift: int64 that broadcast against the outputs.
    widest: most that the sums of |weight| of one output can reach with code words of the largest size.
    """

    def __init__(self, *, weight: Tensor, bias: Tensor, shift: Tensor, base: int, step_sum: int, word_sum: int, **more):
        super().__init__({"base": base, "step_sum": step_sum, "word_sum": word_sum, **more},
                         {"weight": weight, "bias": bias, "shift": shift})
        self.real = weight.is_floating_point()
        self.step_dtype = torch.float64 if self.real else exact_dtype(step_sum)
        self.word_dtype = torch.float64 if self.real else exact_dtype(word_sum)

    @abstractmethod
    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """The product of whole numbers held in floats."""

    def forward(self, planes: Tensor) -> Tensor:
        return self.finish(horner(self._steps(planes), self.base))

    def accumulate(self, sums: Any, *planes: Tensor) -> Tensor:
        terms = self._steps(planes[0])
        if sums is None:
            return horner(terms, self.base)
        return horner(torch.stack((sums.to(terms.dtype) if self.real else sums, *terms.to(sums.dtype))), self.base)

    def finish(self, sums: Tensor, *others: Tensor | None) -> Tensor:
        total = sums + self.bias
        return total if self.real else round_shift(total, self.shift)

    def codes(self, n: Tensor) -> Tensor:
        sums = self.multiply(n.to(self.word_dtype), self.weight.to(self.word_dtype))
        return self.finish(sums if self.real else sums.to(torch.int64))

    def _steps(self, planes: Tensor) -> Tensor:
        flat = planes.flatten(0, 1).to(self.step_dtype)
        terms = self.multiply(flat, self.weight.to(self.step_dtype)).unflatten(0, planes.shape[:2])
        return terms if self.real or terms.dtype == torch.float32 else terms.to(torch.int64)  # float64 would stay real


class Linear(Weighted):
    """Code words (B, ..., in) -> (B, ..., out); weight (out, in), bias and shift (out,).

    >>> layer = Linear(weight=torch.tensor([[2, -1]], dtype=torch.int16), bias=torch.tensor([3]),
    ...                shift=torch.tensor([0]), base=3, step_sum=3, word_sum=12)
    >>> planes = torch.tensor([[[1, 0]], [[-1, 1]]], dtype=torch.int8)            # the words 2 and 1
    >>> layer(planes).tolist(), layer.codes(torch.tensor([[2, 1]])).tolist()
    ([[6]], [[6]])
    """

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight)


class Conv2d(Weighted):
    """Code words (B, C, Y, X) -> (B, O, Y', X'); weight (O, C / groups, k, k), bias and shift (O, 1, 1)."""

    def __init__(self, *, stride: list[int], padding: list[int], dilation: list[int], groups: int, **more):
        super().__init__(stride=tuple(stride), padding=tuple(padding), dilation=tuple(dilation), groups=groups, **more)

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)
