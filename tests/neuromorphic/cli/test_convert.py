"""`spikeattn convert` as a user meets it: what is written, what is said, and that a failure leaves nothing."""

import importlib
import json
import os
import signal
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from neuromorphic.cli.directory import check_place, publish
from neuromorphic.convert import settings
from neuromorphic.convert.metrics import METRICS
from neuromorphic.convert.record import (
    ConversionReport,
    Energy,
    Fidelity,
    Purity,
    PurityRow,
    Score,
    Site,
    Trial,
    Warning,
)
from neuromorphic.report import conversion
from spikeattn import create_model
from spikeattn.codings import CODINGS
from spikeattn.data import load

SCORE = {"metric": "accuracy", "samples": 359}


def made_report(settings: dict, **changes) -> ConversionReport:
    purity = Purity(1.0, 0.8, "spike-driven, integer norms", (PurityRow("S1", "spike × weight", True, 90),), (),
                    ("patches",), ("head",))
    site = Site("blocks.0.attn.q", "query", "head", 3.0, 1.0, 0.0, 40, 0.1, 0.5, 0.4, 0.01, 0.0, 0.001, 1.8, 0.02, 18)
    return ConversionReport("vit", "vit", settings, settings["timesteps"], 9, 13, (site,), **{
        "purity": purity, "metric_ann": Score(value=0.97, **SCORE), "metric_snn": Score(value=0.96, **SCORE),
        "difference": Score(value=-0.01, low=-0.02, high=-0.001, **SCORE), "fidelity": Fidelity("agreement", 0.98, 359),
        "spikes_per_value": 1.8, "energy": (Energy("horowitz45_fp32", 1.0, 2.0, 0.5, False),), **changes})


class FakeModel:
    def save_pretrained(self, directory):
        for name, text in (("config.json", '{"spikeattn": "0"}'), ("model.safetensors", "w" * 100)):
            (Path(directory) / name).write_text(text)


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """A conversion that only notes what it was asked for; `engine.fail` makes it fail."""
    tokenizer = tmp_path / "source" / "tokenizer.json"
    tokenizer.parent.mkdir()
    tokenizer.write_text("{}")
    (tokenizer.parent / "config.json").write_text("theirs")
    (tmp_path / "cal.txt").write_text("a sentence\n")
    (tmp_path / "test.txt").write_text("another\n")
    engine = types.SimpleNamespace(asked=[], fail=None, changes={}, opened=[])

    def open_source(source, *_, **__):
        engine.opened.append(source)
        files = {name: tokenizer.parent / name for name in ("tokenizer.json", "config.json")}
        return types.SimpleNamespace(files=files, labels=("cat", "dög"), tokenizer=None, processor=None)

    def convert(source, calibration, *, progress, sweep, ablation, **asked):
        engine.asked.append(asked | {"calibration": calibration})
        progress("calibrate", 1, 1, "1 sample")
        if engine.fail:
            raise engine.fail
        apart = ("evaluation", "metric", "finetune_data")
        settings = {name: value for name, value in asked.items() if name not in apart}
        rows = tuple(Trial(f"T = {T}", {"timesteps": T}, Score(value=0.9 + T / 100, **SCORE), None, None, T / 2, 9 + T)
                     for T in sweep)
        cut = (Trial("softmax exact", {"normaliser": "exact"}, Score(value=0.97, **SCORE), None, None, 1.8, 13),)
        trials = {"sweep": rows, "ablation": cut if ablation else ()}
        return FakeModel(), made_report(settings, **trials | engine.changes)

    package = importlib.import_module("neuromorphic.convert")
    monkeypatch.setattr(package, "convert", convert, raising=False)
    monkeypatch.setattr(importlib.import_module("neuromorphic.convert.sources"), "open_source", open_source)
    monkeypatch.chdir(tmp_path)
    return engine


WORDS = ("convert", "source", "--calibration", "cal.txt", "--evaluate", "test.txt", "--out", "snn")


