"""The LaTeX view: balanced, complete, and no name begins a command."""

import re
import shutil
import subprocess

import pytest

from neuromorphic.report import latex, table

HOSTILE = ["\\input{/etc/passwd}", "a}b{c", "50 % & more", "$x^2_1$", "#1~2", "\\end{tabular}\\write18{rm}", "^^M", "%",
           "é ρ ÷ \u4e2d \u202e", "[opt]", "--- ?` !` '' \"", "*", "\\\\", "a\nb", "|x|<y>"]
ALLOWED = {"alpha", "approx", "caption", "centering", "char", "cdot", "circ", "div", "gamma", "geq", "hline", "infty",
           "label", "ldots", "leq", "mu", "pm", "rho", "rightarrow", "scriptsize", "shortstack", "small", "times",
           "Sigma", "begin", "end", "textasciicircum", "textasciitilde", "textbackslash", "textbar", "textgreater",
           "textless", "textwidth"}  # fmt: skip


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
    assert not set(bare(text).replace("[U+", "")) & set("#%") and text.isprintable() is False  # it has line ends


def cells(text: str) -> list[int]:
    """Number of cells of every row of the first table."""
    body = text.split(r"\hline")[1:-1]
    rows = [row for part in body for row in part.split("\\\\\n") if row.strip()]
    return [len(re.split(r"(?<!\\)&", row)) for row in rows]


def test_balanced_with_a_cell_for_every_column(report):
    text = latex.render(report)
    check(text)
    assert set(cells(latex.summary_latex(report))) == {len(table.summary(report).columns)}
    assert len(cells(latex.summary_latex(report))) == 1 + len(report.entries)


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
    assert set(cells(latex.summary_latex(hostile(payload)))) == {len(table.summary(hostile("net")).columns)}


def test_long_words_are_broken_and_numbers_stand_right(report):
    prices = latex.latex_table(table.constants(report), "prices", "prices")
    assert r"\begin{tabular}{lp{0.3\textwidth}rlp{0.3\textwidth}}" in prices
    assert r"\begin{tabular}{lrrrrr" in latex.summary_latex(report)


def test_letters_no_font_has_are_written_as_code_points():
    assert latex.escape("中é") == "[U+4E2D]é"


def test_long_tables_go_on_in_another_float(spiking):
    from neuromorphic.report import Report, rates

    entry = spiking("deep", bipolar=True, blocks=10)
    data = rates.rates(entry, entry.bills[0])
    text = latex.latex_table(data, "deep", "deep")
    assert len(data.rows) == 61 and text.count(r"\begin{tabular}") == 2 and "deep (continued)" in text
    assert text.count("blocks.") == 60
    check(latex.render(Report((entry,))))


def test_a_tex_sets_it(report, hostile, tmp_path):
    program = shutil.which("pdflatex") or shutil.which("lualatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("no TeX here; braces, commands and cells are checked by the tests above")
    body = latex.render(report) + latex.render(hostile("".join(HOSTILE)))
    (tmp_path / "a.tex").write_text(f"\\documentclass{{article}}\\begin{{document}}\n{body}\n\\end{{document}}\n",
                                    encoding="utf-8")
    options = [] if program.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([program, *options, "a.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
