"""The lint of published tables: what it flags, what it lets pass, the formats and digits that it reads."""

import json
from pathlib import Path

import pytest

from neuromorphic.energy import check_table
from neuromorphic.energy.printed import Printed, column_of, read_table, table_rows

TABLE = Path(__file__).parents[2] / "data" / "energy_rows.json"


def levels(*records, profile="horowitz45_fp32") -> list[str]:
    return [finding.level for finding in check_table(records, profile)]


def one(**cells):
    (finding,) = check_table([cells])
    return finding


def test_of_all_collected_rows_only_fwformer_is_flagged():
    findings, rows = check_table(TABLE), json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    assert [finding.model for finding in findings if finding.level != "ok"] == ["FWformer SDSA (part)"]
    flagged = next(finding for finding in findings if finding.level == "error")
    assert "0.415 mJ is less than 0.9 pJ × 0.951 G" in flagged.messages[0]
    checked = [finding for finding, row in zip(findings, rows, strict=True)
               if row["ops_G"] and {"bounds", "totals"} & set(finding.checks)]
    assert len(checked) == sum(row["ops_G"] is not None for row in rows) > 20


@pytest.mark.parametrize("ops, joules, level", [
    ("1.0", "0.89", "ok"),  # 0.895 >= 0.9 * 0.95
    ("1.00", "0.89", "error"),  # 0.895 < 0.9 * 0.995
    ("1.00", "0.8", "error"),  # 0.85
    ("1.00", "0.9", "ok"),
    ("1.00", "4.62", "ok"),  # 4.615 <= 4.6 * 1.005
    ("1.00", "4.63", "error"),
    ("1.0", "4.63", "ok"),
    ("1", "6", "ok"),
    ("8.33", "38.34", "ok"),  # Transformer-8-512
    ("-", "38.34", "ok"),
])  # fmt: skip
def test_bounds_are_widened_by_the_printed_digits(ops, joules, level):
    assert levels({"OPs (G)": ops, "Energy (mJ)": joules}) == [level]


def test_bounds_of_the_declared_profile():
    row = {"OPs (G)": "1.00", "Energy (mJ)": "0.25"}
    assert levels(row) == ["error"] and levels(row, profile="horowitz45_int8_acc32") == ["ok"]
    with pytest.raises(ValueError, match="must price AC and MAC"):
        levels(row, profile="loihi1_presilicon")


def test_totals():
    assert one(AC="0.50", MAC="2.75", **{"Energy (mJ)": "13.10"}).level == "ok"
    wrong = one(AC="0.50", MAC="2.75", **{"Energy (mJ)": "12.10"})
    assert wrong.level == "error" and "0.9 pJ × 0.5 G AC + 4.6 pJ × 2.75 G MAC = 13.1 mJ" in wrong.messages[0]
    assert one(MAC="2.75", **{"Energy (mJ)": "12.10"}).level == "error"
    assert one(MAC="2.75", **{"Energy (mJ)": "13.10"}).level == "ok"
    assert one(OPs="0.10", MAC="1.00", **{"Energy (mJ)": "4.69"}).level == "ok"  # OPs are the accumulates alone


def test_rows_of_anns_are_all_macs():
    assert one(kind="ann", OPs="1.00", **{"Energy (mJ)": "4.60"}).level == "ok"
    assert one(kind="ANN", OPs="1.00", **{"Energy (mJ)": "2.00"}).level == "suspicious"
    assert one(kind="snn", OPs="1.00", **{"Energy (mJ)": "2.00"}).level == "ok"


