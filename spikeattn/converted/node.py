"""What every node of a converted network is: constants, options, and two ways to run.

    node(*inputs)          spikes: digit planes come in one after the other, sums are carried from step to step
    node.codes(*inputs)    fake-quantised: whole code words n, one integer product

The two are written apart and must agree bit for bit. Between nodes run int64 tensors, each in a unit of its own that
was fixed when the network was converted, and float64 tensors where a part was kept in floating point.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Node(nn.Module):
    """A layer without parameters to train: `options` is plain data, `tensors` are its constants.

    readout, stem: outside of the bounds between which a converted network has to be free of floating point.
    """

    readout = False
    stem = False

    def __init__(self, options: Mapping[str, Any], tensors: Mapping[str, Tensor]):
        super().__init__()
        self.options = dict(options)
        self.constants = tuple(tensors)
        for name, value in options.items():
            setattr(self, name, value)
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def codes(self, *inputs: Tensor) -> Tensor:
        """The fake-quantised form; nodes that no code word reaches have only one form."""
        return self(*inputs)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.options.items())


class Product(Node, ABC):
    """A node that reads digit planes: it can take them one step at a time.

        sums = None;  for each plane: sums = accumulate(sums, plane, ...);  value = finish(sums)
    """

    coded: tuple[int, ...] = (0,)  # positions of the inputs that are digit planes; the others are whole values

    @abstractmethod
    def accumulate(self, sums: Any, *planes: Tensor) -> Any:
        """The sums after one more plane of every coded input (1, B, ...)."""

    @abstractmethod
    def finish(self, sums: Any, *others: Tensor | None) -> Tensor:
        """The value once all planes are in."""
