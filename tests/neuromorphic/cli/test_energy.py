"""`spikeattn energy`."""

import json
import math

import pytest

from neuromorphic.cli.sources import read_training
from neuromorphic.report import read

FEW = ("--data", "noise", "--samples", "4", "--batch", "2")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report of two tiny networks, as files."""
    from neuromorphic.cli import main

    directory = tmp_path_factory.mktemp("energy")
    assert main(["energy", "spikingformer_tiny", "vit_tiny", *FEW, "--out", str(directory)]) == 0
    return directory


def test_a_bare_model_means_report(spikeattn):
    short = spikeattn("energy", "spikingformer_tiny", *FEW, "--json")
    long = spikeattn("energy", "report", "spikingformer_tiny", *FEW, "--json")
    assert short.code == long.code == 0 and short.out == long.out
    report = read(short.out)
    assert report.entries[0].ledger.samples == 4 and report.entries[0].ledger.coverage.uncovered == ()


def test_files(written):
    report = read((written / "report.json").read_text(encoding="utf-8"))
    assert [entry.label for entry in report.entries] == ["spikingformer_tiny", "vit_tiny"]
    assert report.baseline.label == "vit_tiny"
    assert any("uniform noise" in note for note in report.notes)
    assert any("not trained" in note for note in report.notes)
    assert sorted(p.name for p in written.iterdir()) == ["layers.csv", "report.html", "report.json", "report.md"]


def test_the_same_run_gives_the_same_bytes(spikeattn, written, tmp_path):
    assert spikeattn("energy", "spikingformer_tiny", "vit_tiny", *FEW, "--out", tmp_path).code == 0
    assert (tmp_path / "report.json").read_bytes() == (written / "report.json").read_bytes()


def test_compare(spikeattn, written):
    outcome = spikeattn("energy", "compare", written, written / "report.json", "--json")
    rows = json.loads(outcome.out)
    assert len(rows) == 4 and all(math.isclose(row["ratio"], 1.0) for row in rows)
    assert "1.00 ×" in spikeattn("energy", "compare", written, written).out


def test_profiles(spikeattn):
    rows = json.loads(spikeattn("energy", "profiles", "--json").out)
    prices = {row["name"]: row["prices_pj"] for row in rows}
    assert prices["horowitz45_fp32"]["MAC"] == 4.6 and prices["horowitz45_int8_acc32"]["AC"] == 0.1
    assert "horowitz45_fp32" in spikeattn("energy", "profiles").out


def test_a_saved_model(spikeattn, tmp_path):
    import spikeattn as library

    library.create_model("spikingformer_tiny").save_pretrained(tmp_path / "mine")
    outcome = spikeattn("energy", tmp_path / "mine", *FEW, "--json")
    entry = json.loads(outcome.out)["entries"][0]
    assert entry["label"] == "mine" and entry["training"] is None
    assert any("training unknown" in warning for warning in json.loads(outcome.out)["warnings"])
    assert spikeattn("energy", tmp_path / "mine", "--attention", "bsa").code == 2


def test_training_is_read_from_the_recipe(tmp_path):
    from spikeattn.train import Recipe

    assert read_training(tmp_path) is None
    (tmp_path / "recipe.json").write_text(json.dumps(Recipe().to_dict()))
    assert read_training(tmp_path) == f"trained on digits for {Recipe().schedule.epochs} epochs, seed 0"
