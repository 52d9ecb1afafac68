"""The declared read-out: from integers to the numbers that a user asked for, in floating point.

    real = unit * integer        then mean over tokens, projection to classes, L2 norm
"""

from torch import Tensor
from torch.nn import functional as F

from spikeattn.converted.elementwise import real
from spikeattn.converted.node import Node
from spikeattn.ops.table import FUNCTIONS


class Readout(Node):
    """unit: what one step of the integers that come in is worth."""

    readout = True


class Real(Readout):
    """The values themselves."""

    def __init__(self, *, unit: float):
        super().__init__({"unit": unit}, {})

    def forward(self, x: Tensor) -> Tensor:
        return real(x, self.unit)


class MeanPool(Readout):
    """Mean over the tokens that the mask (B, N) lets through, without the first `skip`: (B, N, D) -> (B, D)"""

    def __init__(self, *, unit: float, skip: int = 0):
        super().__init__({"unit": unit, "skip": skip}, {})

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = real(x, self.unit)[:, self.skip:]
        if mask is None:
            return x.mean(1)
        mask = (mask != 0)[:, self.skip:, None].to(x.dtype)
        return (x * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


class Head(Readout):
    """A projection: y = W x + b"""

    def __init__(self, *, weight: Tensor, bias: Tensor, unit: float):
        super().__init__({"unit": unit}, {"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(real(x, self.unit), self.weight, self.bias)


class ReadoutNorm(Readout):
    """A layer norm behind the pooling."""

    def __init__(self, *, weight: Tensor, bias: Tensor, eps: float, unit: float):
        super().__init__({"eps": eps, "unit": unit}, {"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(real(x, self.unit), self.weight.shape, self.weight, self.bias, self.eps)


class Sum(Readout):
    """The sum of two heads; units: of each."""

    def __init__(self, *, units: list[float]):
        super().__init__({"units": tuple(units)}, {})

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return real(a, self.units[0]) + real(b, self.units[1])


class Normalise(Readout):
    """x / |x|"""

    def __init__(self, *, unit: float):
        super().__init__({"unit": unit}, {})

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(real(x, self.unit), dim=-1)


class Activate(Readout):
    """An activation function of the read-out, such as the tanh of a pooler."""

    def __init__(self, *, unit: float, function: str):
        super().__init__({"unit": unit, "function": function}, {})

    def forward(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.function].formula(real(x, self.unit))
