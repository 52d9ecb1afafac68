"""The LaTeX view: balanced, complete, and no name begins a command."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from neuromorphic import energy
from neuromorphic.report import Entry, Report, latex, table
from neuromorphic.report.table import Cell, Column, Table

HOSTILE = ["\\input{/etc/passwd}", "a}b{c", "50 % & more", "$x^2_1$", "#1~2", "\\end{tabular}\\write18{rm}", "^^M", "%",
           "é ρ ÷ \u4e2d \u202e", "[opt]", "--- ?` !` '' \"", "*", "\\\\", "a\nb", "|x|<y>", "\u4e2d first"]
ALLOWED = set(re.findall("[A-Za-z]+", """
    allowbreak approx begin caption cdot centering char circ clearpage div end gamma geq hline infty label
    ldots leq mu par pm raggedright rho rightarrow rule scriptsize setlength Sigma smallskip tabcolsep tabularnewline
    textasciicircum textasciitilde textbackslash textbar textgreater textless times vskip"""))


def bare(text: str) -> str:
    """Without escaped letters and comments: what is left of \\ { } $ & % # _ ^ ~ means something to LaTeX."""
    return re.sub(r"\\[\\{}$&#%_]", "", re.sub(r"(?m)^%.*$", "", text))


def check(text: str) -> None:
    """Groups, mathematics and environments are closed, and every command is one of ours."""
    depth = 0
    for letter in bare(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0 and bare(text).count("$") % 2 == 0
    opened = re.findall(r"\\begin\{(.*?)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(.*?)\}", text)) and set(opened) == {"table*", "tabular"}
    assert set(re.findall(r"\\([a-zA-Z]+)", bare(text))) <= ALLOWED
    assert not set(bare(text)) & set("#%") and text.isprintable() is False  # it has line ends
    assert not re.search(r"(\\tabularnewline|\\\\)\s*\[", text)  # which would be an argument of it


def columns(text: str) -> int:
    """Of the tables that go on from each other, the repeated first one counted once; each row has a cell for each."""
    found = 1
    for part in text.split("\n\n"):
        body = part[part.index(r"\hline") : part.rindex(r"\hline")]
        cells = {len(re.split(r"(?<!\\)&", row)) for row in body.split("\\tabularnewline\n") if row.strip()}
        assert len(cells) == 1
        found += cells.pop() - 1
    return found


def test_balanced_with_a_cell_for_every_column(report):
    text = latex.render(report)
    check(text)
    summary = latex.summary_latex(report)
    assert columns(summary) == len(table.summary(report).columns) and summary.count(r"\begin{table*}") == 1
    assert summary.count("\\tabularnewline") == 1 + len(report.entries)


def test_it_says_what_the_markdown_says(report):
    text = latex.render(report)
    for part in ("MAC 4.6 pJ, AC 0.9 pJ", "Theoretical arithmetic energy, not measured joules", "(verified)",
                 "which rate multiplies which operation", "The same layers as a dense ANN", "Every price in use"):
        assert part in text
    assert "booktabs" not in text and r"\toprule" not in text


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_names_are_text(hostile, payload):
    text = latex.render(hostile(payload))
    check(text)
    assert columns(latex.summary_latex(hostile(payload))) == len(table.summary(hostile("net")).columns)


def test_long_words_are_broken_and_numbers_stand_right(report):
    prices = latex.latex_table(table.constants(report), "prices", "prices")
    assert re.search(r"\\begin\{tabular\}\{lp\{\d+pt\}rlp\{\d+pt\}\}", prices)
    assert r"horowitz45\_fp32 &" in prices  # a column that finds room is not broken
    names = Table((Column("layer", "", number=False), Column("n", "")), ((Cell("a.b_c" * 30), Cell("1.5")),))
    text = latex.latex_table(names, "", "x")
    assert r"a.\allowbreak{}b\_\allowbreak{}ca." in text and "& 1.5 " in text
    assert r"\begin{tabular}{lrrrrr" in latex.summary_latex(report)


def test_columns_without_room_go_on_in_another_float():
    columns = (Column("model", "", number=False), *(Column(f"energy, p{index}", "") for index in range(30)))
    text = latex.latex_table(Table(columns, ((Cell("net"), *[Cell("1,234.5")] * 30),)), "wide", "wide")
    parts = text.split("\n\n")
    assert len(parts) > 2 and all("net & 1,234.5" in part for part in parts)
    assert sum(part.count("1,234.5") for part in parts) == 30 and text.count("wide (continued)") == len(parts) - 1


def test_profiles_are_numbered_below_the_table(report):
    text = latex.summary_latex(report)
    assert "(1) horowitz45\\_fp32: 45 nm, fp32, MAC 4.6 pJ" in text and "(2) horowitz45\\_int8\\_acc32" in text
    assert text.index("(2) {[}") < text.index("end{tabular}\n\\par") < text.index("(1) horowitz45")


def test_letters_no_font_has_are_written_as_code_points():
    assert latex.escape("中é") == "{[}U+4E2D{]}é"


def test_long_tables_go_on_in_another_float(spiking):
    from neuromorphic.report import rates

    entry = spiking("deep", bipolar=True, blocks=10)
    data = rates.rates(entry, entry.bills[0])
    text = latex.latex_table(data, "deep", "deep")
    assert len(data.rows) == 61 and text.count(r"\begin{table*}") > 1 and "deep (continued)" in text
    assert text.count("blocks.") == 60
    check(latex.render(Report((entry,))))


DOCUMENT = """\\documentclass{article}
\\setlength{\\textwidth}{5.5in}\\setlength{\\textheight}{9in}
\\begin{document}
%s
\\end{document}
"""


def compiled(body: str, place: Path) -> str:
    """What TeX says of a document with this body; skips where there is no TeX."""
    program = shutil.which("pdflatex") or shutil.which("lualatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("no TeX here; braces, commands and cells are checked by the tests above")
    (place / "a.tex").write_text(DOCUMENT % body, encoding="utf-8")
    options = [] if program.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([program, *options, "a.tex"], cwd=place, capture_output=True, text=True, errors="replace",
                          timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (place / "a.pdf").stat().st_size > 1000
    return done.stdout + done.stderr


@pytest.mark.parametrize("payload", [*HOSTILE, "".join(HOSTILE)], ids=range(len(HOSTILE) + 1))
def test_a_tex_sets_hostile_names(hostile, payload, tmp_path):
    compiled(latex.render(hostile(payload)), tmp_path)


def test_a_tex_sets_tables_that_fit_the_page(report, spiking, tmp_path):
    """Every profile, every model and sixty layers: no table is wider or longer than the page."""
    ledger = spiking("deep", bipolar=True, blocks=10).ledger
    many = Entry("deep", tuple(energy.price(ledger, name) for name in energy.profiles()))
    for body in (latex.render(report), latex.render(Report((many, *report.entries)))):
        said = compiled(body, tmp_path)
        wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([0-9.]+)pt too wide", said)]
        assert max(wide, default=0.0) < 12 and "Float too large" not in said and "Too many unprocessed" not in said
