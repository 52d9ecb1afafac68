"""Fine-tuning learns the network that is built, helps where words are short, and never sees the evaluation data."""

import copy
import json

import pytest
import torch
from torch import nn

from neuromorphic.convert import Settings, convert
from neuromorphic.convert.build import build
from neuromorphic.convert.fake_quantised import FakeQuantised, on_grid
from neuromorphic.convert.finetune import Gains, finetune
from neuromorphic.convert.prepare import prepare
from neuromorphic.convert.quantise import quantise
from neuromorphic.convert.quantise.products import score_unit
from spikeattn import create_model, from_pretrained
from spikeattn.codings import CODINGS
from spikeattn.converted import Attention, Encode
from spikeattn.converted.graph import arguments

EXACT = {"normaliser": "exact", "norm": "exact", "activation": "exact", "weights": "float"}


class Tokens(nn.Module):
    """A block and a head."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.encoder(x))


def features(seed: int, count: int = 64):
    """Tokens of very different sizes, which a norm makes equal: the largest are not the ones that matter."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, 16, generator=generator) * torch.randn(count, 4, 1, generator=generator).exp()


def relative(a, b) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module")
def prepared():
    torch.manual_seed(0)
    return prepare(Tokens().eval(), features(0))


@torch.no_grad()
def error(prepared, settings, tuned=None) -> float:
    """Of the network that is built, on samples that nobody saw."""
    model = build(prepared, settings, tuned).model
    return relative(model.codes(features(1)), prepared.source.model(features(1)))


@pytest.mark.parametrize("weights", [False, True])
def test_it_helps_at_two_steps(prepared, weights):
    settings = Settings(timesteps=2)
    tuned = finetune(prepared, settings, 80, weights=weights, rate=0.03, weight_rate=3e-3)
    assert error(prepared, settings, tuned) < 0.87 * error(prepared, settings)
    first, last = tuned.losses["hidden"]
    assert last < 0.9 * first
    samples, before, after = tuned.held_out
    assert tuned.kept and samples == 13 and after < 0.9 * before


@pytest.mark.parametrize("weights", [False, True])
@torch.no_grad()
def test_where_nothing_helps_the_network_stays_training_free(prepared, weights):
    settings, x = Settings(timesteps=2), features(1)
    tuned = finetune(prepared, settings, 6, weights=weights, rate=3.0, vector_rate=3.0, weight_rate=3.0)
    assert tuned.kept == 0 and tuned.held_out[1] == tuned.held_out[2] and not tuned.ranges and tuned.graph is None
    built = build(prepared, settings, tuned).model
    assert torch.equal(built.codes(x), build(prepared, settings).model.codes(x))
    assert built.config.provenance == "training-free"
    assert built.config.settings["finetune"]["outcome"] == "did not help, kept the calibrated ranges"


def test_the_best_state_is_kept(prepared, monkeypatch):
    losses, seen = iter([5.0, 4.0, 2.0, 3.0, 2.0, 6.0, 7.0, 8.0, 9.0]), []

    def values(graph):
        return {(wire.name, name): getattr(wire.layer, name).clone() for wire in graph.wires
                for name in ("weight", "bias") if hasattr(wire.layer, name)}

    def judge(student, *_):
        seen.append(values(student))
        return next(losses)

    monkeypatch.setattr("neuromorphic.convert.finetune._judge", judge)
    tuned = finetune(prepared, Settings(timesteps=2), 16)
    assert tuned.kept == 4 and tuned.held_out[1:] == (5.0, 2.0) and len(seen) == 9
    found = values(tuned.graph)
    assert all(torch.equal(value, seen[2][name]) for name, value in found.items())
    assert any(not torch.equal(value, seen[4][name]) for name, value in found.items())


