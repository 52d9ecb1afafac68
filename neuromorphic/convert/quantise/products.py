"""Products: linear layers, convolutions and attention on code words."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from neuromorphic.convert.layers import Embedding, Patches, SoftmaxAttention
from neuromorphic.convert.quantise.builder import CODE_READERS, Builder, Scale, bias_of, double
from neuromorphic.convert.quantise.rows import Rows, for_code, for_stream
from spikeattn.converted import Analog, Attention, Conv2d, Graph, Linear, Wire

FREE = 2**16  # keys that an attention must be able to sum where no table of positions ends its input


def prepare_attention(builder: Builder) -> None:
    """Before the pass: which wires are queries, keys and values, and steps of q that make the score's unit 2**-s.

        unit of the score = delta_q delta_k log2(e) scale        widen delta_q to the next 2**-s, per head
    """
    for wire in builder.graph.wires:
        if isinstance(wire.layer, SoftmaxAttention):
            q, k, v = wire.inputs[:3]
            heads = wire.layer.heads
            context_is_coded = builder.read_as(wire.name) == CODE_READERS
            builder.roles |= {q: ("query", heads), k: ("key", heads), v: ("value", None if context_is_coded else 1),
                              wire.name: ("context", None)}
            for name in (q, k):
                if builder.read_as(name) != CODE_READERS:
                    raise ValueError(f"convert: {name} must be read by one attention alone, got other readers too. "
                                     "Queries and keys that feed anything else are not supported.")
            unit = score_unit(builder, q, k, wire.layer)
            widened = torch.exp2(-score_shift(unit).double()) / unit
            found = builder.ranges(q)
            share = len(found.values) // heads
            builder.found[q] = replace(found, values=found.values * widened.repeat_interleave(share))


def score_unit(builder: Builder, q: str, k: str, attention: SoftmaxAttention) -> Tensor:
    """Octaves of one step of q . k, per head (H,)."""
    steps = [builder.ranges(name).step.view(attention.heads, -1)[:, 0] for name in (q, k)]
    return steps[0] * steps[1] * (attention.scale * math.log2(math.e))


def score_shift(unit: Tensor) -> Tensor:
    """s of the next power of two 2**-s that is not below the unit."""
    return torch.floor(-torch.log2(unit) + 1e-9).to(torch.int64)


def fraction(graph: Graph) -> int:
    """Binary places for the row sums of attention: log2 of the longest input that the network takes.

    As many tokens as a table of positions has rows (and class tokens stand before them), else 65,536.
    """
    longest = FREE
    for wire in graph.wires:
        positions = getattr(wire.layer, "positions", None)
        if isinstance(wire.layer, (Embedding, Patches)) and positions is not None:
            prefix = getattr(wire.layer, "prefix", None)
            longest = len(positions) + (0 if prefix is None else len(prefix))
    return max(longest - 1, 1).bit_length()


def attention(builder: Builder, wire: Wire) -> None:
    layer, settings = wire.layer, builder.settings
    q, k, v = (builder.coded(name) for name in wire.inputs[:3])
    unit = score_unit(builder, *wire.inputs[:2], layer)
    exact = settings.normaliser == "exact"
    node = Attention(
        score_shift=torch.round(-torch.log2(unit)).to(torch.int64), heads=layer.heads, base=builder.coding.base,
        levels=builder.levels, normaliser=settings.normaliser, window=settings.window,
        fraction=fraction(builder.graph),
        causal=layer.causal, value_step=v.step if exact else None,
    )
    scale = Scale(1.0, real=True) if exact else Scale(v.step * 2.0**-node.places)
    builder.add(wire.name, node, (q.wire, k.wire, v.wire, *wire.inputs[3:]), scale)


def weighted(builder: Builder, wire: Wire) -> None:
    """nn.Linear and nn.Conv2d behind a code; the first weights of a network meet the analog input as they are."""
    if wire.inputs[0] in builder.graph.inputs and isinstance(wire.layer, nn.Conv2d):
        _analog(builder, wire)
        return
    code = builder.coded(wire.inputs[0])
    layer, convolution = wire.layer, isinstance(wire.layer, nn.Conv2d)
    weight, bias = double(layer.weight), bias_of(layer)
    folded = weight * _by_input(code.step, layer)
    if builder.bits is None:
        scale = Scale(1.0, real=True, pictures=convolution)
        rows = Rows(folded, bias, torch.zeros(1, dtype=torch.int64), None, 0, 0)
    elif builder.read_as(wire.name) == CODE_READERS:
        step = builder.ranges(wire.name).step
        rows = for_code(folded, bias, step, bits=builder.bits, levels=builder.levels, spike=builder.spike)
        scale = Scale(step / rows.threshold.double(), pictures=convolution, threshold=rows.threshold)
    else:
        grid = builder.stream_grid(wire.name)
        rows = for_stream(folded, bias, grid, bits=builder.bits, levels=builder.levels, spike=builder.spike)
        scale = Scale(grid, pictures=convolution)
    common = dict(weight=rows.weight, bias=scale.shaped(rows.bias), shift=scale.shaped(rows.shift),
                  base=builder.coding.base, step_sum=rows.step_sum, word_sum=rows.word_sum)
    node = Conv2d(**common, **_geometry(layer)) if convolution else Linear(**common)
    builder.add(wire.name, node, (code.wire,), scale)


def _by_input(step: Tensor, layer: nn.Module) -> Tensor:
    """Steps of the input channels (I,), laid out against the weight."""
    if not isinstance(layer, nn.Conv2d):
        return step
    per_group = step.view(layer.groups, -1).repeat_interleave(layer.out_channels // layer.groups, 0)
    return per_group[:, :, None, None]


def _geometry(layer: nn.Conv2d) -> dict:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise ValueError(f"convert: convolutions must pad with zeros by a number, got {layer.padding_mode!r} "
                         f"{layer.padding!r}. Rebuild the layer with padding=(rows, columns).")
    return {"stride": list(layer.stride), "padding": list(layer.padding), "dilation": list(layer.dilation),
            "groups": layer.groups}


def _analog(builder: Builder, wire: Wire) -> None:
    layer = wire.layer
    weight, bias = double(layer.weight), bias_of(layer)
    grid = builder.stream_grid(wire.name)
    builder.add(wire.name, Analog(weight=weight, bias=bias, unit=grid, **_geometry(layer)), wire.inputs,
                Scale(grid, pictures=True))
