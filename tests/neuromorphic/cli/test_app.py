"""Exit codes, one line of error, help with an example, and verbs that import torch only when they run."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import neuromorphic.cli
from neuromorphic.cli.app import app

VERBS = [("demo",), ("models",), ("train",), ("convert",), ("evaluate",), ("import-checkpoint",), ("energy",),
         ("energy", "report"), ("energy", "compare"), ("energy", "profiles")]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_has_an_example(spikeattn, verb):
    outcome = spikeattn(*verb, "--help")
    assert outcome.code == 0 and "Example: spikeattn" in outcome.out and outcome.err == ""
    if verb != ("energy",):
        assert "--json" in outcome.out


def test_no_verb_is_wrong_usage_and_shows_the_verbs(spikeattn):
    outcome = spikeattn()
    assert outcome.code == 2 and "energy" in outcome.out


@pytest.mark.parametrize(("words", "part"), [
    (("fly",), "fly"),
    (("demo", "--fast"), "--fast"),
    (("demo", "--epochs", "0"), "epochs"),
    (("models", "nothing*"), "no model's name matches"),
    (("energy", "spikingformer_tinny"), "Did you mean spikingformer_tiny"),
    (("energy", "spikingformer_tiny", "--profile", "horowitz45_fp23"), "Did you mean horowitz45_fp32"),
    (("energy", "spikingformer_tiny", "--data", "digit"), "Did you mean digits"),
    (("energy", "vit_tiny", "vit_tiny"), "given once"),
    (("energy", "compare", "a.json", "b.json"), "a.json does not exist"),
    (("energy",), "Missing"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_wrong_usage_is_one_line_and_2(spikeattn, words, part):
    outcome = spikeattn(*words)
    assert outcome.code == 2 and outcome.out == ""
    assert len(outcome.err.splitlines()) == 1 and outcome.err.startswith("spikeattn: ") and part in outcome.err


def test_a_failure_is_one_line_and_1(spikeattn, tmp_path):
    (tmp_path / "config.json").write_text("{")
    outcome = spikeattn("energy", tmp_path)
    assert outcome.code == 1 and outcome.out == "" and len(outcome.err.splitlines()) == 1
    (tmp_path / "report.json").write_text("{}")
    assert spikeattn("energy", "compare", tmp_path, tmp_path).code == 1


def test_debug_shows_the_traceback_wherever_it_stands(spikeattn, tmp_path):
    (tmp_path / "report.json").write_text("{}")
    words = ("energy", "compare", tmp_path, tmp_path)
    for outcome in (spikeattn("--debug", *words), spikeattn(*words, "--debug")):
        assert outcome.code == 1 and "Traceback" in outcome.err and "spikeattn: " in outcome.err


def test_keyboard_is_130_and_one_line(spikeattn, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("neuromorphic.cli.models.describe", stopped)
    outcome = spikeattn("models", "*_tiny")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "spikeattn: stopped from the keyboard\n")


def test_a_warning_is_one_line_on_standard_error(spikeattn, monkeypatch):
    import warnings

    def warn(name):
        warnings.warn("first\nsecond", stacklevel=1)
        return {"name": name}

    monkeypatch.setattr("neuromorphic.cli.models.describe", warn)
    outcome = spikeattn("models", "spikingformer_tiny", "--json")
    assert outcome.err == "spikeattn: warning: first\n" and '"spikingformer_tiny"' in outcome.out


def test_as_a_process():
    command = [sys.executable, "-c", "import sys; from neuromorphic.cli import main; sys.exit(main())"]
    wrong = subprocess.run([*command, "energy", "nonesuch"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2 and wrong.stdout == "" and len(wrong.stderr.splitlines()) == 1
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize("path", sorted(Path(neuromorphic.cli.__file__).parent.glob("*.py")), ids=lambda p: p.stem)
def test_verbs_import_torch_only_when_they_run(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        modules = ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                   else [node.module] if isinstance(node, ast.ImportFrom) else [])
        heavy = {m for m in modules if m.split(".")[0] in ("torch", "numpy", "scipy", "spikeattn", "sklearn")
                 or (m.startswith("neuromorphic") and not m.startswith("neuromorphic.cli"))}
        assert not heavy


def test_every_verb_is_registered():
    registered = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert registered == {verb[0] for verb in VERBS}