def test_no_gradient_sees_the_samples_held_out(prepared, monkeypatch):
    judged = iter([2.0, 1.0] * 3)
    monkeypatch.setattr("neuromorphic.convert.finetune._judge", lambda *_: next(judged))
    data = features(2, 40)
    held = torch.zeros(40, dtype=torch.bool)
    held[2::5] = True  # every fifth
    others, fewer = torch.where(held[:, None, None], features(5, 40), data), data.clone()
    fewer[0] = features(5, 40)[0]
    first, second, third = (finetune(prepared, Settings(timesteps=2), 1, some) for some in (data, others, fewer))
    assert all(torch.equal(first.ranges[name].values, second.ranges[name].values) for name in first.ranges)
    assert any(not torch.equal(first.ranges[name].values, third.ranges[name].values) for name in first.ranges)


@torch.no_grad()
def test_scales_and_thresholds_scale_matrices_and_leave_stem_and_readout_alone(prepared):
    before = prepared.graph.state_dict()
    after = finetune(prepared, Settings(timesteps=2), 20).graph.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {name for name in before if not name.startswith("head")}
    for name in moved:
        if before[name].ndim == 2:  # by one factor for each row times one for each column, and no other way
            ratio = after[name].double() / before[name].double()
            outputs, inputs = ratio[:, :1] / ratio[0, 0], ratio[:1]
            torch.testing.assert_close(outputs * inputs, ratio, rtol=1e-4, atol=0)
            assert float(outputs.std()) > 1e-3 and float(inputs.std()) > 1e-3


def test_gains_of_a_convolution_scale_its_channels():
    weight = torch.arange(24.0).view(2, 3, 2, 2)
    gains = Gains(weight)
    assert torch.equal(gains(weight), weight)
    gains.load_state_dict({"outputs": torch.tensor([1.0, 0.0]), "inputs": torch.tensor([0.0, -1.0, 2.0])})
    expected = weight * torch.tensor([2.0, 1.0])[:, None, None, None] * torch.tensor([1.0, 0.0, 3.0])[:, None, None]
    assert torch.equal(gains(weight), expected)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("normaliser", ["exact", "row5", "ceil"])
@torch.no_grad()
def test_the_network_that_learns_is_the_one_that_is_built(prepared, normaliser, masked):
    settings = Settings(timesteps=3, stream_bits=24, **EXACT | {"normaliser": normaliser})
    inputs = {"tokens": features(1)}
    if masked:
        inputs["attention_mask"] = torch.arange(4) < torch.arange(64)[:, None] % 4 + 1
        prepared = prepare(prepared.source.model.encoder, [inputs | {"tokens": features(0)}])
    student = FakeQuantised(prepared.graph, quantise(prepared.graph, prepared.statistics, settings))
    generator = torch.Generator().manual_seed(0)
    for step in student.steps:  # calibrated steps stand in simple ratios, so that some values lie between two cells
        step += 0.3 * torch.randn(step.shape, generator=generator)
    builder = quantise(prepared.graph, prepared.statistics, settings, student.ranges())
    values, seen = dict(inputs), {}
    student(inputs, watch=seen.__setitem__)
    for wire in builder.wires:
        values[wire.name] = wire.layer.codes(*arguments(wire, values))
    # features enter on a grid of 24 bits with odd thresholds: few values on the edge of a cell fall to the other side
    for wire in student.wires:
        unit, expected = builder.scales[wire.name].unit, values[wire.name]
        error = (seen[wire.name] - (expected if expected.is_floating_point() else expected * unit)).abs()
        assert float((error > 1e-3 * float(seen[wire.name].std())).double().mean()) < 0.01, wire.name


@torch.no_grad()
def test_integers_move_the_learned_network_less_than_its_codes_do(prepared):
    settings, x = Settings(timesteps=2), features(1)
    student = FakeQuantised(prepared.graph, quantise(prepared.graph, prepared.statistics, settings))
    builder = quantise(prepared.graph, prepared.statistics, settings, student.ranges())
    values = {"tokens": x}
    for wire in builder.wires:
        values[wire.name] = wire.layer.codes(*(values[name] for name in wire.inputs))
    built = values[builder.wires[-1].name]
    assert relative(student({"tokens": x}), built) < 0.4 * relative(built, prepared.source.model(x))


