"""The converted network as a float network that can be trained: an adapted ANN whose coded values sit on their grids.

    xhat = delta clip(round(x / delta), -N, N)         in front of every product, delta = R / N learned
    d xhat / d x = 1 inside of the range, else 0       straight through the rounding
    d xhat / d delta = n - x / delta inside, n = +-N outside

    log2(delta_q) = -s - log2(delta_k log2(e) scale)   queries, for each head: the unit of a score stays 2**-s octaves
    A = Shiftmax with its row factor of the rounded scores; backwards the softmax of the scores

Steps are learned as log2(delta), so they stay positive. Norms, tables and weights are those of the float network; the
integers that replace them are finer by far than the words of few steps that need tuning.

Source: gradient of the step after Esser et al., "Learned Step Size Quantization", ICLR 2020, Eq. 3.
Differs from the paper in: the logarithm of the step is learned, and the gradient is not scaled by 1 / sqrt(n N), a
constant for each step that Adam would divide out again.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from neuromorphic.convert.layers import SoftmaxAttention
from neuromorphic.convert.quantise import Builder, Coded
from neuromorphic.convert.quantise.products import score_shift, score_unit
from neuromorphic.convert.ranges import ClipRange, saturated
from spikeattn.converted import Graph
from spikeattn.converted.graph import Watch, arguments
from spikeattn.ops.round_shift import round_shift
from spikeattn.ops.row_factor import row_factor
from spikeattn.ops.shiftmax import shiftmax

PLACES = 40  # binary places for row sums of Shiftmax, more than any window and number of keys needs


def on_grid(x: Tensor, step: Tensor, levels: int) -> Tensor:
    """The value of the code of x, straight through in the backward pass.

    >>> x = torch.tensor([0.6, -1.5, 9.0], requires_grad=True)
    >>> y = on_grid(x, torch.tensor(1.0), 4)
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([1.0, -2.0, 4.0], [1.0, 1.0, 0.0])
    """
    inside = (x / step).clamp(-levels, levels)
    whole = torch.where(inside < 0, -1.0, 1.0) * (inside.detach().abs() + 0.5).floor()  # halves away from zero
    return (inside + (whole - inside).detach()) * step


class FakeQuantised(Graph):
    """The adapted ANN of a training-free conversion, with the steps of its codes as parameters.

    builder: that conversion, where the steps begin. Layers are copies; everything but `steps` is frozen.
    """

    def __init__(self, graph: Graph, builder: Builder):
        super().__init__(graph.inputs, copy.deepcopy(graph).wires, graph.output)
        self.requires_grad_(False)
        self.builder, self.levels = builder, builder.levels
        own = builder.measured_as  # a coded wire may bear another name than the value of the ANN that it codes
        self.sites: dict[str, Coded] = {own.get(name, name): coded for name, coded in builder.codes.items()}
        names = {coded.wire: own.get(coded.source, coded.source) for coded in self.sites.values()}
        self.coded_reads = {wire.name: {names[read] for read in wire.inputs if read in names} for wire in builder.wires}
        start = {name: torch.log2(_by_group(coded.found.step, coded.found)) for name, coded in self.sites.items()}
        self.keys: dict[str, tuple[str, SoftmaxAttention]] = {}
        fresh = Builder(builder.graph, builder.statistics, builder.settings, roles=builder.roles)
        for wire in self.wires:
            if isinstance(wire.layer, SoftmaxAttention):
                query, key = wire.inputs[:2]
                start[key] = start[key] + self._tie(fresh, query, key, wire.layer) / 2
                self.keys[query] = (key, wire.layer)
                del start[query]
        self.order = {name: place for place, name in enumerate(start)}
        self.steps = nn.ParameterList(value.float() for value in start.values())

    def _tie(self, fresh: Builder, query: str, key: str, layer: SoftmaxAttention) -> Tensor:
        """Fix s of each head at the power of two nearest to the unit that the ranges of q and k ask for.

        Returns by how many octaves that is more than they ask for.
        """
        unit = score_unit(fresh, query, key, layer)
        shift = score_shift(unit * 2**-0.5)  # the next one above it, of a unit that is half an octave less
        self.register_buffer(_buffer(query), shift)
        return -shift.double() - torch.log2(unit)

    def step(self, name: str) -> Tensor:
        """delta of each channel of a coded value (C,)."""
        found = self.sites[name].found
        if name in self.keys:
            key, layer = self.keys[name]
            octaves = -getattr(self, _buffer(name)) - self.steps[self.order[key]] - _octaves_per_product(layer)
        else:
            octaves = self.steps[self.order[name]]
        return torch.exp2(octaves).repeat_interleave(len(found.values) // len(octaves))

    def forward(self, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> Tensor:
        """As of the graph; `watch` sees values before they are coded."""
        values: dict[str, Any] = dict(self.check(inputs))
        codes: dict[str, Tensor] = {}
        for wire in self.wires:
            read = arguments(wire, values)
            for place, name in enumerate(wire.inputs):
                if name in self.coded_reads.get(wire.name, ()):
                    if name not in codes:
                        step = self.sites[name].scale.shaped(self.step(name))
                        codes[name] = on_grid(values[name], step.to(values[name].dtype), self.levels)
                    read[place] = codes[name]
            if isinstance(wire.layer, SoftmaxAttention):
                values[wire.name] = self._attend(wire.layer, getattr(self, _buffer(wire.inputs[0])), *read)
            else:
                values[wire.name] = wire.layer(*read)
            if watch:
                watch(wire.name, values[wire.name])
        return values[self.output]

    def _attend(self, layer: SoftmaxAttention, shift: Tensor, q: Tensor, k: Tensor, v: Tensor,
                mask: Tensor | None = None) -> Tensor:
        q, k, v = (x.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for x in (q, k, v))
        octaves = q @ k.mT * 2.0 ** _octaves_per_product(layer)
        visible = layer.visible(octaves, mask)
        seen = torch.ones((), dtype=torch.bool, device=q.device) if visible is None else visible
        soft = (octaves * math.log(2)).masked_fill(~seen, torch.finfo(octaves.dtype).min).softmax(-1)
        soft = soft.masked_fill(~seen, 0.0)
        if self.builder.settings.normaliser != "exact":
            soft = soft + (self._shiftmax(octaves.detach(), shift, seen) - soft).detach()
        return (soft @ v).transpose(1, 2).flatten(2)

    @torch.no_grad()
    def _shiftmax(self, octaves: Tensor, shift: Tensor, seen: Tensor) -> Tensor:
        """The weights of the integer network, as it works them out from whole scores."""
        settings, shift = self.builder.settings, shift[:, None, None]
        scores = torch.round(octaves * torch.exp2(shift.to(octaves.dtype))).to(torch.int64)
        highest = scores.masked_fill(~seen, torch.iinfo(torch.int64).min // 2).amax(-1, keepdim=True)
        distance = round_shift((highest - scores).clamp(min=0), shift)
        weights = shiftmax(-distance, seen & (distance <= settings.window))
        sums = (weights.double().sum(-1, keepdim=True) * 2.0**PLACES).to(torch.int64)
        return weights * row_factor(sums, settings.normaliser) / 8

    @torch.no_grad()
    def ranges(self) -> dict[str, ClipRange]:
        """The learned ranges, by the names that the builder has for the coded wires."""
        found = {}
        for name, coded in self.sites.items():
            values = self.step(name).double() * self.levels
            if name in self.keys:  # in double precision the unit of the score is the power of two itself
                key, layer = self.keys[name]
                steps = self.step(key).double().view(layer.heads, -1)[:, :1]
                unit = torch.exp2(-getattr(self, _buffer(name)).double()).view(-1, 1)
                steps = (unit / (steps * 2.0 ** _octaves_per_product(layer))).expand(layer.heads, -1)
                values = (steps * self.levels).repeat_interleave(len(values) // layer.heads)
            histogram = self.builder.statistics[name]
            share = float(saturated(histogram, values, self.levels).sum()) / (histogram.count * len(values))
            found[coded.source] = replace(coded.found, values=values, saturation=share,
                                          raised=torch.zeros_like(coded.found.raised))
        return found


def _by_group(values: Tensor, found: ClipRange) -> Tensor:
    """One value for each group of channels that share theirs."""
    return values.view(found.groups, -1)[:, 0]


def _octaves_per_product(layer: SoftmaxAttention) -> float:
    return math.log2(layer.scale * math.log2(math.e))


def _buffer(name: str) -> str:
    return f"shift_{name.replace('.', '_')}"
