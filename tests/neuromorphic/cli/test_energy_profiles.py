"""`spikeattn energy`: built-in prices, and the user's own."""

import json
import math

import pytest

from neuromorphic import energy
from neuromorphic.report import Entry, facts, read

ALONE = ("--data", "noise", "--samples", "4", "--batch", "2", "--no-twins", "--no-sensitivity")


def test_profiles(spikeattn):
    rows = json.loads(spikeattn("energy", "profiles", "--json").out)
    prices = {row["name"]: row["prices_pj"] for row in rows}
    assert prices["horowitz45_fp32"]["MAC"] == 4.6 and prices["horowitz45_int8_acc32"]["AC"] == 0.1
    assert "horowitz45_fp32" in spikeattn("energy", "profiles").out


@pytest.mark.parametrize("profile", ["loihi1_presilicon", "lemaire2022_qualia", "lemaire2022_sj", "step_mem"])
def test_report_at_any_profile(spikeattn, profile, tmp_path):
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--profile", profile, "--out", tmp_path)
    assert outcome.code == 0 and profile in outcome.out
    bill = read((tmp_path / "report.json").read_text(encoding="utf-8")).entries[0].bills[0]
    assert bill.profile.name == profile and bill.total_mj > 0
    assert bill.profile.model in ((tmp_path / "report.json").read_text(encoding="utf-8"))
    memory = "Theoretical energy of arithmetic and memory, not measured joules."
    files = [(tmp_path / name).read_text(encoding="utf-8") for name in ("report.md", "report.html")]
    for place in (outcome.out, *files, spikeattn("energy", "compare", tmp_path, tmp_path).out):
        assert memory in " ".join(place.split()) and "arithmetic energy" not in place


MINE = """
name = "mine"
title = "our chip, 22 nm"
node_nm = 22
date = "2026"
source = "our data sheet, table 3"
verified = false

[prices.MAC]
pj = 1.1
source = "table 3"
verified = false

[prices.AC]
pj = 0.4
source = "table 3"
verified = false
"""


def test_a_profile_of_the_users_own(spikeattn, tmp_path):
    """Its two prices, by hand, on the counts of the same run at built-in prices; the rest makes a lower bound."""
    (tmp_path / "mine.toml").write_text(MINE)
    words = ("energy", "spikingformer_tiny", *ALONE, "--profile", tmp_path / "mine.toml")
    outcome = spikeattn(*words, "--profile", "horowitz45_fp32", "--out", tmp_path / "out")
    assert outcome.code == 0 and "our chip, 22 nm" in outcome.out
    report = read((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    mine, known = report.entries[0].bills
    assert (mine.profile.name, mine.profile.node_nm, mine.lower_bound) == ("mine", 22, True)
    expected = (1.1 * known.counts["MAC"] + 0.4 * known.counts["AC"]) / 4 * 1e-9
    assert math.isclose(mine.total_mj, expected, rel_tol=1e-12) and set(mine.by_class) >= {"MAC", "AC"}
    assert set(mine.unpriced) == set(known.counts) - {"MAC", "AC"}
    assert "our data sheet, table 3" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert any("Profile mine: its constants are not verified" in warning for warning in facts.warnings(report))
    assert spikeattn(*words, "--strict").code == 1


@pytest.mark.parametrize("text, says", [
    ("name = [", "must be valid TOML"),
    ("", "must have prices, got none"),
    (MINE.replace("1.1", "-1.1"), "pj must be finite and not negative, got -1.1"),
    (MINE.replace("1.1", '"1.1"'), "pj has the wrong type"),
    (MINE.replace("prices.AC", "prices.ACC"), "must price known classes, got 'ACC'"),
    (MINE.replace("date", "dat"), "missing ['date'], unknown ['dat']"),
    (MINE.replace('"mine"', '"horowitz45_fp32"'), "must have a name of its own"),
    ("\x89PNG\xff", "must be readable TOML"),
])  # fmt: skip
def test_a_bad_profile_is_one_line_before_anything_runs(spikeattn, tmp_path, text, says):
    (tmp_path / "mine.toml").write_bytes(text.encode("latin-1"))
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, "--profile", tmp_path / "mine.toml", "--out",
                        tmp_path / "out")
    assert outcome.code == 2 and says in outcome.err and outcome.err.count("\n") == 1 and outcome.out == ""
    assert "mine.toml" in outcome.err and not (tmp_path / "out").exists()


def test_profiles_must_differ_in_name(spikeattn, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(MINE)
    words = [word for name in ("a", "b") for word in ("--profile", tmp_path / f"{name}.toml")]
    outcome = spikeattn("energy", "spikingformer_tiny", *ALONE, *words)
    assert outcome.code == 2 and "must differ in name, got mine" in outcome.err
    assert spikeattn("energy", "spikingformer_tiny", *ALONE, "--profile", tmp_path / "none.toml").code == 2


def test_two_profiles_of_one_name_in_a_report():
    bill = energy.published("sdt", [("fc", 10, 0.5, "linear")])
    with pytest.raises(ValueError, match="profiles of 'net' must differ in name"):
        Entry("net", (bill, bill))
