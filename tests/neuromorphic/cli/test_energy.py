"""`spikeattn energy`."""

import json
import math
from pathlib import Path

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
    shown = spikeattn("energy", "compare", written, written).out
    assert "1.00 ×" in shown and "Theoretical arithmetic energy, not measured joules." in shown


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


@pytest.mark.parametrize("profile", ["loihi1_presilicon", "lemaire2022_qualia", "lemaire2022_sj", "step_mem"])
def test_report_at_any_profile(spikeattn, profile, tmp_path):
    outcome = spikeattn("energy", "spikingformer_tiny", *FEW, "--profile", profile, "--out", tmp_path)
    assert outcome.code == 0 and profile in outcome.out
    bill = read((tmp_path / "report.json").read_text(encoding="utf-8")).entries[0].bills[0]
    assert bill.profile.name == profile and bill.total_mj > 0
    assert bill.profile.model in ((tmp_path / "report.json").read_text(encoding="utf-8"))
    memory = "Theoretical energy of arithmetic and memory, not measured joules."
    files = [(tmp_path / name).read_text(encoding="utf-8") for name in ("report.md", "report.html")]
    for place in (outcome.out, *files, spikeattn("energy", "compare", tmp_path, tmp_path).out):
        assert memory in " ".join(place.split()) and "arithmetic energy" not in place


def test_per_sample_says_how_sure_the_numbers_are(spikeattn):
    words = ("energy", "spikingformer_tiny", "vit_tiny", *FEW, "--profile", "horowitz45_fp32", "--json")
    plain, each = json.loads(spikeattn(*words).out), json.loads(spikeattn(*words, "--per-sample").out)
    for one, other in zip(each["entries"], plain["entries"], strict=True):
        assert one["bills"] == other["bills"] and one["samples"] == other["samples"]
    spreads = [note for note in each["notes"] if note not in plain["notes"]]
    assert len(spreads) == 3 and all("95 % interval" in note for note in spreads)
    assert spreads[0].startswith("spikingformer_tiny under horowitz45_fp32: ") and "of 4 samples" in spreads[0]
    assert "not settled to 1 %" in spreads[0]
    assert spreads[2].startswith("spikingformer_tiny ÷ vit_tiny") and "same 4 samples; 1 lies outside" in spreads[2]


def test_per_sample_pairs_nothing_that_saw_other_samples():
    from neuromorphic import trace_each
    from neuromorphic.cli.energy import _entry, _spread
    from neuromorphic.cli.sources import inputs, load_model

    models = [load_model(name).model for name in ("spikingformer_tiny", "vit_tiny")]
    singles = [trace_each(model, inputs(model, "noise", 3, 3)) for model in models]
    entries = tuple(_entry(name, sum(each[1:], each[0]), ["horowitz45_fp32"], None)
                    for name, each in zip(("snn", "ann"), singles, strict=True))
    assert sum("÷" in note for note in _spread(entries, singles, ["noise", "noise"])) == 1
    assert not any("÷" in note for note in _spread(entries, singles, ["noise", "digits"]))


def test_one_sample_has_no_spread(spikeattn):
    assert spikeattn("energy", "spikingformer_tiny", "--samples", "1", "--per-sample").code == 2


def test_strict_passes_where_nothing_is_missing(spikeattn):
    outcome = spikeattn("energy", "spikingformer_tiny", *FEW, "--strict", "--json")
    assert outcome.code == 0
    assert not any(bill["lower_bound"] for bill in json.loads(outcome.out)["entries"][0]["bills"])


def test_strict_fails_on_a_class_without_a_price(spikeattn, tmp_path):
    words = ("energy", "spikingformer_tiny", *FEW, "--profile", "loihi1_presilicon")
    outcome = spikeattn(*words, "--strict", "--out", tmp_path)
    assert outcome.code == 1 and (tmp_path / "report.json").is_file() and "loihi1_presilicon" in outcome.out
    error = outcome.err.splitlines()[-1]
    assert error.startswith("spikeattn: energy report: with --strict") and "no price for" in error
    assert spikeattn(*words).code == 0


def test_strict_fails_on_an_uncovered_operation(spikeattn, tmp_path, monkeypatch):
    import spikeattn as library

    library.create_model("spikingformer_tiny").save_pretrained(tmp_path)
    model_class = type(library.create_model("spikingformer_tiny"))
    plain = model_class.forward
    monkeypatch.setattr(model_class, "forward", lambda self, x: plain(self, x.clamp(1e-3, 0.9).erfinv()))
    assert spikeattn("energy", tmp_path, *FEW).code == 0
    outcome = spikeattn("energy", tmp_path, *FEW, "--strict")
    assert outcome.code == 1 and "erfinv" in outcome.err.splitlines()[-1]


ROWS = Path(__file__).parents[2] / "data" / "energy_rows.json"


def test_check_table_flags_fwformer_and_nothing_else(spikeattn):
    outcome = spikeattn("energy", "check-table", ROWS)
    assert outcome.code == 1 and "FWformer" in outcome.out and "1 in error, 0 suspicious" in outcome.out
    found = json.loads(spikeattn("energy", "check-table", ROWS, "--json").out)
    assert found["errors"] == 1 and found["constants_pj"] == {"AC": 0.9, "MAC": 4.6}
    assert [row["model"] for row in found["findings"] if row["level"] != "ok"] == ["FWformer SDSA (part)"]


def test_check_table_of_a_sound_table(spikeattn, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("model,OPs (G),Energy (mJ)\nSpikformer-8-384,6.82,7.734\n")
    assert spikeattn("energy", "check-table", table).code == 0
    assert spikeattn("energy", "check-table", table, "--profile", "horowitz45_int8_acc32").code == 1
    assert spikeattn("energy", "check-table", table, "--profile", "horowitz").code == 2
    assert spikeattn("energy", "check-table", tmp_path / "none.csv").code == 2
    table.write_text("model,OPs (G)\nA,1\n")
    failed = spikeattn("energy", "check-table", table)
    assert failed.code == 1 and failed.err.count("\n") == 1 and "column of energies" in failed.err
