"""Conversion from end to end, on networks that are built and converted in a second."""

import json

import pytest
import torch
from torch import nn

from neuromorphic.convert import Settings, convert, convert_sweep
from neuromorphic.convert.prepare import prepare
from neuromorphic.trace import trace
from spikeattn import create_model, from_pretrained
from spikeattn.codings import CODINGS
from spikeattn.converted import Attention, Encode
from spikeattn.converted.linear import Weighted


class Tokens(nn.Module):
    """A small encoder over features, as a user would write it."""

    def __init__(self, norm_first: bool = True):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", norm_first=norm_first, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.encoder(x))


@pytest.fixture(scope="module")
def features():
    return torch.randn(48, 6, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Tokens().eval()


@pytest.fixture(scope="module")
def converted(encoder, features):
    return convert(encoder, features, timesteps=4)


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(1)
    return create_model("vit_tiny").eval()


PICTURES = torch.rand(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def relative(a, b) -> float:
    return float((a - b).norm() / b.norm())


@torch.no_grad()
def test_a_stock_encoder_converts(converted, encoder, features):
    snn, report = converted
    assert relative(snn(features), encoder(features)) < 0.1
    assert report.purity.label == "spike-driven, integer norms" and report.purity.float_free == 1.0
    assert report.stages == 10 and report.latency_steps == 40  # five coding stages a block
    assert report.adapted_difference < 1e-4 and report.same_bits > 0
    assert 0.5 < report.spikes_per_value < 4


@torch.no_grad()
def test_more_steps_come_nearer(encoder, features):
    errors = [relative(convert(encoder, features, timesteps=T)[0](features), encoder(features)) for T in (2, 3, 4, 6)]
    assert errors == sorted(errors, reverse=True) and errors[0] > 2 * errors[-1]


@pytest.mark.parametrize("coding", sorted(CODINGS))
@torch.no_grad()
def test_spikes_and_code_words_give_the_same_bits(vit, coding):
    snn, report = convert(vit, PICTURES, timesteps=3, coding=coding)
    assert torch.equal(snn(PICTURES), snn.codes(PICTURES))
    assert torch.equal(snn(PICTURES[:1]), snn(PICTURES)[:1])
    graded = CODINGS[coding].graded
    assert (report.purity.label == "hybrid") == graded
    assert any("graded" in reason for reason in report.purity.offenders) == graded


@torch.no_grad()
def test_padding_does_not_change_a_bit(features):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation="relu", batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    batches = [{"tokens": features, "attention_mask": torch.ones(48, 6, dtype=torch.bool)}]
    snn, _ = convert(encoder, batches, timesteps=3)
    short = features[:4, :4]
    whole = snn({"tokens": short, "attention_mask": torch.ones(4, 4, dtype=torch.bool)})
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[:, 4:] = False
    assert torch.equal(snn({"tokens": features[:4], "attention_mask": mask})[:, :4], whole)


@torch.no_grad()
def test_the_stream_is_the_network_in_time(vit):
    snn, report = convert(vit, PICTURES, timesteps=2)
    expected, x = snn(PICTURES[:3]), PICTURES[:3]
    out, state = snn.stream(x)
    ticks = 1
    while not state.ready:
        assert out.abs().max() == 0
        out, state = snn.stream(x, state)
        ticks += 1
    assert ticks == report.latency_steps and torch.equal(out[0], expected)
    again, later = snn.stream(x, state)
    assert torch.equal(again, out) and later.tick == state.tick


@torch.no_grad()
def test_it_saves_loads_and_exports(converted, features, tmp_path):
    snn, _ = converted
    snn.save_pretrained(tmp_path / "snn")
    loaded = from_pretrained(tmp_path / "snn")
    assert torch.equal(loaded(features), snn(features)) and loaded.latency_steps == snn.latency_steps
    assert "latency_steps" in (tmp_path / "snn" / "README.md").read_text()
    program = torch.export.export(snn, (features[:4],))
    assert torch.equal(program.module()(features[:4]), snn(features[:4]))


def test_purity_counts_equal_a_brute_force_count(vit):
    snn, report = convert(vit, PICTURES, timesteps=3)
    seen = {}
    with torch.no_grad():
        snn(PICTURES[:4], watch=seen.__setitem__)
    expected = {"S1": 0, "S2b": 0}
    for wire in snn.network.wires:
        if type(wire.layer).__name__ == "Linear":
            expected["S1"] += int(torch.count_nonzero(seen[wire.inputs[0]])) * wire.layer.weight.shape[0]
        elif type(wire.layer).__name__ == "Conv2d":
            events = (seen[wire.inputs[0]].flatten(0, 1) != 0).double()
            taps = torch.ones_like(wire.layer.weight, dtype=torch.float64)
            expected["S1"] += int(nn.functional.conv2d(events, taps, None, wire.layer.stride, wire.layer.padding).sum())
        elif isinstance(wire.layer, Attention):
            q = seen[wire.inputs[0]]
            expected["S2b"] += int(torch.count_nonzero(q)) * q.shape[-2]
    from neuromorphic.convert.purity import purity

    found = {row.name: row.count for row in purity(trace(snn, PICTURES[:4]), snn).rows}
    assert {name: found[name] for name in expected} == expected
    assert found.get("X5", 0) == 0 and "X7" not in found and found["S3"] > 0 and found["X4"] > 0


def test_exact_parts_are_named_and_make_it_a_hybrid(encoder, features):
    for changes, word in [({"normaliser": "exact"}, "attend"), ({"norm": "exact"}, "norm"),
                          ({"activation": "exact"}, "activation"), ({"weights": "float"}, "weights")]:
        _, report = convert(encoder, features, timesteps=3, **changes)
        assert report.purity.label == "hybrid", changes
        assert word in " ".join(report.purity.offenders).lower() or report.purity.float_free < 1
        assert report.purity.float_free < 1 or changes == {"weights": "float"}


def test_a_relu_network_is_spike_driven(features):
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    _, report = convert(chain, features.flatten(0, 1), timesteps=4)
    assert report.purity.label == "spike-driven" and report.purity.share == 1.0 and report.purity.offenders == ()


def test_measured_errors_keep_the_promised_bound(converted):
    _, report = converted
    assert len(report.layers) == 14  # seven sites a block
    assert all(site.max_error <= site.bound + 1e-6 for site in report.layers)
    assert max(site.max_error for site in report.layers) > 0.4
    assert {site.role for site in report.layers} == {"input", "query", "key", "value", "context"}
    assert all(site.accumulator_bits <= 32 for site in report.layers if site.accumulator_bits)


def test_halved_ranges_saturate(encoder, features):
    _, low = convert(encoder, features, timesteps=4, ranges="percentile", percentile=60)
    _, high = convert(encoder, features, timesteps=4, ranges="max")
    saturation = [max(site.saturation_evaluation for site in report.layers) for report in (low, high)]
    assert saturation[0] > 0.1 > saturation[1]
    assert any("calibrated range" in warning.what for warning in low.warnings)


def test_the_same_data_gives_the_same_network(encoder, features):
    first, second = (convert(encoder, features, timesteps=4)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    shuffled = convert(encoder, features[torch.randperm(48)], timesteps=4)[0].state_dict()
    assert all(torch.equal(first[name], shuffled[name]) for name in first)


def test_a_sweep_is_a_table_of_conversions(vit):
    labels = torch.arange(48) % 10
    report = convert_sweep(vit, PICTURES, timesteps=(1, 3, 5), evaluation=(PICTURES, labels), reported=3)
    assert [trial.settings["timesteps"] for trial in report.sweep] == [1, 3, 5]
    assert report.sweep[1].score == report.metric_snn and report.sweep[2].fidelity.mean >= report.sweep[0].fidelity.mean
    assert [trial.name for trial in report.ablation] == [
        "code alone", "+ corrected biases", "+ integer weights", "+ Shiftmax", "+ integer norm", "+ table",
        "control: integer ANN, functions exact"]
    assert [trial.settings["biases"] for trial in report.ablation] == ["kept", *["corrected"] * 6]
    assert report.difference.low <= report.difference.value <= report.difference.high


def test_one_pass_over_the_calibration_data_serves_a_sweep(vit):
    told = []
    convert(vit, PICTURES, timesteps=4, evaluation=(PICTURES[:8], torch.arange(8)), sweep=(2, 3), ablation=True,
            progress=lambda what, done, total: told.append(what) if done == total else None)
    assert told.count("calibrate") == told.count("evaluate the ANN") == 1 and "evaluate T = 3" in told
    assert "evaluate + integer weights" in told and "evaluate control: integer ANN, functions exact" not in told


def test_rows_beside_a_fine_tuned_model_are_called_training_free(vit):
    data = {"evaluation": (PICTURES[:8], torch.arange(8)), "sweep": (2,), "timesteps": 2}
    _, tuned = convert(vit, PICTURES[8:], finetune=1, **data)
    assert [warning.where for warning in tuned.warnings].count("sweep and ablation") == 1
    assert "sweep and ablation" not in [warning.where for warning in convert(vit, PICTURES[8:], **data)[1].warnings]


@pytest.mark.parametrize("coding", ["rate", "st_bif"])
@torch.no_grad()
def test_equal_weights_may_be_read_at_any_time(vit, coding):
    snn, _ = convert(vit, PICTURES, timesteps=16, coding=coding)
    answers = snn.anytime(PICTURES[:8])
    assert torch.equal(answers[-1], snn(PICTURES[:8]))
    errors = [relative(answer, vit(PICTURES[:8])) for answer in answers]
    assert errors[-1] < errors[7] < errors[0]
    report = convert_sweep(vit, PICTURES, timesteps=(2, 16), coding=coding, reported=16, ablation=False,
                           evaluation=(PICTURES, torch.arange(48) % 10))
    assert [trial.settings["read_after"] for trial in report.sweep] == [2, 16]
    assert report.sweep[-1].score == report.metric_snn


def test_words_of_weighted_spikes_are_read_at_their_end_only(vit):
    snn, _ = convert(vit, PICTURES, timesteps=3)
    with pytest.raises(TypeError, match="anytime"):
        snn.anytime(PICTURES[:2])


def test_the_model_says_what_it_is(converted):
    snn, _ = converted
    json.dumps(snn.config.to_dict())
    assert sum(isinstance(layer, Encode) for layer in snn.modules()) == 14
    assert all(layer.weight.dtype == torch.int16 for layer in snn.modules() if isinstance(layer, Weighted))
    with pytest.raises(ValueError, match="keeps the read-out"):
        snn.reset_classifier(3)


@pytest.mark.parametrize(("changes", "message"), [
    ({"timesteps": 0}, "timesteps must be a whole number"), ({"coding": "tenary"}, "coding must be one of"),
    ({"weights": "int4"}, "weights must be one of"), ({"floor": 2}, "floor must lie in"),
    ({"normaliser": "row6"}, "normaliser must be one of"),
])
def test_bad_settings_are_named(encoder, features, changes, message):
    with pytest.raises(ValueError, match=message):
        convert(encoder, features, **changes)


def test_settings_are_plain_data():
    assert Settings(**Settings(timesteps=5).to_dict()) == Settings(timesteps=5)


def test_a_sweep_needs_a_number_of_steps(vit):
    with pytest.raises(ValueError, match="at least one T"):
        convert_sweep(vit, PICTURES, timesteps=())


def test_a_converted_network_makes_its_own_steps(vit):
    snn, _ = convert(vit, PICTURES, timesteps=2)
    with pytest.raises(ValueError, match="own time steps"):
        snn(PICTURES[:2].expand(2, 2, 1, 8, 8))


def test_the_stem_of_a_converted_network_is_charged_once(vit):
    snn, report = convert(vit, PICTURES, timesteps=4)
    ledger = trace(snn, PICTURES[:2])
    stem = next(row for row in ledger.rows if row.op == "conv" and "convs.0" in row.scope)
    found = {row.name: row.count for row in report.purity.rows}
    assert not stem.reads_input and stem.dense > 0
    twice = trace(vit, PICTURES[:2])
    assert stem.dense == next(row for row in twice.rows if row.op == "conv").dense and found["X6"] > 0


def tiny_gpt2(place, kind: str):
    """A directory with its tokenizer of forty words."""
    transformers, tokenizers = pytest.importorskip("transformers"), pytest.importorskip("tokenizers")
    words = {f"w{i}": i for i in range(40)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=40, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    getattr(transformers, kind)(config).save_pretrained(place)
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0", pad_token="w0").save_pretrained(place)
    return place


@torch.no_grad()
def test_a_language_model_is_judged_by_its_perplexity_on_text(tmp_path):
    generator = torch.Generator().manual_seed(1)
    for name in ("calibration", "evaluation"):
        text = " ".join(f"w{i}" for i in torch.randint(40, (700,), generator=generator).tolist())
        (tmp_path / f"{name}.txt").write_text(text)
    snn, report = convert(tiny_gpt2(tmp_path / "gpt2", "GPT2LMHeadModel"), tmp_path / "calibration.txt", timesteps=5,
                          evaluation=tmp_path / "evaluation.txt")
    assert report.metric_ann.metric == "perplexity" and report.metric_ann.samples == 11  # pieces of 64 tokens
    assert abs(report.metric_snn.value / report.metric_ann.value - 1) < 0.02
    assert report.purity.label == "spike-driven, integer norms" and snn.config.token_output


@pytest.mark.parametrize("kind, used", [("GPT2LMHeadModel", 256), ("GPT2Model", 2048)])
@torch.no_grad()
def test_short_texts_are_taken_in_greater_number(tmp_path, kind, used):
    """At most 256 pieces of one length for a language model, and 2,048 rows for others, if nothing is asked."""
    lines = [f"w{i % 39 + 1} " * 8 for i in range(2100)]
    prepared = prepare(tiny_gpt2(tmp_path / "gpt2", kind), lines)
    assert prepared.calibration.items == used
    assert prepare(tmp_path / "gpt2", lines, samples=7).calibration.items == 7
