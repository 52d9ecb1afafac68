"""docs/explanation/conversion.md shows what benchmarks/results holds, and its numbers are those of the code."""

import importlib.util
import re
from pathlib import Path

import pytest

from neuromorphic.energy import break_even
from spikeattn.codings import CODINGS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "conversion.md"
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("conversion_table", ROOT / "benchmarks" / "conversion" / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_stored_results(table):
    page = PAGE.read_text(encoding="utf-8")
    assert {"digits", "minilm", "refusals"} <= table.tables(RESULTS).keys()
    assert page == table.with_tables(page, RESULTS), "run: python benchmarks/run.py conversion table"


@pytest.mark.parametrize("study", ["digits", "minilm"])
def test_every_row_names_its_settings_and_where_it_ran(table, study):
    result = table.newest(RESULTS, study)
    assert {"cpu", "threads", "versions"} <= result["environment"].keys()
    assert all(len(result[key]["sha256"]) == 64 for key in ("calibration", "evaluation"))
    for row in result["rows"]:
        assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"], row["method"]
        if row["tool"] == "ours":
            assert {"floor", "weights", "normaliser"} <= row["settings"].keys()
            assert row["same_bits_samples"] > 0 and "X7" not in row["purity"]["classes"]


def test_codes_of_one_grid_give_one_result(table):
    """Rate at T = 40 and ternary at T = 4 have 81 levels: the same predictions, other spikes."""
    rows = {(row["method"], row["timesteps"]): row for row in table.newest(RESULTS, "digits")["rows"]}
    for rate, ternary in ((4, 2), (40, 4)):
        slow, fast = rows["rate", rate], rows["ternary", ternary]
        assert slow["levels"] == fast["levels"]
        assert (slow["score"], slow["fidelity"]) == (fast["score"], fast["fidelity"])
        assert slow["spikes_per_value"] > fast["spikes_per_value"]


def test_the_table_of_codes_is_that_of_the_codings():
    page = PAGE.read_text(encoding="utf-8")
    for name, coding in CODINGS.items():
        (row,) = re.findall(rf"^\| `{name}`.*$", page, re.MULTILINE)
        if coding.graded:
            assert "not unit spikes" in row
        else:
            assert f"{2 * coding.levels(4) + 1} levels" in row and f"| {coding.base} |" in row


def test_the_break_even_points_are_those_of_the_profiles():
    page = PAGE.read_text(encoding="utf-8")
    assert f"{break_even('horowitz45_fp32'):.1f} against fp32" in page
    assert f"{break_even('horowitz45_int8_acc32'):.1f} against int8" in page


def test_every_step_brings_the_sentence_encoder_nearer(table):
    near = [trial["fidelity"]["mean"] for trial in table.newest(RESULTS, "minilm_sweep")["report"]["sweep"]]
    assert near[:6] == sorted(set(near[:6])) and len(near) == 8


def test_the_floor_is_for_other_text(table):
    """Check 16b of the reference: fewer sentences go astray, and text like the calibration's loses little."""
    rows = {(row["data"].split()[0], row["parts"].split()[0], row["floor"]): row
            for row in table.newest(RESULTS, "minilm_shift")["rows"]}
    assert rows["every", "functions", 0.0]["below_0.98"] >= 5 and rows["every", "functions", 0.25]["below_0.98"] <= 4
    alike = rows["held-out", "functions", 0.0]["fidelity"]
    assert alike["mean"] >= 0.998 and alike["smallest"] >= 0.98