def test_first_convolution():
    row = {"T": "4", "OPs (G)": "6.52", "Energy (mJ)": "7.46", "resolution": "224x224", "C1": "64"}
    assert one(**row).level == "ok" and "first convolution, energy" in one(**row).checks
    once = one(**row | {"Energy (mJ)": "6.27"})
    assert once.level == "suspicious" and "charged once" in once.messages[0]
    spikformer_8_384 = one(**row | {"OPs (G)": "6.82", "Energy (mJ)": "7.734", "C1": "48"})
    assert spikformer_8_384.level == "suspicious" and "would fit C1 = 64.0" in spikformer_8_384.messages[0]
    few = one(**row | {"MAC (G)": "0.0867", "Energy (mJ)": "6.27"})
    assert any("less than the first convolution × T = 0.3468 G" in message for message in few.messages)


def test_one_energy_at_two_resolutions():
    rows = [{"model": model, "T": 4, "resolution": side, "energy_mJ": "6.09"}
            for model, side in (("SDT-8-768", 224), ("SDT-8-768", 288), ("other", 384))]
    assert levels(*rows) == ["suspicious", "suspicious", "ok"]


CSV = """Method,OPs (G),Energy (uJ),Params (M)
A,0.00682,7.734,16.81
"B, strict",0.001,0.100,–
"""
MARKDOWN = """# Results
No table here | yet.

| Method | T | SOPs [G] | Power (mJ) |
|:--|--:|---|---|
| **A** | 4 | 6.82 | 7.734* |
| B \\| x | 4 | 1.0 | 0.100 |
| C | 4 | - | 3.0 |

text
"""
JSON = """{"rows": [{"model": "A", "ops_G": {"ac": 6.82}, "energy_mJ": 7.734},
                    {"model": "B", "ops_G": null, "energy_mJ": 16.30}]}"""


