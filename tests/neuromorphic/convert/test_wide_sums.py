"""Sums beyond 2**24 are exact on spikes too: wide weights, and graded spikes that carry many units at once."""

import pytest
import torch
from torch import nn

from neuromorphic.convert.build import build
from neuromorphic.convert.prepare import prepare
from neuromorphic.convert.settings import Settings
from spikeattn.converted.linear import Weighted

INPUTS = {"int16": 2600, "multi_threshold": 512}


@pytest.mark.parametrize("settings", [pytest.param({"weights": "int16"}, id="int16", marks=pytest.mark.slow),
                                      pytest.param({"coding": "multi_threshold"}, id="multi_threshold")])
def test_spikes_and_codes_agree_where_sums_are_large(settings):
    torch.manual_seed(0)
    width = INPUTS[next(iter(settings.values()))]
    prepared = prepare(nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 4)).eval(),
                       torch.randn(32, width))
    built = build(prepared, Settings(timesteps=4, **settings))
    first = next(wire.layer for wire in built.model.network.wires if isinstance(wire.layer, Weighted))
    row = first.weight.long()[first.weight.long().abs().sum(1).argmax()]
    largest = built.builder.levels if built.builder.coding.graded else 1
    assert int(row.abs().sum()) * largest > 2**24, "the case must need more than float32"
    generator = torch.Generator().manual_seed(1)
    few = torch.rand(64, width, generator=generator) < 0.1  # most inputs at full size, signed as the weights are
    size = torch.where(few, 1.0, float(built.builder.levels))
    step = next(iter(built.builder.codes.values())).step.float()
    inputs = {prepared.graph.inputs[0]: torch.sign(row).float() * size * step}
    assert torch.equal(built.model(inputs), built.model.codes(inputs))
