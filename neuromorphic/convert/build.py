"""A converted network from what was prepared and how it is to be made."""

from dataclasses import dataclass

import torch

from neuromorphic.convert.bias_correction import training_free
from neuromorphic.convert.finetune import Tuned
from neuromorphic.convert.prepare import Prepared, Progress, silent
from neuromorphic.convert.quantise import Builder, quantise
from neuromorphic.convert.settings import Settings
from spikeattn.converted import Graph
from spikeattn.models.converted import ConvertedConfig, ConvertedModel, record


@dataclass(frozen=True)
class Built:
    """A converted network and how it came about."""

    model: ConvertedModel
    builder: Builder
    settings: Settings
    tuned: Tuned | None = None


@torch.no_grad()
def build(prepared: Prepared, settings: Settings, tuned: Tuned | None = None, progress: Progress = silent) -> Built:
    """Choose the steps of every code, or take the learned ones, make the weights integers, put the nodes together."""
    if tuned is not None and tuned.graph is not None:
        builder = quantise(tuned.graph, tuned.statistics, settings, tuned.ranges)
    else:
        builder = training_free(prepared, settings, progress)
    output = builder.wires[-1].name
    graph = Graph(prepared.graph.inputs, builder.wires, output)
    inputs = next(iter(prepared.calibration)).inputs
    shape = prepared.graph({name: value[:1] for name, value in inputs.items()}).shape
    picture = inputs.get("pixels")
    config = ConvertedConfig(
        name=prepared.source.name, inputs=prepared.graph.inputs, output=output, output_size=shape[-1],
        num_classes=shape[-1], token_output=len(shape) == 3, timesteps=settings.timesteps, coding=settings.coding,
        wires=tuple(record(wire) for wire in graph.wires), source=prepared.adapted.family,
        settings=settings.to_dict() | ({} if tuned is None else {"finetune": tuned.record()}),
        **({} if tuned is None else {"provenance": tuned.provenance}),
        **({} if picture is None else {"in_channels": picture.shape[1], "image_size": tuple(picture.shape[2:])}),
    )
    return Built(ConvertedModel(config, graph).eval(), builder, settings, tuned)
