r"""The report as LaTeX: the tables of the Markdown view as floats that \input takes, without any package.

Rules are \hline, so booktabs is not needed. A float fits a line of 5.5 inches, that of NeurIPS and ICLR: names break
after a dot and an underscore, columns that find no room and rows that find no page go on in a further float.
Every name is escaped, and a letter that no standard font has is written as its code point.
"""

import re
import unicodedata
from collections.abc import Sequence
from math import ceil

from neuromorphic.energy import Profile

from . import facts, rates, table, text
from .record import Report
from .table import Cell, Column, Table

LINE, PAGE = 397.0, 50  # points of a line, lines of \scriptsize on a page that also holds a caption
LETTER, GAP = 4.0, 5.0  # points: of a letter of \scriptsize, between two columns
HEADING = 9  # letters of a line of a heading, where the column itself is narrower
NARROW, WIDE = 40.0, 180.0  # points: a column of words is no narrower, where it has as many letters, and no wider
STRUT = r"\hline\rule{0pt}{9pt}"  # a line, and some room below it
MANY = 12  # floats, after which a page is begun: LaTeX holds a limited number back
COMMANDS = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
            "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
            ">": r"\textgreater{}", "|": r"\textbar{}",
            '"': r"{\char34}", "`": r"{\char96}", "'": "{'}", "-": "{-}", "[": "{[}", "]": "{]}", "*": "{*}"}
SYMBOLS = {"ρ": r"\rho", "γ": r"\gamma", "µ": r"\mu", "μ": r"\mu", "÷": r"\div", "×": r"\times", "≥": r"\geq",
           "≤": r"\leq", "≈": r"\approx", "−": "-", "±": r"\pm", "·": r"\cdot", "→": r"\rightarrow", "Σ": r"\Sigma",
           "◦": r"\circ", "∞": r"\infty", "²": "^2", "³": "^3"}  # fmt: skip
QUOTES = {"’": "{'}", "‘": "{`}", "“": "{``}", "”": "{''}", "–": "{--}", "—": "{---}", "…": r"\ldots{}"}


def escape(name: str) -> str:
    r"""Text that LaTeX sets as it is: no command, no group, no comment, no ligature begins in it.

    >>> escape("blocks.0_q & 50 %"), escape("\\input{x}"), escape("ρT")
    ('blocks.0\\_q \\& 50 \\%', '\\textbackslash{}input\\{x\\}', '$\\rho$T')
    """
    return "".join(_letter(letter) for letter in text.visible(name, 2000))


def _letter(letter: str) -> str:
    if letter in COMMANDS:
        return COMMANDS[letter]
    if letter in SYMBOLS:
        return f"${SYMBOLS[letter]}$"
    if letter in QUOTES:
        return QUOTES[letter]
    if letter.isspace():
        return "~" if letter == "\N{NO-BREAK SPACE}" else " "
    if letter.isascii() or (ord(letter) < 0x180 and unicodedata.category(letter)[0] == "L"):
        return letter
    return f"{{[}}U+{ord(letter):04X}{{]}}"  # a bare bracket after the end of a row would be an argument of it


def latex_table(data: Table, caption: str, label: str, note: str = "") -> str:
    """One float, or several where columns or rows are many; a note, which is LaTeX, stands below the first."""
    parts = [(columns, rows) for columns in _columns(data) for rows in _pages(columns)]
    return "\n\n".join(_float(columns, rows, f"{caption} (continued)" if index else caption,
                              f"{label}-{index + 1}" if index else label, "" if index else note)
                       for index, (columns, rows) in enumerate(parts))


def _columns(data: Table) -> list[Table]:
    """The table, or as many with its first column again as find room beside each other."""
    parts, begin = [], 1
    while begin < len(data.columns):
        end = begin + 1
        while end < len(data.columns) and _least(_chosen(data, begin, end + 1)) <= LINE:
            end += 1
        parts.append(_chosen(data, begin, end))
        begin = end
    return parts or [data]


def _chosen(data: Table, begin: int, end: int) -> Table:
    return Table(data.columns[:1] + data.columns[begin:end], tuple(row[:1] + row[begin:end] for row in data.rows))


def _least(data: Table) -> float:
    """Points of the table with its columns of words as narrow as they may be."""
    natural = _natural(data)
    return sum(width if column.number else min(width, NARROW) for column, width in
               zip(data.columns, natural, strict=True)) + GAP * len(natural)


def _natural(data: Table) -> list[float]:
    """Points of each column on one line, its heading broken."""
    longest = [max((len(row[index].text) for row in data.rows), default=0) for index in range(len(data.columns))]
    return [LETTER * max(letters, *map(len, _lines(column.heading, letters)))
            for letters, column in zip(longest, data.columns, strict=True)]


def _widths(data: Table) -> list[float | None]:
    """Points of the columns of words that must break so that all find room; None for the others."""
    natural, numbers = _natural(data), [column.number for column in data.columns]
    free = LINE - GAP * len(natural) - sum(width for width, number in zip(natural, numbers, strict=True) if number)
    words = sorted(width for width, number in zip(natural, numbers, strict=True) if not number)
    for index, width in enumerate(words):  # the narrow ones get what they want, the others the same share of the rest
        if min(width, WIDE) > free / (len(words) - index):
            break
        free -= min(width, WIDE)
    else:
        return [None if number or width <= WIDE else WIDE for width, number in zip(natural, numbers, strict=True)]
    share = free / (len(words) - index)
    return [None if number or width < share else share for width, number in zip(natural, numbers, strict=True)]


