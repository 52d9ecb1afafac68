"""Bias correction: what the codes of its inputs add to a product on average is taken out of its bias.

    xhat = x + e                      the word of x; e: rounding and clipping
    y    = W xhat + b                 a linear layer, or a convolution
    b'   = b - mean (W E[e])          E over the calibration samples, padding left out; mean: over the positions of a
                                      convolution, whose borders see fewer errors

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
from neuromorphic.convert.prepare import Prepared, Progress, silent
from neuromorphic.convert.quantise import Builder, quantise
from neuromorphic.convert.settings import Settings
from spikeattn.converted import Graph


@torch.no_grad()
def training_free(prepared: Prepared, settings: Settings, progress: Progress = silent) -> Builder:
    """The integer network of the settings, as calibration alone gives it; its `graph` has the biases that it uses."""
    builder = quantise(prepared.graph, prepared.statistics, settings)
    if settings.biases == "corrected":
        builder = quantise(corrected(prepared, builder, progress), prepared.statistics, settings)
    return builder


@torch.no_grad()
def corrected(prepared: Prepared, builder: Builder, progress: Progress = silent) -> Graph:
    """A copy of the adapted ANN with its biases corrected for the codes that a builder has chosen."""
    graph = copy.deepcopy(prepared.graph)
    own = builder.measured_as  # a coded wire may bear another name than the value of the ANN that it codes
    steps = {own.get(name, name): coded.scale.shaped(coded.step) for name, coded in builder.codes.items()}
    coded = {code.wire: own.get(code.source, code.source) for code in builder.codes.values()}
    reads = {wire.name: [coded[name] for name in wire.inputs if name in coded] for wire in builder.wires}
    errors = _mean_errors(prepared, steps, builder.levels, progress)
    for wire in graph.wires:
        layer, names = wire.layer, reads.get(wire.name, [])
        if isinstance(layer, nn.Linear | nn.Conv2d) and not getattr(layer, "readout", False) and names:
            taken = _added(layer, errors[names[0]])
            bias = -taken if layer.bias is None else layer.bias.double() - taken
            layer.bias = nn.Parameter(bias.to(layer.weight.dtype), requires_grad=False)
    return graph


def _added(layer: nn.Linear | nn.Conv2d, error: Tensor) -> Tensor:
    """What a mean error of the input, (C,) or (C, Y, X), adds to each output on average (O,)."""
    product = copy.deepcopy(layer).double()
    product.bias = None
    added = product(error)
    return added.flatten(1).mean(1) if added.ndim == 3 else added


def _mean_errors(prepared: Prepared, steps: dict[str, Tensor], levels: int, progress: Progress) -> dict[str, Tensor]:
    """E[xhat - x] of the coded values: of each channel (C,), of pictures of each value (C, Y, X)."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    graph, done = up_to_last(prepared.graph, steps), 0
    for batch in prepared.calibration:
        mask = batch.inputs.get("attention_mask")

        def watch(name: str, value: Tensor, mask: Tensor | None = mask) -> None:
            if name in steps:
                error = on_grid(value, steps[name].to(value.dtype), levels) - value
                error = error if error.ndim == 4 else channel_rows(error, mask)
                sums[name] = sums.get(name, 0) + error.sum(0, dtype=torch.float64)
                counts[name] = counts.get(name, 0) + len(error)

        for name, value in batch.inputs.items():
            watch(name, value)
        graph(batch.inputs, watch)
        done += len(next(iter(batch.inputs.values())))
        progress("correct biases", done, prepared.calibration.items)
    return {name: total / counts[name] for name, total in sums.items()}
