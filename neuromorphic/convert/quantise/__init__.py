"""An adapted network and its ranges -> a graph of integers."""

from collections.abc import Mapping

from torch import nn

from neuromorphic.convert import layers
from neuromorphic.convert.calibration import Statistics
from neuromorphic.convert.quantise import parts, products
from neuromorphic.convert.quantise.builder import Builder, Coded, Scale
from neuromorphic.convert.ranges import ClipRange
from neuromorphic.convert.settings import Settings
from spikeattn.converted import Graph

RULES = parts.RULES | {nn.Linear: products.weighted, nn.Conv2d: products.weighted,
                       layers.SoftmaxAttention: products.attention}

__all__ = ["Builder", "Coded", "Scale", "quantise"]


def quantise(graph: Graph, statistics: Statistics, settings: Settings,
             ranges: Mapping[str, ClipRange] | None = None) -> Builder:
    """All nodes of the converted network (`builder.wires`), and what their values are worth (`builder.scales`).

    The last wire is the output. ranges: of coded wires where they are known already, such as learned ones.
    """
    builder = Builder(graph, statistics, settings, found=dict(ranges or {}))
    products.prepare_attention(builder)
    for wire in graph.wires:
        wire = parts.enter(builder, wire)
        if getattr(wire.layer, "readout", False) and isinstance(wire.layer, nn.Linear):
            parts.head(builder, wire)
        else:
            _rule(wire.layer)(builder, wire)
    output = parts.real(builder, graph.output)
    if builder.wires[-1].name != output:
        raise ValueError(f"convert: the output must be the last value that is worked out, got {output!r} before "
                         f"{builder.wires[-1].name!r}. Leave out what the output does not need.")
    return builder


def _rule(layer: nn.Module):
    for kind in type(layer).__mro__:
        if kind in RULES:
            return RULES[kind]
    raise ValueError(f"convert: {type(layer).__name__} has no spiking form. Known: "
                     f"{', '.join(sorted(kind.__name__ for kind in RULES))}.")
