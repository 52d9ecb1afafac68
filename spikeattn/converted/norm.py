"""Layer norm of integers: the reciprocal root has a short mantissa, everything else is exact.

    c_i = D x_i - sum_j x_j,   v = sum_i c_i^2 + eps,   y_i = round_shift(c_i m(v) gamma_i) + beta_i

Integer arithmetic, not spikes: about three multiplications for each value (a square, the reciprocal root, gamma). The
mathematics is that of spikeattn.ops.integer_norm.
"""

from typing import Self

from torch import Tensor

from spikeattn.converted.node import Node
from spikeattn.ops.integer_norm import NormConstants, integer_norm, norm_constants


class Norm(Node):
    """x (..., D), int64, saturated at `largest` -> (..., D), int64."""

    def __init__(self, *, table: Tensor, gamma: Tensor, beta: Tensor, epsilon: int, drop: int, shift: int,
                 largest: int):
        super().__init__({"epsilon": epsilon, "drop": drop, "shift": shift, "largest": largest},
                         {"table": table, "gamma": gamma, "beta": beta})

    @classmethod
    def of(cls, gamma: Tensor, beta: Tensor, *, eps: float, unit: float, grid: float, bits: int, largest: int) -> Self:
        """From real gamma and beta: inputs are worth `unit`, outputs `grid`; `bits` of the root's mantissa."""
        found = norm_constants(gamma, beta, eps=eps, input_unit=unit, output_unit=grid, bits=bits, largest=largest)
        return cls(**vars(found))

    def forward(self, x: Tensor) -> Tensor:
        constants = NormConstants(self.table, self.gamma, self.beta, self.epsilon, self.drop, self.shift, self.largest)
        return integer_norm(x.clamp(-self.largest, self.largest), constants)
