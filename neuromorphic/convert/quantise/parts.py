"""What stands between the products: stems, residual sums, norms, activations, pooling, the read-out."""

import math

import torch
from torch import nn

from neuromorphic.convert import layers
from neuromorphic.convert.quantise.builder import Builder, Rule, Scale, bias_of, double
from neuromorphic.convert.quantise.rows import grid_for
from spikeattn.converted import (
    Activate,
    Add,
    CircularMixing,
    Embedding,
    ExactActivation,
    ExactNorm,
    Flatten,
    Head,
    MaxPool2d,
    MeanDeviationNorm,
    MeanPool,
    Norm,
    Normalise,
    Patches,
    Quantise,
    ReadoutNorm,
    Real,
    Rectify,
    Select,
    Sum,
    Table,
    ToTokens,
    Wire,
)

ACTIVATION_BITS = 16  # of a table's output
ACTIVATION_FINER = 8  # bits that it has at least beyond those of the code behind it
HEADROOM = 32  # times the largest calibrated value that a norm reads before it saturates


def function_of(layer: nn.Module) -> str:
    """The name of an activation function in spikeattn.converted."""
    if isinstance(layer, nn.GELU):
        return "gelu" if layer.approximate == "none" else "gelu_tanh"
    names = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
    return names.get(type(layer), getattr(layer, "function", ""))


ANALOG = (nn.Conv2d, layers.Embedding, layers.Patches)  # layers that take a network input as it comes


def enter(builder: Builder, wire: Wire) -> Wire:
    """The wire, reading features from the grid onto which they are brought where they enter the network."""
    first = wire.inputs[0]
    if first not in builder.graph.inputs or isinstance(wire.layer, ANALOG):
        return wire
    name = f"{first}_grid"
    if name not in builder.scales:
        grid = builder.stream_grid(first)
        builder.measured_as[name] = first
        builder.add(name, Quantise(unit=grid), (first,), Scale(grid))
    return Wire(wire.name, wire.layer, tuple(name if read == first else read for read in wire.inputs))


def embedding(builder: Builder, wire: Wire) -> None:
    layer, grid = wire.layer, builder.stream_grid(wire.name)
    tables = {name: torch.round(getattr(layer, name).detach().double() / grid).to(torch.int32)
              for name in ("words", "positions", "segments") if getattr(layer, name) is not None}
    builder.add(wire.name, Embedding(**tables, padding_idx=layer.padding_idx), wire.inputs, Scale(grid))


def patches(builder: Builder, wire: Wire) -> None:
    layer, grid = wire.layer, builder.stream_grid(wire.name)
    extra = {name: double(getattr(layer, name)) for name in ("prefix", "positions") if getattr(layer, name) is not None}
    node = Patches(weight=double(layer.conv.weight), bias=bias_of(layer.conv), unit=grid,
                   stride=list(layer.conv.stride), padding=list(layer.conv.padding), **extra)
    builder.add(wire.name, node, wire.inputs, Scale(grid))


def add(builder: Builder, wire: Wire) -> None:
    scales = [builder.scales[name] for name in wire.inputs]
    units = [scale.scalar for scale in scales]
    pictures = scales[0].pictures
    if getattr(wire.layer, "readout", False):
        builder.add(wire.name, Sum(units=units), wire.inputs, Scale(1.0, real=True))
        return
    if any(scale.real for scale in scales):
        builder.add(wire.name, Add(shifts=[0, 0], units=units), wire.inputs, Scale(1.0, real=True, pictures=pictures))
        return
    grid = max(min(units), builder.stream_grid(wire.name))  # a branch that adds little need not refine the sum
    shifts = [round(math.log2(unit / grid)) for unit in units]
    builder.add(wire.name, Add(shifts=shifts, units=units), wire.inputs, Scale(grid, pictures=pictures))


def norm(builder: Builder, wire: Wire) -> None:
    layer, scale = wire.layer, builder.scales[wire.inputs[0]]
    weight = double(torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight)
    bias = double(torch.zeros(layer.normalized_shape) if layer.bias is None else layer.bias)
    if getattr(layer, "readout", False):
        node = ReadoutNorm(weight=weight, bias=bias, eps=layer.eps, unit=scale.scalar)
        builder.add(wire.name, node, wire.inputs, Scale(1.0, real=True))
        return
    if scale.real or builder.settings.norm != "mantissa":
        kind = MeanDeviationNorm if builder.settings.norm == "l1" else ExactNorm
        node = kind(weight=weight, bias=bias, eps=layer.eps, unit=scale.scalar)
        builder.add(wire.name, node, wire.inputs, Scale(1.0, real=True))
        return
    grid = builder.stream_grid(wire.name)
    most = 2 ** math.ceil(math.log2(HEADROOM * builder.largest(wire.inputs[0]) / scale.scalar))
    node = Norm.of(weight, bias, eps=layer.eps, unit=scale.scalar, grid=grid, bits=builder.settings.norm_bits,
                   largest=most)
    builder.add(wire.name, node, wire.inputs, Scale(grid))