def test_formats(tmp_path):
    (tmp_path / "t.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "t.tsv").write_text("model\tops\tenergy\nA\t1,234.5\t2000\n")
    (tmp_path / "t.md").write_text(MARKDOWN, encoding="utf-8")
    (tmp_path / "t.json").write_text(JSON)
    a, b = read_table(tmp_path / "t.csv")
    assert (a.energy, a.ops) == (Printed(0.007734, 5e-7), Printed(0.00682, 5e-6)) and b.model == "B, strict"
    assert [f.level for f in check_table(tmp_path / "t.csv")] == ["ok", "error"]
    (row,) = read_table(tmp_path / "t.tsv")
    assert row.ops == Printed(1234.5, 0.05)
    rows = read_table(tmp_path / "t.md")
    assert [row.model for row in rows] == ["A", "B \\| x", "C"] and rows[0].steps == 4 and rows[2].ops is None
    assert [f.level for f in check_table(tmp_path / "t.md")] == ["ok", "error", "ok"]
    a, b = read_table(tmp_path / "t.json")
    assert a.ac == Printed(6.82, 0.005) and b.energy == Printed(16.3, 0.005) and b.ops is None


EUROPEAN = "Methode;OPs (G);Energy (mJ)\nA;6,82;7,734\nB;0,951;0,415\nC;1.234,5;2.000\n"


def test_a_comma_is_the_decimal_sign_where_nothing_else_will_do(tmp_path):
    (tmp_path / "t.csv").write_text(EUROPEAN)
    a, b, c = read_table(tmp_path / "t.csv")
    assert (a.ops, a.energy, b.energy) == (Printed(6.82, 0.005), Printed(7.734, 0.0005), Printed(0.415, 0.0005))
    assert (c.ops, c.energy) == (Printed(1234.5, 0.05), Printed(2000.0, 0.5))
    assert [finding.level for finding in check_table(tmp_path / "t.csv")] == ["ok", "error", "ok"]
    assert table_rows([{"energy": "12,345"}])[0].energy.value == 12345.0  # thousands, where nothing says otherwise
    assert table_rows([{"energy": "12,345"}, {"energy": "7,46"}])[0].energy.value == 12.345
    for cells in (("0,415", "1.5"), ("7,46", "1,234.5")):  # both in one table: nobody can tell
        with pytest.raises(ValueError, match="must be a number"):
            table_rows([{"energy": cell} for cell in cells])


@pytest.mark.parametrize("text, value, half", [
    ("7.46 mJ", 7.46, 0.005), ("415uJ", 0.415, 0.0005), ("4.15e2 µJ", 0.415, 0.0005), ("1.5e-3 J", 1.5, 0.05),
    ("7.46E0", 7.46, 0.005), ("1,234.50", 1234.5, 0.005), ("5.", 5.0, 0.5), (".5", 0.5, 0.05),
])  # fmt: skip
def test_numbers_with_units_and_exponents(text, value, half):
    energy = table_rows([{"Energy (mJ)": text}])[0].energy
    assert energy.value == pytest.approx(value, rel=1e-15) and energy.half_unit == pytest.approx(half, rel=1e-15)
    assert table_rows([{"Energy (pJ)": "7.46 mJ"}])[0].energy.value == 7.46


@pytest.mark.parametrize("heading, column", [
    ("Time steps (T)", ("steps", "1")), ("Energy per image (uJ)", ("energy", "1e-3")), ("GFLOPs", ("ops", "1")),
    ("#OPs (G)", ("ops", "1")), ("Energy (kJ)", None), ("Power (W)", None), ("MACs (M)", ("mac", "1e-3")),
])  # fmt: skip
def test_headings(heading, column):
    assert column_of(heading) == column


def test_a_row_may_name_its_profile(tmp_path):
    """0.25 mJ for 1 G operations: too little at 0.9 pJ, right at 0.1 to 0.3 pJ."""
    row = {"OPs (G)": "1.00", "Energy (mJ)": "0.25"}
    assert levels(row, row | {"profile": "horowitz45_int8_acc32"}) == ["error", "ok"]
    assert levels(row, row | {"profile": "horowitz45_fp32"}, profile="horowitz45_int8_acc32") == ["ok", "error"]
    (tmp_path / "t.json").write_text(json.dumps({"profile": "horowitz45_int8_acc32", "rows": [row]}))
    assert [finding.level for finding in check_table(tmp_path / "t.json")] == ["ok"]
    with pytest.raises(ValueError, match="row 1, column 'profile' must be a built-in profile.*horowitz45_fp32"):
        levels(row | {"profile": "horowitz45_fp3"})


def test_two_runs_of_one_model_differ_by_a_little():
    """Spikingformer-8-768: the README's 13.68 mJ beside the operations of a log, 0.13 % less."""
    row = {"AC": "12.5202", "MAC": "0.520225"}
    assert one(**row, **{"Energy (mJ)": "13.680"}).level == "ok"
    assert one(**row, **{"Energy (mJ)": "13.720"}).level == "error"


@pytest.mark.parametrize("name, text, says", [
    ("t.csv", "model,ops,energy_mJ\nA,6,82,7,73\n", "row 1 must have as many cells"),
    ("t.csv", "model,energy_mJ,T\nA,3,0\n", "column 'T'"),
    ("t.csv", "model,energy_mJ\nA,3 G\n", "must be a number"),
    ("t.csv", "model,energy_mJ\nA,1e400\n", "must be a number"),
    ("t.csv", "", "column of energies"),
    ("t.xlsx", "", "must be one of .csv"),
    ("t.csv", "model,ops\nA,1\n", "column of energies"),
    ("t.csv", "model,energy_mJ\nA,lots\n", "row 1, column 'energy_mJ' must be a number"),
    ("t.csv", "model,energy_mJ\nA,-3\n", "not negative"),
    ("t.csv", "model,energy_mJ\nA,nan\n", "not negative"),
    ("t.csv", "model,energy_mJ,T\nA,3,four\n", "column 'T'"),
    ("t.json", "[1, 2]", "list of records"),
    ("t.json", "{", "readable table"),
])  # fmt: skip
def test_a_bad_table_is_one_clear_error(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=says):
        check_table(tmp_path / name)


def test_a_missing_file():
    with pytest.raises(ValueError, match="readable table"):
        check_table("nowhere.csv")
