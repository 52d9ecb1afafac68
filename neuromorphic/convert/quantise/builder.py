"""From an adapted graph and its ranges to a graph of integers.

One pass over the wires. Each kind of layer has one function, which looks up what its inputs are worth, adds nodes and
says what its own value is worth (`Scale`). A product asks for its input as a code: the coding layer is added once,
in front of the first product that asks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neuromorphic.convert.calibration import Statistics
from neuromorphic.convert.quantise.rows import grid_for, nearest_odd
from neuromorphic.convert.ranges import ClipRange, clip_range
from neuromorphic.convert.settings import WEIGHTS, Settings
from spikeattn.codings import CODINGS
from spikeattn.converted import Encode, Graph, Node, Wire

CODE_READERS = "code"
STREAM_READERS = "stream"
STREAM_FINER = 12  # bits that a stream has beyond those of a code: the quietest channel may have a tenth of the range


@dataclass(frozen=True)
class Scale:
    """What the value of a wire is worth.

    unit: of an integer, a float or one for each channel (float64 (C,)); 1.0 where the value is real.
    pictures: channels are axis 1 of (B, C, Y, X), else the last axis.
    threshold: int64 (C,), where the rows in front were made for one coding layer.
    """

    unit: float | Tensor
    real: bool = False
    pictures: bool = False
    threshold: Tensor | None = None

    @property
    def scalar(self) -> float:
        """The unit, where all channels share it."""
        if isinstance(self.unit, Tensor):
            if not bool((self.unit == self.unit[0]).all()):
                raise ValueError("convert: the channels of a stream must share one unit, got several. "
                                 "Give the value in front of it one range for the whole tensor.")
            return float(self.unit[0])
        return self.unit

    def shaped(self, values: Tensor) -> Tensor:
        """Values of channels (C,), so that they broadcast against the wire."""
        return values.view(-1, 1, 1) if self.pictures and values.ndim else values


@dataclass(frozen=True)
class Coded:
    """A coding layer: where it stands, its ranges, and what its codes are worth."""

    wire: str
    source: str
    role: str
    granularity: str
    found: ClipRange
    step: Tensor
    scale: Scale


@dataclass
class Builder:
    """The state of one conversion."""

    graph: Graph
    statistics: Statistics
    settings: Settings
    wires: list[Wire] = field(default_factory=list)
    scales: dict[str, Scale] = field(default_factory=dict)
    codes: dict[str, Coded] = field(default_factory=dict)
    roles: dict[str, tuple[str, int | None]] = field(default_factory=dict)  # (role, groups) of wires that are coded
    found: dict[str, ClipRange] = field(default_factory=dict)
    measured_as: dict[str, str] = field(default_factory=dict)  # wires that the adapted graph calls otherwise

    def __post_init__(self) -> None:
        self.coding = CODINGS[self.settings.coding]
        self.levels = self.coding.levels(self.settings.timesteps)
        self.spike = self.levels if self.coding.graded else 1  # the largest spike
        self.bits = WEIGHTS[self.settings.weights]

    def add(self, name: str, node: Node, inputs: tuple[str, ...], scale: Scale) -> None:
        """One more wire."""
        self.wires.append(Wire(name, node, inputs))
        self.scales[name] = scale

    def ranges(self, name: str) -> ClipRange:
        """Ranges of the codes of a wire, by its role."""
        if name not in self.found:
            _, groups = self.roles.get(name, ("", None))
            groups = groups if groups is not None or self.settings.per_channel else 1
            settings = self.settings
            self.found[name] = clip_range(
                self.statistics[self.measured_as.get(name, name)], self.levels, rule=settings.ranges,
                percentile=settings.percentile, groups=groups, floor=settings.floor)
        return self.found[name]

    def coded(self, name: str) -> Coded:
        """The coding layer behind a wire, added on first demand."""
        if name not in self.codes:
            self.codes[name] = self._encode(name)
        return self.codes[name]

    def _encode(self, name: str) -> Coded:
        scale, found = self.scales[name], self.ranges(name)
        role, groups = self.roles.get(name, ("input", None))
        if scale.real:
            step, threshold = found.step, found.step
        elif scale.threshold is not None:
            step, threshold = scale.unit * scale.threshold.double(), scale.threshold
        else:
            unit = scale.unit if isinstance(scale.unit, Tensor) else torch.tensor(scale.unit, dtype=torch.float64)
            threshold = nearest_odd(found.step / unit)
            step = threshold.double() * unit
        wire = f"{name}.code"
        node = Encode(threshold=scale.shaped(threshold), coding=self.settings.coding,
                      timesteps=self.settings.timesteps)
        self.add(wire, node, (name,), Scale(step, pictures=scale.pictures))
        granularity = "tensor" if found.groups == 1 else "channel" if groups is None else "head"
        return Coded(wire, name, role, granularity, found, step, scale)

    def read_as(self, name: str) -> str:
        """Whether only coding layers read a wire, or (also) somebody who needs a stream."""
        readers = self.graph.consumers(name)
        only = readers and name != self.graph.output and all(wants_code(wire.layer) for wire in readers)
        return CODE_READERS if only else STREAM_READERS

    def stream_grid(self, name: str) -> float:
        """U of a wire: `stream_bits` bits reach the largest value of the calibration data twice."""
        return grid_for(2 * self.largest(name), self.fine_bits(self.settings.stream_bits, STREAM_FINER))

    def fine_bits(self, bits: int, finer: int) -> int:
        """Bits of a grid: more than `bits` where a code of many levels would have only a few units in a step."""
        return max(bits, self.levels.bit_length() + finer)

    def largest(self, name: str) -> float:
        """Largest |value| of a wire on the calibration data, 1 where all were 0."""
        low, high = self.statistics.range_of(self.measured_as.get(name, name))
        return max(abs(low), abs(high)) or 1.0


def wants_code(layer: nn.Module) -> bool:
    """Whether a layer reads its inputs as code words: every product within the network."""
    from neuromorphic.convert.layers import SoftmaxAttention

    return isinstance(layer, (nn.Linear, nn.Conv2d, SoftmaxAttention)) and not getattr(layer, "readout", False)


def double(tensor: Tensor) -> Tensor:
    return tensor.detach().double()


def bias_of(layer: nn.Module) -> Tensor:
    """The bias of a product, zeros where it has none."""
    return torch.zeros(len(layer.weight), dtype=torch.float64) if layer.bias is None else double(layer.bias)


Rule = Callable[[Builder, Wire], None]