def activation(builder: Builder, wire: Wire) -> None:
    scale, function = builder.scales[wire.inputs[0]], function_of(wire.layer)
    if getattr(wire.layer, "readout", False):
        builder.add(wire.name, Activate(unit=scale.scalar, function=function), wire.inputs, Scale(1.0, real=True))
        return
    chosen = "relu" if builder.settings.activation == "relu" else function
    if chosen == "relu":
        builder.add(wire.name, Rectify(), wire.inputs, scale)
        return
    if scale.real or builder.settings.activation == "exact":
        node = ExactActivation(function=function, unit=scale.scalar)
        builder.add(wire.name, node, wire.inputs, Scale(1.0, real=True, pictures=scale.pictures))
        return
    largest = builder.largest(wire.inputs[0])
    grid = grid_for(builder.largest(wire.name), builder.fine_bits(ACTIVATION_BITS, ACTIVATION_FINER))
    node = Table.of(function, unit=scale.scalar, largest=largest, grid=grid, bits=builder.settings.table_bits)
    builder.add(wire.name, node, wire.inputs, Scale(grid, pictures=scale.pictures))


def moved(node) -> Rule:
    """A rule for layers that move values without changing them."""

    def rule(builder: Builder, wire: Wire) -> None:
        scale = builder.scales[wire.inputs[0]]
        builder.add(wire.name, node(wire.layer), wire.inputs, Scale(scale.unit, real=scale.real))

    return rule


def max_pool(builder: Builder, wire: Wire) -> None:
    layer = wire.layer
    node = MaxPool2d(kernel_size=_pair(layer.kernel_size), stride=_pair(layer.stride), padding=_pair(layer.padding))
    builder.add(wire.name, node, wire.inputs, builder.scales[wire.inputs[0]])


def _pair(value) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def select(builder: Builder, wire: Wire) -> None:
    scale = builder.scales[wire.inputs[0]]
    builder.add(wire.name, Select(index=wire.layer.index), wire.inputs, Scale(scale.unit, real=scale.real))


def mean_pool(builder: Builder, wire: Wire) -> None:
    node = MeanPool(unit=builder.scales[wire.inputs[0]].scalar, skip=wire.layer.skip)
    builder.add(wire.name, node, wire.inputs, Scale(1.0, real=True))


def normalise(builder: Builder, wire: Wire) -> None:
    builder.add(wire.name, Normalise(unit=builder.scales[wire.inputs[0]].scalar), wire.inputs, Scale(1.0, real=True))


def head(builder: Builder, wire: Wire) -> None:
    """The declared read-out's projection."""
    node = Head(weight=double(wire.layer.weight), bias=bias_of(wire.layer), unit=builder.scales[wire.inputs[0]].scalar)
    builder.add(wire.name, node, wire.inputs, Scale(1.0, real=True))


def real(builder: Builder, name: str) -> str:
    """The network's output as real numbers, where no read-out made them."""
    scale = builder.scales[name]
    if scale.real:
        return name
    builder.add("readout", Real(unit=scale.scalar), (name,), Scale(1.0, real=True))
    return "readout"


def circular(builder: Builder, wire: Wire) -> None:
    """CAT's mixing stays in floating point, whatever the settings."""
    layer = wire.layer
    node = CircularMixing(units=[builder.scales[name].scalar for name in wire.inputs], heads=layer.heads,
                          orientation=layer.orientation, causal=layer.causal, normaliser=layer.normaliser,
                          implementation=layer.implementation)
    builder.add(wire.name, node, wire.inputs, Scale(1.0, real=True))


to_tokens = moved(lambda layer: ToTokens())
flatten = moved(lambda layer: Flatten())

RULES = {
    nn.LayerNorm: norm, nn.GELU: activation, nn.ReLU: activation, nn.SiLU: activation, nn.Tanh: activation,
    nn.Sigmoid: activation, nn.MaxPool2d: max_pool, nn.Flatten: flatten, layers.Embedding: embedding,
    layers.Patches: patches, layers.ToTokens: to_tokens, layers.Add: add, layers.Select: select,
    layers.MeanPool: mean_pool, layers.Normalise: normalise, layers.CircularAttention: circular,
}  # fmt: skip