def _pages(data: Table) -> list[tuple[tuple[Cell, ...], ...]]:
    """The rows that find room on a page each."""
    pages, used = [[]], 0
    widths = _widths(data)
    for row in data.rows:
        lines = max(ceil(1.2 * LETTER * len(cell.text) / width) if width else 1
                    for cell, width in zip(row, widths, strict=True))
        if pages[-1] and used + lines > PAGE:
            pages.append([])
            used = 0
        pages[-1].append(row)
        used += lines
    return [tuple(page) for page in pages]


def _float(data: Table, rows: Sequence[Sequence[Cell]], caption: str, label: str, note: str) -> str:
    widths = _widths(data)
    columns = "".join("r" if column.number else "l" if width is None else f"p{{{width:.0f}pt}}"
                      for column, width in zip(data.columns, widths, strict=True))
    longest = [max((len(row[index].text) for row in rows), default=0) for index in range(len(data.columns))]
    head = " & ".join(_heading(column, min(letters, int(width / LETTER) if width else letters))
                      for column, letters, width in zip(data.columns, longest, widths, strict=True))
    body = [" & ".join(_broken(cell.text) if width else escape(cell.text)
                       for cell, width in zip(row, widths, strict=True)) + r" \tabularnewline" for row in rows]
    below = [r"\par\smallskip\raggedright " + note] if note else []
    return "\n".join([r"\begin{table*}", r"\centering", rf"\caption{{{escape(caption)}}}", rf"\label{{tab:{label}}}",
                      rf"\vskip 6pt\scriptsize\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
                      rf"\begin{{tabular}}{{{columns}}}",
                      STRUT + head + r" \tabularnewline", STRUT + "\n".join(body), r"\hline", r"\end{tabular}", *below,
                      r"\end{table*}"])  # fmt: skip


def _broken(words: str) -> str:
    """Words of a narrow column, which may also break after an underscore and after a dot that is no decimal point."""
    return r"\raggedright " + re.sub(r"\\_|(?<![0-9])\.|\.(?![0-9])", r"\g<0>\\allowbreak{}", escape(words))


def _lines(heading: str, letters: int) -> list[str]:
    """A heading in lines of so many letters, or of HEADING; it may break at spaces and after underscores.

    >>> _lines("energy, horowitz45_fp32 [µJ]", 4), _lines("Score × V, shift only", 10)
    (['energy', 'horowitz45_', 'fp32 [µJ]'], ['Score × V', 'shift only'])
    """
    lines = [""]
    for word in re.split(r"(?<=,) (?!\[)|(?<=_)|(?<=[^,]) (?!\[)", heading):
        joint = "" if lines[-1].endswith(("_", ",")) or not lines[-1] else " "
        if not lines[-1] or lines[-1].endswith(",") or len(lines[-1] + joint + word) > max(letters, HEADING):
            lines.append(word)
        else:
            lines[-1] += joint + word
    return [line.rstrip(",") for line in lines[1:]]


def _heading(column: Column, letters: int) -> str:
    lines, side = [escape(line) for line in _lines(column.heading, letters)], "r" if column.number else "l"
    inner = rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"
    return lines[0] if len(lines) == 1 else inner


def summary_latex(report: Report) -> str:
    """The table for a paper, with the sentence and the constants that must stand with it.

    Its headings name the profiles (1), (2), ..., as the note below it does.
    """
    names = {profile.name: f"({number})" for number, profile in enumerate(report.profiles, start=1)}
    return latex_table(table.summary(report, names), f"{report.title}. {facts.disclaimer(report.bills)}", "energy",
                       " ".join(escape(f"{names[profile.name]} {_about(profile)}.") for profile in report.profiles))


def prices(report: Report) -> str:
    """The two constants that papers give, for every profile that has both, with source and verified flag."""
    found = [_about(profile) for profile in report.profiles
             if profile.pj("MAC") is not None and profile.pj("AC") is not None]
    return "; ".join(found) + "." if found else "No profile in use prices both MAC and AC."


def _about(profile: Profile) -> str:
    constants = [f"{name} {pj:g} pJ" for name in ("MAC", "AC") if (pj := profile.pj(name)) is not None]
    return (f"{profile.name}: {', '.join([profile.title, *constants, profile.source])} "
            f"({'verified' if profile.verified else 'not verified'})")


def render(report: Report) -> str:
    r"""All tables of the report, for \input into a document of any class."""
    parts = ["% Tables of an energy report. Needs no package; \\input this file, or copy the first table.",
             summary_latex(report)]
    if dense := table.dense_baselines(report):
        parts.append(latex_table(dense, "The same layers as a dense ANN, per sample", "energy-baselines"))
    if shiftmax := table.shiftmax(report):
        parts.append(latex_table(shiftmax, "The price of Shiftmax, per sample", "energy-shiftmax"))
    if sure := table.statistics(report):
        parts.append(latex_table(sure, "How sure the means are", "energy-statistics"))
    for index, entry in enumerate(report.entries):
        bill = entry.bills[0]
        if products := rates.rates(entry, bill):
            parts.append(latex_table(products, f"{entry.label}: which rate multiplies which operation, "
                                     f"at {bill.profile.name}", f"energy-rates-{index}"))
    parts.append(latex_table(table.constants(report), "Every price in use and its source", "energy-prices"))
    floats = "\n\n".join(parts).split("\n\n")
    return "\n\n\\clearpage\n\n".join("\n\n".join(floats[begin : begin + MANY])
                                      for begin in range(0, len(floats), MANY)) + "\n"