@pytest.mark.parametrize("coding", ["ternary", "rate"])
def test_scores_keep_a_power_of_two_for_a_unit(prepared, coding, monkeypatch):
    judged = iter(range(9, 0, -1))  # the last step is kept, whether it helped or not
    monkeypatch.setattr("neuromorphic.convert.finetune._judge", lambda *_: float(next(judged)))
    settings = Settings(timesteps=2, coding=coding, biases="kept")
    tuned = finetune(prepared, settings, 6)
    built = build(prepared, settings, tuned)
    attention = next(wire for wire in prepared.graph.wires if wire.name.endswith("attend"))
    octaves = torch.log2(score_unit(built.builder, *attention.inputs[:2], attention.layer))
    assert float((octaves - octaves.round()).abs().max()) < 1e-9
    node = next(layer for layer in built.model.modules() if isinstance(layer, Attention))
    assert torch.equal(node.score_shift, -octaves.round().to(torch.int64))
    assert torch.equal(built.builder.found[attention.inputs[1]].values, tuned.ranges[attention.inputs[1]].values)
    assert {name: len(found.values.unique()) <= found.groups for name, found in tuned.ranges.items()} == dict.fromkeys(
        tuned.ranges, True)


@pytest.mark.parametrize("per_channel", [True, False])
@torch.no_grad()
def test_ranges_keep_their_groups(prepared, per_channel):
    settings = Settings(timesteps=2, per_channel=per_channel)
    tuned = finetune(prepared, settings, 4, rate=0.1)
    before = build(prepared, settings).builder.found
    assert tuned.ranges.keys() <= before.keys()
    for name, found in tuned.ranges.items():
        assert found.groups == before[name].groups and bool((found.values > 0).all())
        assert found.values.view(found.groups, -1).std(1, correction=0).max() < 1e-12
        assert not torch.equal(found.values, before[name].values), name


@pytest.mark.parametrize("coding", sorted(CODINGS))
@torch.no_grad()
def test_spikes_and_code_words_of_a_tuned_network_give_the_same_bits(coding, monkeypatch):
    judged = iter([2.0, 1.0, 1.0, 1.0])  # the first step is kept, whether it helped or not
    monkeypatch.setattr("neuromorphic.convert.finetune._judge", lambda *_: next(judged))
    torch.manual_seed(1)
    pictures = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    vit = create_model("vit_tiny").eval()
    snn, report = convert(vit, pictures, timesteps=2, coding=coding, finetune=3)
    assert torch.equal(snn(pictures), snn.codes(pictures)) and report.same_bits == 32
    plain = convert(vit, pictures, timesteps=2, coding=coding)[0]
    assert not torch.equal(plain.codes(pictures), snn.codes(pictures))


def test_tuned_weights_become_integers_too(prepared):
    settings = Settings(timesteps=2)
    before = copy.deepcopy(prepared.graph.state_dict())
    tuned = finetune(prepared, settings, 10, weights=True, weight_rate=1e-2)
    model, x = build(prepared, settings, tuned).model, features(1)
    assert torch.equal(model(x), model.codes(x))
    assert all(torch.equal(value, before[name]) for name, value in prepared.graph.state_dict().items())
    moved = {name for name, value in tuned.graph.state_dict().items() if not torch.equal(value, before[name])}
    assert "encoder.layers.0.linear1.weight" in moved and not any(name.startswith("head") for name in moved)


def test_the_same_seed_learns_the_same(prepared):
    first, second, other = (finetune(prepared, Settings(timesteps=2), 5, seed=seed).ranges for seed in (0, 0, 1))
    assert all(torch.equal(first[name].values, second[name].values) for name in first)
    assert any(not torch.equal(first[name].values, other[name].values) for name in first)


