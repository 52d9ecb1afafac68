"""Nodes that only move values: pictures to tokens, one token out of many, the largest of a window."""

from torch import Tensor
from torch.nn import functional as F

from spikeattn.converted.node import Node


class ToTokens(Node):
    """(B, C, Y, X) -> (B, Y X, C)"""

    def __init__(self):
        super().__init__({}, {})

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mT


class Flatten(Node):
    """(B, ...) -> (B, D)"""

    def __init__(self):
        super().__init__({}, {})

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Select(Node):
    """One token: (B, N, D) -> (B, D)"""

    def __init__(self, *, index: int):
        super().__init__({"index": index}, {})

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index]


class MaxPool2d(Node):
    """The largest value of each window: comparisons. Padding never wins (values are raised above it)."""

    def __init__(self, *, kernel_size: list[int], stride: list[int], padding: list[int]):
        super().__init__({"kernel_size": tuple(kernel_size), "stride": tuple(stride), "padding": tuple(padding)}, {})

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(x.double(), self.kernel_size, self.stride, self.padding)  # exact below 2**53
        return pooled if x.is_floating_point() else pooled.to(x.dtype)
