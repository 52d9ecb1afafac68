"""Non-linear functions as a table on integers (the mathematics is in README.md)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeattn.errors import nearest
from spikeattn.ops.op import Op, explained
from spikeattn.ops.round_shift.reference import check_integers

from . import reference

__all__ = ["FUNCTIONS", "Function", "Table", "build_table", "table_lookup"]

TABLE_LOOKUP = Op(
    "table_lookup", "(Tensor a, Tensor shift, Tensor entries, int lowest) -> Tensor",
    reference=reference.table_lookup,
    fake=lambda a, shift, entries, lowest: a.new_empty(torch.broadcast_shapes(a.shape, shift.shape)),
    check=reference.check,
)


@dataclass(frozen=True)
class Function:
    """A scalar function and its Lipschitz constant: |f(x) - f(y)| <= lipschitz |x - y|."""

    formula: Callable[[Tensor], Tensor]
    lipschitz: float


FUNCTIONS: dict[str, Function] = {
    "gelu": Function(lambda x: x * torch.special.ndtr(x), 1.12891),  # steepest at x = sqrt(2)
    "gelu_tanh": Function(
        lambda x: x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), 1.129),
    "quick_gelu": Function(lambda x: x * torch.sigmoid(1.702 * x), 1.09985),  # the slope of SiLU at 1.702 x
    "silu": Function(lambda x: x * torch.sigmoid(x), 1.09985),
    "tanh": Function(torch.tanh, 1.0),
    "sigmoid": Function(torch.sigmoid, 0.25),
    "relu": Function(torch.relu, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """entries: int64 (L,), the output of index i at place i - lowest. input_unit, output_unit: what one stands for."""

    entries: Tensor
    lowest: int
    input_unit: float
    output_unit: float

    def bound(self, function: Function) -> float:
        """The worst |y - f(x)| for a real x whose nearest index lies in the table: half a unit each way."""
        return self.output_unit / 2 + function.lipschitz * self.input_unit / 2


@explained(TABLE_LOOKUP)
def table_lookup(a: Tensor, shift: Tensor | int, table: Table) -> Tensor:
    """y = entries[clip(round_shift(a, shift))]: one shift, two compares and one table read a value.

    a: int64, any shape; shift: int64 in [-62, 62], broadcastable (one per channel brings each to the table's unit:
    unit of a = input_unit / 2**shift). Values beyond the table read its first or last entry.

    >>> relu = build_table("relu", input_unit=0.5, output_unit=0.25, bits=4)      # -4 ... 3.5 in halves
    >>> table_lookup(torch.tensor([-9, 2, 3, 99]), 1, relu).tolist()               # 1, 1.5 -> 2, 49.5 -> 7
    [0, 2, 4, 14]
    """
    check_integers("table_lookup", a)
    return TABLE_LOOKUP(a, torch.as_tensor(shift, dtype=torch.int64, device=a.device), table.entries, table.lowest)


def build_table(function: str | Function, *, input_unit: float, output_unit: float, bits: int = 10) -> Table:
    """The table of f on the 2**bits integers from -2**(bits-1) on: entry i = round(f(input_unit i) / output_unit).

    function: a name in FUNCTIONS, or a Function of your own. It is evaluated in float64, once, here.

    >>> build_table("tanh", input_unit=1.0, output_unit=0.125, bits=2).entries.tolist()      # -2, -1, 0, 1
    [-8, -6, 0, 6]
    """
    if isinstance(function, str) and function not in FUNCTIONS:
        raise ValueError(f"build_table: the function must be known, got {function!r}. {nearest(function, FUNCTIONS)}")
    if not 1 <= bits <= 20:
        raise ValueError(f"build_table: a table has 2**bits entries, 1 <= bits <= 20, got {bits}. Use 10.")
    if not (input_unit > 0 and output_unit > 0):
        raise ValueError(f"build_table: units must be positive, got {input_unit} and {output_unit}. Calibrate first.")
    formula = FUNCTIONS[function].formula if isinstance(function, str) else function.formula
    lowest = -(2 ** (bits - 1))
    x = input_unit * torch.arange(lowest, -lowest, dtype=torch.float64)
    return Table((formula(x) / output_unit).round().long(), lowest, input_unit, output_unit)