def test_the_record_says_what_was_done(tmp_path):
    torch.manual_seed(0)
    model, more = Tokens().eval(), features(2)
    snn, report = convert(model, features(0), timesteps=2, finetune=2, finetune_data=more)
    record = report.settings["finetune"]
    assert record["steps"] == 2 and record["samples"] == 64 and record["weight_rate"] is None and record["shared"] == 0
    where = f"Tensor in memory (sha256 {record['sha256']})"
    assert report.provenance == f"fine-tuned: 2 steps of distillation of scales and thresholds on {where}"
    assert record["sha256"] != report.calibration["sha256"] and report.seconds["finetune"] > 0
    assert json.loads(json.dumps(report.settings)) == report.settings
    snn.save_pretrained(tmp_path / "snn")
    loaded = from_pretrained(tmp_path / "snn")
    assert loaded.config.provenance == report.provenance and "fine-tuned" in (tmp_path / "snn/README.md").read_text()
    assert torch.equal(loaded.codes(features(1)), snn.codes(features(1)))
    plain, free = convert(model, features(0), timesteps=2)
    assert free.provenance == plain.config.provenance == "training-free" and "finetune" not in free.settings
    assert sum(isinstance(layer, Encode) for layer in snn.modules()) == 7


def test_the_evaluation_data_is_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    calibrated, seen, more = (features(seed)[:, 0] for seed in (0, 1, 2))
    labels, settings = torch.arange(64) % 3, Settings(timesteps=2)
    known = prepare(model, calibrated, evaluation=(seen, labels))
    for data in ((seen, labels), seen, torch.cat([seen[:40], more[:24]])):
        with pytest.raises(ValueError, match="must not be the evaluation data"):
            finetune(known, settings, 1, data)
    assert finetune(known, settings, 1, torch.cat([seen[:5], more])).shared == 5


def test_samples_of_the_evaluation_data_are_left_out():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    seen, more, settings = features(1, 32)[:, 0], features(2)[:, 0], Settings(timesteps=2)
    known = prepare(model, features(0)[:, 0], evaluation=(seen, torch.arange(32) % 3))
    mixed = [{"tokens": part} for part in (torch.cat([more[:32], seen[:8]]), more[32:], seen[8:16])]
    alone = [{"tokens": part} for part in (more[:32], more[32:])]
    first, second = (finetune(known, settings, 1, data).ranges for data in (mixed[:2], alone))
    assert all(torch.equal(first[name].values, second[name].values) for name in first)
    assert finetune(known, settings, 4, mixed).shared == 16


def test_too_few_samples_are_refused(prepared):
    with pytest.raises(ValueError, match="at least 5 samples to learn from, got 4"):
        finetune(prepared, Settings(timesteps=2), 1, features(2, 4))


@pytest.mark.parametrize("steps", [0, -3, 2.0, True])
def test_bad_steps_are_named(prepared, steps):
    with pytest.raises(ValueError, match="steps must be a whole number"):
        finetune(prepared, Settings(timesteps=2), steps)


def test_data_without_steps_is_refused():
    with pytest.raises(ValueError, match="finetune_data needs finetune"):
        convert(Tokens(), features(0), finetune_data=features(2))


def test_the_gradient_of_a_step_is_that_of_learned_step_sizes():
    x = torch.tensor([0.2, 0.7, -1.4, 2.6, -9.0, 9.0], dtype=torch.float64, requires_grad=True)
    step = torch.full((6,), 0.5, dtype=torch.float64, requires_grad=True)
    y = on_grid(x, step, 4)
    y.sum().backward()
    codes = torch.tensor([0, 1, -3, 4, -4, 4.0], dtype=torch.float64)
    assert torch.equal(y.detach(), codes * 0.5)
    assert torch.equal(x.grad, torch.tensor([1, 1, 1, 0, 0, 0.0], dtype=torch.float64))
    expected = torch.where(x.grad == 1, codes - x.detach() / 0.5, codes)
    torch.testing.assert_close(step.grad, expected)
