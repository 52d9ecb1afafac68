"""Bias correction: what the codes of its inputs add to a linear layer on average is taken out of its bias.

    xhat = x + e                 the word of x; e: rounding and clipping
    y    = W xhat + b
    b'   = b - W E[e]            E over the calibration samples, each input channel by itself, padding left out

x are the values of the ANN itself, so one pass serves every layer and no order matters. Nothing is trained.

Source: the idea of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019.
Differs from the paper in: the error is that of the activations and is measured, where the paper works out that of the
weights.
"""

import copy

import torch
from torch import Tensor, nn

from neuromorphic.convert.calibration import channel_rows, up_to_last
from neuromorphic.convert.fake_quantised import on_grid
from neuromorphic.convert.prepare import Prepared
from neuromorphic.convert.quantise import Builder
from spikeattn.converted import Graph


def corrected(prepared: Prepared, builder: Builder) -> Graph:
    """A copy of the adapted ANN with its biases corrected for the codes that a builder has chosen."""
    graph = copy.deepcopy(prepared.graph)
    own = builder.measured_as  # a coded wire may bear another name than the value of the ANN that it codes
    steps = {own.get(name, name): coded.scale.shaped(coded.step) for name, coded in builder.codes.items()}
    coded = {code.wire: own.get(code.source, code.source) for code in builder.codes.values()}
    reads = {wire.name: [coded[name] for name in wire.inputs if name in coded] for wire in builder.wires}
    errors = _mean_errors(prepared, steps, builder.levels)
    for wire in graph.wires:
        layer, names = wire.layer, reads.get(wire.name, [])
        if isinstance(layer, nn.Linear) and not getattr(layer, "readout", False) and names:
            taken = layer.weight.double() @ errors[names[0]]
            bias = -taken if layer.bias is None else layer.bias.double() - taken
            layer.bias = nn.Parameter(bias.to(layer.weight.dtype), requires_grad=False)
    return graph


@torch.no_grad()
def _mean_errors(prepared: Prepared, steps: dict[str, Tensor], levels: int) -> dict[str, Tensor]:
    """E[xhat - x] of every channel of the coded values (C,)."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    graph = up_to_last(prepared.graph, steps)
    for batch in prepared.calibration:
        mask = batch.inputs.get("attention_mask")

        def watch(name: str, value: Tensor, mask: Tensor | None = mask) -> None:
            if name in steps:
                error = channel_rows(on_grid(value, steps[name].to(value.dtype), levels) - value, mask)
                sums[name] = sums.get(name, 0) + error.sum(0, dtype=torch.float64)
                counts[name] = counts.get(name, 0) + len(error)

        for name, value in batch.inputs.items():
            watch(name, value)
        graph(batch.inputs, watch)
    return {name: total / counts[name] for name, total in sums.items()}
