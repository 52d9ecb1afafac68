"""Additions, rectification and the nodes that stay in floating point.

    Add       a 2**s_a + b 2**s_b               integers on the finer of two power-of-two grids
    Rectify   max(a, 0)
    Norm and activation kept exact, for comparison: real = unit * integer, then the function itself
"""

from torch import Tensor
from torch.nn import functional as F

from spikeattn.converted.node import Node
from spikeattn.ops.integer_norm import l1_norm
from spikeattn.ops.round_shift import round_shift
from spikeattn.ops.table import FUNCTIONS


def real(x: Tensor, unit: float | Tensor) -> Tensor:
    """The value that an integer stands for; what is real already stays as it is."""
    return x if x.is_floating_point() else x.double() * unit


class Add(Node):
    """The sum of two streams. shifts: to the common grid; units: of the inputs, for one that is real."""

    def __init__(self, *, shifts: list[int], units: list[float]):
        super().__init__({"shifts": tuple(shifts), "units": tuple(units)}, {})

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if a.is_floating_point() or b.is_floating_point():
            return real(a, self.units[0]) + real(b, self.units[1])
        return self._raised(a, self.shifts[0]) + self._raised(b, self.shifts[1])

    def _raised(self, x: Tensor, shift: int) -> Tensor:
        return round_shift(x, -shift) if shift else x


class Rectify(Node):
    """ReLU needs no table: a comparison."""

    def __init__(self):
        super().__init__({}, {})

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


class ExactActivation(Node):
    """An activation function in floating point: not spike-driven, kept for comparison."""

    def __init__(self, *, function: str, unit: float):
        super().__init__({"function": function, "unit": unit}, {})

    def forward(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.function].formula(real(x, self.unit))


class ExactNorm(Node):
    """LayerNorm in floating point: not spike-driven, kept for comparison."""

    def __init__(self, *, weight: Tensor, bias: Tensor, eps: float, unit: float):
        super().__init__({"eps": eps, "unit": unit}, {"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(real(x, self.unit), self.weight.shape, self.weight, self.bias, self.eps)


class MeanDeviationNorm(ExactNorm):
    """LayerNorm with the mean absolute deviation for sigma: a negative control, it destroys a stock network."""

    def forward(self, x: Tensor) -> Tensor:
        return l1_norm(real(x, self.unit), self.weight, self.bias, self.eps)