def names(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


class TestWhatIsMade:
    def test_model_report_and_the_files_of_the_source(self, spikeattn, engine, tmp_path):
        outcome = spikeattn(*WORDS)
        assert outcome.code == 0
        assert names(tmp_path / "snn") == [
            "config.json", "labels.json", "model.safetensors", "report", "report/layers.csv", "report/report.html",
            "report/report.json", "report/report.md", "tokenizer.json"]
        assert json.loads((tmp_path / "snn/labels.json").read_text(encoding="utf-8")) == ["cat", "dög"]
        assert json.loads((tmp_path / "snn/config.json").read_text()) == {"spikeattn": "0"}  # not the source's
        kept = conversion.read((tmp_path / "snn/report/report.json").read_text())
        assert kept.settings["timesteps"] == 4 and kept.disk_bytes["converted directory"] == 118 + 2 + 16
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    def test_it_says_the_headline_the_warnings_and_the_simulation(self, spikeattn, engine):
        outcome = spikeattn(*WORDS)
        lines = outcome.out.splitlines()
        assert lines[0].startswith("Accuracy 97.00 % → 96.00 % (−1.00 points, 95 % interval −2.00 to −0.10 points")
        assert "98.00 % equal predictions; 1.80 spikes per value; T = 4, logits after 13 steps" in lines[0]
        assert "spike-driven, integer norms, training-free" in lines[0]
        assert lines[-1].startswith("A GPU simulates the T = 4 passes")
        assert "Written: model snn, report snn/report/report.html" in outcome.err
        assert "calibrate: 1 sample" in outcome.err and "\x1b" not in outcome.out + outcome.err

    def test_flags_reach_the_conversion(self, spikeattn, engine):
        outcome = spikeattn(*WORDS, "--timesteps", 3, "--coding", "rate", "--weights", "int8",
                            "--normaliser", "nearest", "--norm", "exact", "--activation", "relu",
                            "--floor", 0.2, "--ranges", "max", "--biases", "corrected", "--samples", 7,
                            "--finetune", 20, "--finetune-data", "cal.txt", "--metric", "accuracy")
        assert outcome.code == 0, outcome.err
        asked = engine.asked[0]
        assert asked["calibration"] == Path("cal.txt") and asked["evaluation"] == Path("test.txt")
        assert {name: asked[name] for name in asked if name not in ("calibration", "evaluation")} == {
            "timesteps": 3, "coding": "rate", "weights": "int8", "normaliser": "nearest", "norm": "exact",
            "activation": "relu", "floor": 0.2, "ranges": "max", "biases": "corrected", "samples": 7,
            "finetune": 20, "finetune_data": Path("cal.txt"), "metric": "accuracy"}

    def test_the_digits_by_name_are_training_and_test_pictures(self, spikeattn, engine):
        words = ("convert", "source", "--calibration", "digits", "--evaluate", "digits", "--out", "snn")
        assert spikeattn(*words).code == 0
        assert len(engine.asked[0]["calibration"]) == 1438 and len(engine.asked[0]["evaluation"]) == 359

    @pytest.mark.parametrize(("flags", "sweep", "ablation"), [
        (("--sweep",), range(1, 9), 0), (("--ablation",), (), 1), (("--sweep", "--ablation"), range(1, 9), 1)])
    def test_further_conversions(self, spikeattn, engine, tmp_path, flags, sweep, ablation):
        outcome = spikeattn(*WORDS, *flags)
        assert outcome.code == 0
        kept = conversion.read((tmp_path / "snn/report/report.json").read_text())
        assert [trial.settings["timesteps"] for trial in kept.sweep] == list(sweep)
        assert len(kept.ablation) == ablation
        assert ("Separate conversions" in outcome.out) == bool(sweep)
        assert ("normaliser exact" in outcome.out) == bool(ablation)

    def test_a_sweep_is_one_conversion_of_one_calibration(self, spikeattn, engine):
        assert spikeattn(*WORDS, "--sweep", "--ablation").code == 0
        assert len(engine.asked) == len(engine.opened) == 1

    def test_the_same_advice_is_printed_once(self, spikeattn, engine):
        engine.changes = {"warnings": tuple(Warning(f"layer.{i}", "outlier", "Raise --floor.") for i in range(3))}
        lines = [line for line in spikeattn(*WORDS).out.splitlines() if line.startswith("Warning: layer")]
        assert lines == ["Warning: layer.0: outlier. 2 more such places in the report. Raise --floor."]

    def test_json_is_one_document(self, spikeattn, engine):
        outcome = spikeattn(*WORDS, "--json")
        plain = json.loads(outcome.out)
        assert plain["directory"] == "snn" and plain["conversion"]["latency_steps"] == 13
        assert plain["schema"] == conversion.json.SCHEMA

    def test_force_replaces_a_saved_model_and_everything_in_it(self, spikeattn, engine, tmp_path):
        assert spikeattn(*WORDS).code == 0
        (tmp_path / "snn/stale.txt").write_text("old")
        assert spikeattn(*WORDS, "--force", "--timesteps", 2).code == 0
        assert not (tmp_path / "snn/stale.txt").exists()
        assert conversion.read((tmp_path / "snn/report/report.json").read_text()).timesteps == 2
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cal.txt", "snn", "source", "test.txt"]


class TestBadInput:
    @pytest.mark.parametrize(("flags", "part"), [
        (("--timesteps", 0), "'--timesteps'"),
        (("--timesteps", "four"), "'--timesteps'"),
        (("--coding", "rat"), "Did you mean rate"),
        (("--weights", "int2"), "Did you mean int12"),
        (("--normaliser", "row55"), "Did you mean row5"),
        (("--floor", 2), "floor must lie in 0 to 1"),
        (("--calibration", "call.txt"), "call.txt does not exist"),
        (("--evaluate", "nothing.npz"), "nothing.npz does not exist"),
        (("--metric", "acuracy"), "Did you mean accuracy"),
        (("--samples", 0), "samples"),
        (("--finetune", 0), "finetune"),
        (("--finetune-data", "cal.txt"), "--finetune-data needs --finetune"),
    ], ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None)
    def test_wrong_usage_is_one_line_and_2(self, spikeattn, engine, tmp_path, flags, part):
        outcome = spikeattn(*WORDS, *flags)
        assert outcome.code == 2 and outcome.out == "" and part in outcome.err
        assert len(outcome.err.splitlines()) == 1 and engine.asked == [] and not (tmp_path / "snn").exists()

    def test_help_names_every_choice(self, spikeattn):
        text = " ".join(spikeattn("convert", "--help").out.split())
        for choices in (CODINGS, settings.WEIGHTS, settings.RANGES, settings.NORMALISERS, settings.NORMS,
                       settings.ACTIVATIONS, METRICS):
            assert all(name in text for name in choices)

    def test_calibration_must_be_given(self, spikeattn, engine):
        outcome = spikeattn("convert", "source", "--out", "snn")
        assert outcome.code == 2 and "--calibration" in outcome.err

    @pytest.mark.parametrize("flag", ["--sweep", "--ablation"])
    def test_scores_are_compared_on_evaluation_data(self, spikeattn, engine, flag):
        outcome = spikeattn("convert", "source", "--calibration", "cal.txt", "--out", "snn", flag)
        assert outcome.code == 2 and "need --evaluate" in outcome.err

    @pytest.mark.parametrize("kind", ["file", "directory"])
    def test_empty_data_is_said_before_anything_runs(self, spikeattn, engine, tmp_path, kind):
        (tmp_path / "cal.txt").unlink()
        (tmp_path / "cal.txt").touch() if kind == "file" else (tmp_path / "cal.txt").mkdir()
        outcome = spikeattn(*WORDS)
        assert outcome.code == 1 and "cal.txt must hold samples" in outcome.err and engine.asked == []

    @pytest.mark.parametrize("kind", ["file", "directory", "empty directory", "dangling link"])
    def test_what_exists_is_never_overwritten(self, spikeattn, engine, tmp_path, kind):
        out = tmp_path / "snn"
        if kind == "file":
            out.write_text("mine")
        elif kind == "dangling link":
            out.symlink_to("nowhere")
        else:
            out.mkdir()
            if kind == "directory":
                (out / "mine.txt").write_text("mine")
        before = names(tmp_path)
        outcome = spikeattn(*WORDS)
        assert outcome.code == 1 and "must not exist yet" in outcome.err and "--force" in outcome.err
        assert names(tmp_path) == before and engine.opened == []

    @pytest.mark.parametrize("name", ["model.pt", "directory"])
    def test_a_pickle_is_never_opened(self, spikeattn, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        source, weights = tmp_path / name, tmp_path / name
        if name == "directory":
            source.mkdir()
            (source / "config.json").write_text('{"model_type": "bert"}')
            weights = source / "pytorch_model.bin"
        weights.write_bytes(b"\x80\x04cos\nsystem\n(S'touch opened'\ntR.")
        (tmp_path / "cal.txt").write_text("a sentence\n")
        before = names(tmp_path)
        outcome = spikeattn("convert", name, "--calibration", "cal.txt", "--out", "snn")
        assert outcome.code == 1 and "weights must be safetensors" in outcome.err
        assert len(outcome.err.splitlines()) == 1 and names(tmp_path) == before

    def test_force_replaces_nothing_but_saved_models(self, spikeattn, engine, tmp_path):
        (tmp_path / "snn").mkdir()
        (tmp_path / "snn/thesis.tex").write_text("mine")
        outcome = spikeattn(*WORDS, "--force")
        assert outcome.code == 1 and "must be a directory that holds a saved model" in outcome.err
        assert (tmp_path / "snn/thesis.tex").read_text() == "mine"

    def test_force_never_replaces_what_it_reads(self, spikeattn, engine, tmp_path):
        (tmp_path / "source/config.json").write_text('{"spikeattn": "0"}')
        words = ("convert", "source", "--calibration", "cal.txt", "--out", "source", "--force")
        outcome = spikeattn(*words)
        assert outcome.code == 1 and "must not replace what is read" in outcome.err
        assert (tmp_path / "source/tokenizer.json").exists()

    @pytest.mark.parametrize(("error", "code"), [
        (ValueError("convert: encoder.0.adapter (LoraLayer) has no spiking form.\nKnown: ..."), 1),
        (KeyboardInterrupt(), 130), (MemoryError(), 1)], ids=["refused", "interrupted", "memory"])
    def test_a_failed_conversion_leaves_nothing(self, spikeattn, engine, tmp_path, error, code):
        before = names(tmp_path)
        engine.fail = error
        outcome = spikeattn(*WORDS[:-1], "a/b/snn")
        assert outcome.code == code and names(tmp_path) == before
        assert outcome.err.splitlines()[-1].startswith("spikeattn: ")

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()],
                             ids=["full", "interrupted"])
    @pytest.mark.parametrize("where", ["model", "report"])
    @pytest.mark.parametrize("force", [False, True], ids=["new", "replaced"])
    def test_a_failure_while_writing_leaves_what_was(self, spikeattn, engine, tmp_path, monkeypatch, error, where,
                                                     force):
        if force:
            assert spikeattn(*WORDS).code == 0
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

        def failing(self, directory):
            (Path(directory) / "model.safetensors").write_text("half")
            raise error

        if where == "model":
            monkeypatch.setattr(FakeModel, "save_pretrained", failing)
        else:
            monkeypatch.setattr("neuromorphic.report.write", lambda report, directory: failing(None, directory))
        assert spikeattn(*WORDS, *(["--force"] if force else [])).code in (1, 130)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert (tmp_path / "snn").exists() == force

    def test_strict_refuses_floats_and_leaves_nothing(self, spikeattn, engine, tmp_path):
        assert spikeattn(*WORDS, "--strict").code == 0
        engine.changes = {"purity": Purity(0.9, 0.5, "hybrid", (), ("float softmax at blocks.0.attn",))}
        outcome = spikeattn(*WORDS[:-1], "other", "--strict")
        assert outcome.code == 1 and "float softmax at blocks.0.attn" in outcome.err
        assert not (tmp_path / "other").exists()

    def test_a_place_that_cannot_be_written_is_said_first(self, spikeattn, engine, tmp_path):
        outcome = spikeattn(*WORDS[:-1], "cal.txt/snn")
        assert outcome.code == 1 and "must lie where directories can be made" in outcome.err and engine.opened == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A ViT as initialised, and 48 of the digits as a file."""
    place = tmp_path_factory.mktemp("small")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        create_model("vit_tiny").save_pretrained(place / "vit")
    digits = load("digits").test
    images = digits.normalise(digits.scale(digits.images[:48]))
    np.savez(place / "digits.npz", images=images.numpy(), labels=digits.labels[:48].numpy())
    np.savez(place / "other.npz", images=np.zeros((4, 3, 5, 5), np.float32), labels=np.zeros(4, np.int64))
    return place


class TestARealConversion:
    """The same verb with nothing replaced."""

    def test_from_checkpoint_to_evaluation(self, spikeattn, small, tmp_path):
        out = tmp_path / "snn"
        words = ("convert", small / "vit", "--calibration", "digits", "--evaluate", small / "digits.npz")
        outcome = spikeattn(*words, "--samples", 32, "--out", out, "--timesteps", 3, "--json", "--strict")
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out)["conversion"]
        assert found["purity"]["label"] == "spike-driven, integer norms" and found["purity"]["float_free"] == 1
        assert found["calibration"]["samples"] == 32 and found["metric_snn"]["samples"] == 48
        assert found["latency_steps"] == 3 * found["stages"] and found["disk_bytes"]["converted directory"] > 0
        assert conversion.read((out / "report/report.json").read_text()).layers
        measured = spikeattn("evaluate", out, "--data", small / "digits.npz", "--json")
        assert measured.code == 0, measured.err
        assert json.loads(measured.out)["value"] == found["metric_snn"]["value"]
        shown = spikeattn("evaluate", out, "--data", small / "digits.npz")
        assert "accuracy" in shown.out and "95 % interval" in shown.out and "(48 samples)" in shown.out

    def test_data_that_do_not_fit_are_one_line_and_leave_nothing(self, spikeattn, small, tmp_path):
        for wrong in (small / "other.npz", small / "vit"):
            outcome = spikeattn("convert", small / "vit", "--calibration", wrong, "--out", tmp_path / "snn")
            assert outcome.code == 1 and len(outcome.err.splitlines()) == 1 and "Traceback" not in outcome.err
            assert names(tmp_path) == []

    def test_files_are_for_converted_models(self, spikeattn, small):
        outcome = spikeattn("evaluate", small / "vit", "--data", small / "digits.npz")
        assert outcome.code == 2 and "are for converted models, got a VisionTransformer" in outcome.err


class TestDirectory:
    def test_it_has_the_mode_of_an_ordinary_directory(self, tmp_path):
        publish(tmp_path / "a" / "b", lambda place: (place / "x").write_text("x"))
        assert (tmp_path / "a/b").stat().st_mode == (tmp_path / "a").stat().st_mode
        assert names(tmp_path) == ["a", "a/b", "a/b/x"]

    def test_somebody_else_was_faster(self, tmp_path):
        def fill(place):
            (tmp_path / "out").mkdir()
            (tmp_path / "out/theirs").write_text("theirs")

        with pytest.raises(ValueError, match="must not exist yet"):
            publish(tmp_path / "out", fill)
        assert names(tmp_path) == ["out", "out/theirs"]

    def test_the_old_one_comes_back_if_the_new_one_cannot_have_its_name(self, tmp_path, monkeypatch):
        publish(tmp_path / "out", lambda place: (place / "config.json").write_text('{"spikeattn": "0"}'))
        rename, calls = os.rename, []

        def failing(source, target):
            calls.append(target)
            if len(calls) == 2:
                raise OSError(5, "Input/output error")
            rename(source, target)

        monkeypatch.setattr(os, "rename", failing)
        with pytest.raises(OSError, match="Input/output"):
            publish(tmp_path / "out", lambda place: (place / "new").write_text("new"), force=True)
        assert names(tmp_path) == ["out", "out/config.json"]

    def test_a_terminated_run_leaves_nothing(self, tmp_path):
        before = signal.getsignal(signal.SIGTERM)

        def fill(place):
            (place / "half").write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(SystemExit):
            publish(tmp_path / "a" / "out", fill)
        assert names(tmp_path) == [] and signal.getsignal(signal.SIGTERM) is before

    def test_a_link_is_not_followed(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real/config.json").write_text('{"spikeattn": "0"}')
        (tmp_path / "link").symlink_to("real")
        with pytest.raises(ValueError, match="with --force"):
            check_place(tmp_path / "link", force=True)
