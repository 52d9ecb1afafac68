"""`spikeattn train` and `spikeattn evaluate`, as a user meets them."""

import json

import pytest

from neuromorphic.cli import main
from spikeattn.train.config import flags

RECIPE = """
[model]
name = "vit_tiny"
[data]
batch_size = 128
[schedule]
epochs = 1
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "quick.toml"
    path.write_text(RECIPE)
    return path


def test_train_then_evaluate_agree(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", str(recipe), "--optimiser.lr", "0.02", "--seed=4", "--out", str(out), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["finished"] and trained["test_count"] == 359 and trained["epochs"] == 1
    kept = json.loads((out / "recipe.json").read_text())
    assert kept["optimiser"]["lr"] == 0.02 and kept["seed"] == 4 and kept["model"]["name"] == "vit_tiny"
    assert {path.name for path in (out / "last").iterdir()} == {"config.json", "model.safetensors", "README.md"}

    assert main(["evaluate", str(out), "--data", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["correct"] == trained["test_correct"] and found["count"] == 359
    assert sum(of for _, of in found["classes"].values()) == 359
    assert main(["evaluate", str(out / "last"), "--data", "digits"]) == 0
    assert f"({found['correct']} of 359)" in capsys.readouterr().out


def test_a_limited_run_says_how_to_continue(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", str(recipe), "--out", str(out), "--limit-minutes", "1e-9"]
    assert main(words) == 0
    assert "--resume" in capsys.readouterr().err
    assert main(words) == 1
    assert "must not hold a run already" in capsys.readouterr().err
    assert main(["train", str(recipe), "--out", str(out), "--resume"]) == 0
    assert "test accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("words, text", [
    (["--optimiser.lrr", "1"], "Did you mean optimiser.lr"),
    (["--optimiser.lr"], "--optimiser.lr needs a value"),
    (["--optimiser.lr", "fast"], "must be of type float"),
    (["stray"], "'stray' is not expected here"),
])
def test_wrong_fields_are_wrong_usage(recipe, capsys, words, text):
    assert main(["train", str(recipe), *words]) == 2
    error = capsys.readouterr().err
    assert text in error and len(error.strip().splitlines()) == 1


def test_a_wrong_recipe_is_wrong_usage(tmp_path, capsys):
    (tmp_path / "r.toml").write_text("[optimizer]\nlr = 1\n")
    assert main(["train", str(tmp_path / "r.toml")]) == 2
    assert "Did you mean optimiser" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "absent.toml")]) == 2


def test_help_lists_every_field(capsys):
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example: spikeattn train" in shown
    assert all(f"--{flag.name}" in shown for flag in flags())


@pytest.mark.parametrize("words, code, text", [
    (["evaluate", "{tmp}/absent", "--data", "digits"], 2, "is not a directory with a saved model"),
    (["evaluate", "{tmp}", "--data", "digits"], 1, "config.json is missing"),
    (["evaluate", "{tmp}", "--data", "digit"], 2, "Did you mean digits"),
    (["evaluate", "{tmp}", "--data", "digits", "--split", "all"], 2, "must be test or train"),
    (["evaluate", "{tmp}"], 2, "--data"),
])
def test_evaluate_names_what_is_wrong(tmp_path, capsys, words, code, text):
    assert main([word.format(tmp=tmp_path) for word in words]) == code
    error = capsys.readouterr().err
    assert text in error and len(error.strip().splitlines()) == 1


def test_a_truncated_model_is_one_line(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", str(recipe), "--out", str(out)]) == 0
    weights = out / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    capsys.readouterr()
    assert main(["evaluate", str(out), "--data", "digits"]) == 1
    error = capsys.readouterr().err
    assert "must be a complete safetensors file" in error and len(error.strip().splitlines()) == 1
