"""`spikeattn energy`."""

import hashlib
import json
import math
from pathlib import Path

import pytest

from neuromorphic import energy
from neuromorphic.cli.sources import read_training
from neuromorphic.report import facts, read

FEW = ("--data", "noise", "--samples", "4", "--batch", "2")
ALONE = (*FEW, "--no-twins", "--no-sensitivity")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report of two tiny networks, as files."""
    from neuromorphic.cli import main

    directory = tmp_path_factory.mktemp("energy")
    assert main(["energy", "spikingformer_tiny", "vit_tiny", *ALONE, "--out", str(directory)]) == 0
    return directory


def test_a_bare_model_means_report(spikeattn):
    short = spikeattn("energy", "spikingformer_tiny", *ALONE, "--json")
    long = spikeattn("energy", "report", "spikingformer_tiny", *ALONE, "--json")
    assert short.code == long.code == 0
    report = read(short.out)
    assert report.entries == read(long.out).entries
    assert report.entries[0].ledger.samples == 4 and report.entries[0].ledger.coverage.uncovered == ()


def test_files(written):
    report = read((written / "report.json").read_text(encoding="utf-8"))
    assert [entry.label for entry in report.entries] == ["spikingformer_tiny", "vit_tiny"]
    assert report.baseline.label == "vit_tiny"
    assert any("uniform noise" in note for note in report.notes)
    assert any("not trained" in warning for warning in facts.warnings(report))
    assert sorted(p.name for p in written.iterdir()) == ["layers.csv", "report.html", "report.json", "report.md",
                                                         "report.tex"]


def test_the_same_run_gives_the_same_bytes(spikeattn, written, tmp_path):
    assert spikeattn("energy", "spikingformer_tiny", "vit_tiny", *ALONE, "--out", tmp_path).code == 0
    for file in written.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_provenance(spikeattn, written):
    report = read((written / "report.json").read_text(encoding="utf-8"))
    assert report.provenance.command == f"spikeattn energy spikingformer_tiny vit_tiny {' '.join(ALONE)}"
    data = {entry.data for entry in report.entries}
    assert len(data) == 1 and next(iter(data)).count == 4 and len(next(iter(data)).sha256) == 64
    assert all(entry.checkpoint is None for entry in report.entries)


def test_compare(spikeattn, written):
    outcome = spikeattn("energy", "compare", written, written / "report.json", "--json")
    rows = json.loads(outcome.out)
    assert len(rows) == 4 and all(math.isclose(row["ratio"], 1.0) for row in rows)
    shown = spikeattn("energy", "compare", written, written).out
    assert "1.00 ×" in shown and "Theoretical arithmetic energy, not measured joules." in shown
    assert "No class and no layer changed." in shown


def test_compare_names_what_changed(spikeattn, tmp_path):
    for attention in ("ssa", "bsa"):
        words = ("energy", "spikingformer_tiny", *ALONE, "--attention", attention, "--out", tmp_path / attention)
        assert spikeattn(*words).code == 0
    rows = json.loads(spikeattn("energy", "compare", tmp_path / "ssa", tmp_path / "bsa", "--json").out)
    for row in rows:
        assert math.isclose(math.fsum(one["b_mj"] - one["a_mj"] for one in row["classes"]), row["b_mj"] - row["a_mj"])
        assert math.isclose(math.fsum(one["b_mj"] - one["a_mj"] for one in row["layers"]), row["b_mj"] - row["a_mj"])
    assert {"SHIFT", "LOD"} <= {one["name"] for one in rows[0]["classes"]}
    shown = spikeattn("energy", "compare", tmp_path / "ssa", tmp_path / "bsa").out
    assert "class SHIFT" in shown and "layer blocks.0.attn" in shown and "not given" in shown


def test_compare_says_where_the_accounting_differs(spikeattn, written, tmp_path):
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--reuse", "ideal", "--out", tmp_path / "b")
    assert outcome.code == 0
    rows = json.loads(spikeattn("energy", "compare", written, tmp_path / "b", "--json").out)
    assert rows and all(len(row["differs"]) == 1 and row["differs"][0].startswith("Memory traffic: not charged")
                        for row in rows)
    shown = " ".join(spikeattn("energy", "compare", written, tmp_path / "b").out.split())
    assert "Not the same accounting under horowitz45_fp32: Memory traffic: not charged" in shown
    assert "Theoretical energy of arithmetic and memory" in shown
    same = json.loads(spikeattn("energy", "compare", tmp_path / "b", tmp_path / "b", "--json").out)
    assert not any(row["differs"] for row in same)
    plain = json.loads((tmp_path / "b" / "report.json").read_text(encoding="utf-8"))
    plain["profiles"]["horowitz45_fp32"]["prices"]["LOD"]["pj"] = 99.0  # of an operation that did not run
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "report.json").write_text(json.dumps(plain), encoding="utf-8")
    other = json.loads(spikeattn("energy", "compare", tmp_path / "b", tmp_path / "c", "--json").out)
    assert [row["differs"] for row in other if row["profile"] == "horowitz45_fp32"] == [
        ["price of LOD: 0.9 in A, 99.0 in B"]]


def test_compare_fails_above_a_limit(spikeattn, written):
    assert spikeattn("energy", "compare", written, written, "--fail-above", "1000").code == 0
    outcome = spikeattn("energy", "compare", written, written, "--fail-above", "1e-9")
    assert outcome.code == 1 and "1.00 ×" in outcome.out and outcome.err.count("\n") == 1
    assert "spikingformer_tiny" in outcome.err and "1e-09 mJ" in outcome.err


@pytest.mark.parametrize("damage", ["cut", "nan", "binary", "foreign", "empty"])
def test_compare_a_broken_file(spikeattn, written, tmp_path, damage):
    text = (written / "report.json").read_bytes()
    broken = {"cut": text[: len(text) // 2], "nan": text.replace(b'"total_mj": ', b'"total_mj": NaN, "was": ', 1),
              "binary": b"\x89PNG\xff\xfe", "foreign": b'{"schema": "other/1"}', "empty": b""}[damage]
    (tmp_path / "report.json").write_bytes(broken)
    outcome = spikeattn("energy", "compare", written, tmp_path)
    assert outcome.code == 1 and outcome.out == "" and outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"spikeattn: energy compare: {tmp_path / 'report.json'}: ")
    assert "Traceback" not in outcome.err
    assert spikeattn("energy", "compare", written, tmp_path / "none").code == 2


def test_a_saved_model(spikeattn, tmp_path):
    import spikeattn as library

    library.create_model("spikingformer_tiny").save_pretrained(tmp_path / "mine")
    outcome = spikeattn("energy", tmp_path / "mine", *ALONE, "--json")
    entry = json.loads(outcome.out)["entries"][0]
    assert entry["label"] == "mine" and entry["training"] is None
    weights = (tmp_path / "mine" / "model.safetensors").read_bytes()
    assert entry["checkpoint"] == {"name": "mine", "sha256": hashlib.sha256(weights).hexdigest()}
    unknown, = [warning for warning in json.loads(outcome.out)["warnings"] if "training unknown" in warning]
    assert "8 norm(s) never saw a batch: stem.convs.0.norm, " in unknown
    assert spikeattn("energy", tmp_path / "mine", "--attention", "bsa").code == 2


def test_training_is_read_from_the_recipe(tmp_path):
    from spikeattn.train import Recipe

    assert read_training(tmp_path) is None
    (tmp_path / "recipe.json").write_text(json.dumps(Recipe().to_dict()))
    assert read_training(tmp_path) == f"trained on digits for {Recipe().schedule.epochs} epochs, seed 0"


def test_statistics_by_default(spikeattn):
    words = ("energy", "spikingformer_tiny", "vit_tiny", *ALONE, "--profile", "horowitz45_fp32", "--json")
    each, whole = json.loads(spikeattn(*words).out), json.loads(spikeattn(*words, "--batched").out)
    assert each["entries"][0]["bills"] == whole["entries"][0]["bills"] and whole["statistics"] == []
    snn, ann = each["entries"]
    assert snn["samples"] == 4 and len(snn["spreads"][0]["energies_mj"]) == 4 and not snn["spreads"][0]["settled"]
    assert math.isclose(snn["spreads"][0]["statistics_mj"]["mean"], snn["bills"][0]["total_mj"])
    assert ann["samples"] == 2 and ann["spreads"][0]["settled"]  # a dense network: two samples that cost the same
    assert snn["spreads"][0]["ratio_to_baseline"]["n"] == 4
    sentences = each["statistics"]
    assert len(sentences) == 3 and "not settled to 1 %" in sentences[0] and "for each of 2 samples" in sentences[1]
    assert sentences[2].startswith("spikingformer_tiny ÷ vit_tiny") and "1 lies outside" in sentences[2]


def test_tracing_stops_when_the_energy_is_known(spikeattn):
    outcome = spikeattn("energy", "spikingformer_tiny", "--no-twins", "--no-sensitivity", "--json")
    entry, = json.loads(outcome.out)["entries"]
    assert entry["data"]["name"] == "digits" and entry["data"]["count"] == 256
    n = entry["samples"]
    spread = entry["spreads"][0]
    assert n in (32, 64, 128, 256) and n == len(spread["energies_mj"])
    assert spread["settled"] or n == 256
    assert entry["accuracy_samples"] == 256  # of all samples offered, not of the few that were traced


def test_twins_by_default(spikeattn):
    outcome = spikeattn("energy", "spikingformer_tiny", *FEW, "--no-sensitivity", "--json")
    report = read(outcome.out)
    model, *twins = report.entries
    assert [twin.role for twin in twins] == ["softmax twin", "cat twin", "bsa twin"]
    assert report.twins(model) == tuple(twins) and report.baseline is twins[0] and report.lead is model
    assert [twin.model.timesteps for twin in twins] == [1, 1, 4] and twins[2].model.attention == "bsa"
    assert all("not trained" in twin.training for twin in twins)
    found = facts.warnings(report)
    assert sum(warning.startswith("spikingformer_tiny, ") and "not trained" in warning for warning in found) == 3


def test_no_twin_of_what_was_brought_along(spikeattn):
    report = read(spikeattn("energy", "spikingformer_tiny", "vit_tiny", *FEW, "--no-sensitivity", "--json").out)
    assert [entry.role for entry in report.entries] == ["model", "model", "cat twin", "bsa twin"]
    assert report.baseline.label == "vit_tiny"


def test_sensitivity_by_default(spikeattn):
    report = read(spikeattn("energy", "spikingformer_tiny", *FEW, "--no-twins", "--json").out)
    entry, = report.entries
    assert {variation.what for variation in entry.variations} >= {"firing rate", "T", "profile", "reuse", "first_conv"}
    steps = entry.varied("T")
    assert [one.setting for one in steps] == [1, 2, 4, 8] and not any(one.extrapolated for one in steps)
    assert [one.total_mj for one in steps] == sorted(one.total_mj for one in steps)
    assert any("first 4 sample(s) only" in note for note in report.notes)


def test_reuse_charges_memory(spikeattn):
    plain, ideal, none = (
        json.loads(spikeattn("energy", "spikingformer_tiny", *ALONE, "--json", *words).out)
        for words in ((), ("--reuse", "ideal"), ("--reuse", "none")))
    totals = [one["entries"][0]["bills"][0]["total_mj"] for one in (plain, ideal, none)]
    assert totals == sorted(totals) and len(set(totals)) == 3
    assert "arithmetic and memory" in ideal["disclaimer"] and "arithmetic energy" in plain["disclaimer"]
    assert spikeattn("energy", "spikingformer_tiny", "--reuse", "idle").code == 2
    refused = spikeattn("energy", "spikingformer_tiny", "--reuse", "ideal", "--profile", "lemaire2022_sj")
    assert refused.code == 2 and "lemaire2022_sj" in refused.err


def test_zero_skipping_ann(spikeattn):
    report = read(spikeattn("energy", "spikingformer_tiny", *ALONE, "--ann", "vit_tiny", "--json").out)
    entry = report.entries[-1]
    assert entry.role == "zero-skipping ann" and entry.twin_of == "spikingformer_tiny" and not entry.spiking
    assert 0 < energy.zero_skipping(entry.ledger).density <= 1
    assert [sentence.split(" under ")[0] for sentence in facts.zero_skipping(report)] == ["vit_tiny, zeros skipped"] * 2
    assert spikeattn("energy", "spikingformer_tiny", *ALONE, "--ann", "spikformer_tiny").code == 2


def test_seeds(spikeattn, tmp_path):
    import torch

    import spikeattn as library

    for seed in (0, 1):
        torch.manual_seed(seed)
        library.create_model("spikingformer_tiny").save_pretrained(tmp_path / f"seed{seed}")
    library.create_model("spikingformer_tiny", attention="bsa").save_pretrained(tmp_path / "other")
    places = [tmp_path / name for name in ("seed0", "seed1", "other")]
    report = read(spikeattn("energy", *places, *ALONE, "--json").out)
    assert report.seeds == (("seed0", "seed1"),)
    seen = report.over_seeds(report.seeds[0], "horowitz45_fp32")
    assert seen.means == tuple(report.entry(label).bills[0].total_mj for label in ("seed0", "seed1")) and seen.sd > 0
    assert any(sentence.startswith("Over 2 checkpoints") for sentence in facts.statistics(report))
    assert spikeattn("energy", *places[:2], *ALONE, "--seeds").code == 0
    assert spikeattn("energy", *places, *ALONE, "--seeds").code == 2
    assert spikeattn("energy", places[0], *ALONE, "--seeds").code == 2


def test_fail_above_after_the_report(spikeattn, tmp_path):
    words = ("energy", "spikingformer_tiny", *ALONE)
    assert spikeattn(*words, "--fail-above", "1000").code == 0
    outcome = spikeattn(*words, "--fail-above", "1e-9", "--out", tmp_path)
    assert outcome.code == 1 and (tmp_path / "report.json").is_file()
    assert "no model may need more than 1e-09 mJ" in outcome.err.splitlines()[-1]
    assert spikeattn(*words, "--fail-above", "-1").code == 2


def test_measure_says_why_not(spikeattn):
    import torch

    if torch.cuda.is_available():
        pytest.skip("a card that can be measured is here")
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--measure", "--json")
    seen = json.loads(outcome.out)["entries"][0]["measured"]
    assert outcome.code == 0 and seen["state"] in ("no package", "no driver", "unsupported")
    assert seen["joules_per_sample"] is None and seen["reason"]


def test_a_hostile_name_of_a_directory(spikeattn, tmp_path):
    import spikeattn as library

    place = tmp_path / "=[x]\x1b[31m<b>\u202e"
    library.create_model("spikingformer_tiny").save_pretrained(place)
    outcome = spikeattn("energy", place, *FEW, "--profile", "loihi1_presilicon", "--strict", "--out", tmp_path / "out")
    assert outcome.code == 1 and not {"\x1b", "\u202e"} & set(outcome.out + outcome.err)
    table = (tmp_path / "out" / "layers.csv").read_text(encoding="utf-8")
    assert table.count("\n'=[x]") > 10 and "\n=" not in table
    report = read((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report.entries[0].label == place.name  # kept as evidence, shown with care


def test_a_place_that_cannot_be_written_is_found_before_tracing(spikeattn, tmp_path):
    (tmp_path / "file").write_text("x")
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--out", tmp_path / "file" / "deeper")
    assert outcome.code == 2 and outcome.err.count("\n") == 1 and "is a file" in outcome.err
    assert outcome.out == "" and list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_full_disk_is_one_line(spikeattn, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--out", tmp_path / "new")
    assert outcome.code == 1 and not (tmp_path / "new").exists()
    assert outcome.err.splitlines()[-1].startswith(f"spikeattn: report.write: {tmp_path / 'new'} must be a directory")


def test_strict_passes_where_nothing_is_missing(spikeattn):
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--strict", "--json")
    assert outcome.code == 0
    assert not any(bill["lower_bound"] for bill in json.loads(outcome.out)["entries"][0]["bills"])


def test_strict_fails_on_a_class_without_a_price(spikeattn, tmp_path):
    words = ("energy", "spikingformer_tiny", *ALONE, "--profile", "loihi1_presilicon")
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
    assert spikeattn("energy", tmp_path, *ALONE).code == 0
    outcome = spikeattn("energy", tmp_path, *ALONE, "--strict")
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
