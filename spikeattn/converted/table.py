"""An activation function as a table: integers in, integers out, one read for each value.

    y = entries[clip(round_shift(a, shift))]             entry i = round(f(input_unit i) / output_unit)

The mathematics and the bound are those of spikeattn.ops.table.
"""

import math
from typing import Self

import torch
from torch import Tensor

from spikeattn.converted.node import Node
from spikeattn.ops.table import Table as Entries
from spikeattn.ops.table import build_table, table_lookup


class Table(Node):
    """a, int64, any shape -> the same shape."""

    def __init__(self, *, entries: Tensor, lowest: int, input_unit: float, output_unit: float, shift: int,
                 function: str):
        options = dict(lowest=lowest, input_unit=input_unit, output_unit=output_unit, shift=shift, function=function)
        super().__init__(options, {"entries": entries})

    @classmethod
    def of(cls, function: str, *, unit: float, largest: float, grid: float, bits: int) -> Self:
        """A table of 2**bits entries that reaches `largest`: inputs are worth `unit`, outputs `grid`."""
        shift = math.ceil(math.log2(largest / unit)) - (bits - 1)
        table = build_table(function, input_unit=unit * 2.0**shift, output_unit=grid, bits=bits)
        return cls(entries=table.entries, lowest=table.lowest, input_unit=table.input_unit,
                   output_unit=table.output_unit, shift=shift, function=function)

    def forward(self, a: Tensor) -> Tensor:
        return table_lookup(a, torch.tensor(self.shift, device=a.device),
                            Entries(self.entries, self.lowest, self.input_unit, self.output_unit))
