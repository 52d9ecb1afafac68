"""`spikeattn demo`, with one epoch and few pictures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import spikeattn.data
from neuromorphic.cli import demo as verb
from neuromorphic.report import read
from spikeattn.train import Recipe


@pytest.fixture
def few_pictures(monkeypatch):
    """The digits with 128 training pictures; the test set stays, since the fresh process loads it too."""
    splits = spikeattn.data.load("digits")
    few = replace(splits, train=splits.train.select(torch.arange(128)))
    monkeypatch.setattr(spikeattn.data, "load", lambda name: few)


@pytest.mark.parametrize(("label", "file"), [("BSA", "bsa"), ("SSA", "ssa"), ("softmax ANN", "softmax_ann"),
                                             ("CAT ANN", "cat_ann")])
def test_the_demo_follows_the_recipe_files(label, file):
    recipes = Path(__file__).parents[3] / "recipes"
    assert verb.recipe_of(label, seed=0) == Recipe.read(recipes / f"digits_{file}.toml")


@pytest.mark.slow
def test_the_whole_demo(spikeattn, few_pictures, tmp_path):
    threads = torch.get_num_threads()
    outcome = spikeattn("demo", "--epochs", "1", "--out", tmp_path, "--json")
    assert outcome.code == 0 and torch.get_num_threads() == threads
    said = json.loads(outcome.out)
    assert said["reloaded_bit_for_bit"] is True
    report = read((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [entry.label for entry in report.entries] == list(verb.NETWORKS)
    assert report.baseline.label == "softmax ANN"
    assert "One seed (0)" in report.notes[0]
    for entry in report.entries:
        assert entry.ledger.coverage.uncovered == () and entry.ledger.samples == 359
        assert entry.accuracy == entry.model.accuracy  # counted twice, by evaluation and by trace
    assert any(any(e.negative) for e in report.entries[0].ledger.emissions)
    assert not any(any(e.negative) for e in report.entries[1].ledger.emissions)
    assert (tmp_path / "bsa_model" / "recipe.json").is_file()


@pytest.mark.slow
def test_a_changed_weight_does_not_pass_for_the_same(few_pictures, tmp_path):
    splits = spikeattn.data.load("digits")
    model = spikeattn.create_model("spikingformer_tiny").eval()
    model.save_pretrained(tmp_path)
    assert verb.same_in_a_fresh_process(model, tmp_path, splits)
    with torch.no_grad():
        model.head.bias[0] += 1e-6
    assert not verb.same_in_a_fresh_process(model, tmp_path, splits)


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_one_clear_error(few_pictures, tmp_path):
    model = spikeattn.create_model("spikingformer_tiny")
    with pytest.raises(RuntimeError, match="a fresh process must load"):
        verb.same_in_a_fresh_process(model, tmp_path, spikeattn.data.load("digits"))
