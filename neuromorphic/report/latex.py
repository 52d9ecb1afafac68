r"""The report as LaTeX: the tables of the Markdown view as floats that \input takes, without any package.

Rules are \hline, so booktabs is not needed. Wide tables are set in \scriptsize; long ones go on in a further float.
Every name is escaped, and a letter that no standard font has is written as its code point.
"""

import unicodedata

from . import facts, rates, table, text
from .record import Report
from .table import Table

ROWS = 40  # rows of one float
LONG, WIDTH = 36, 0.3  # a column of words with more letters than this is broken at this share of the line
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
    return f"[U+{ord(letter):04X}]"


def latex_table(data: Table, caption: str, label: str) -> str:
    """One float, or several where rows are many."""
    parts = [data.rows[begin : begin + ROWS] for begin in range(0, len(data.rows), ROWS)] or [()]
    return "\n\n".join(_float(data, rows, caption if not index else f"{caption} (continued)",
                              label if not index else f"{label}-{index + 1}") for index, rows in enumerate(parts))


def _float(data: Table, rows, caption: str, label: str) -> str:
    size = r"\scriptsize" if len(data.columns) > 5 else r"\small"
    longest = [max((len(row[index].text) for row in data.rows), default=0) for index in range(len(data.columns))]
    columns = "".join("r" if column.number else "l" if letters <= LONG else rf"p{{{WIDTH}\textwidth}}"
                      for column, letters in zip(data.columns, longest, strict=True))
    head = " & ".join(_heading(column.heading, column.number) for column in data.columns)
    body = [" & ".join(escape(cell.text) for cell in row) + r" \\" for row in rows]
    return "\n".join([r"\begin{table*}", r"\centering" + size, rf"\caption{{{escape(caption)}}}",
                      rf"\label{{tab:{label}}}", rf"\begin{{tabular}}{{{columns}}}", r"\hline", head + r" \\",
                      r"\hline", *body, r"\hline", r"\end{tabular}", r"\end{table*}"])  # fmt: skip


def _heading(heading: str, number: bool) -> str:
    """A long heading stands in two lines, as on the page."""
    first, _, rest = heading.partition(", ")
    if not rest:
        return escape(first)
    return rf"\shortstack[{'r' if number else 'l'}]{{{escape(first)}\\{escape(rest)}}}"


def summary_latex(report: Report) -> str:
    """The table for a paper, with the sentence and the constants that must stand with it as its caption."""
    caption = f"{report.title}. {facts.disclaimer(report.bills)} {prices(report)}"
    return latex_table(table.summary(report), caption, "energy")


def prices(report: Report) -> str:
    """The two constants that papers give, for every profile that has both, with source and verified flag."""
    found = [f"{p.name}: {p.title}, MAC {p.pj('MAC'):g} pJ, AC {p.pj('AC'):g} pJ, {p.source}"
             f" ({'verified' if p.verified else 'not verified'})"
             for p in report.profiles if p.pj("MAC") is not None and p.pj("AC") is not None]
    return "; ".join(found) + "." if found else "No profile in use prices both MAC and AC."


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
    return "\n\n".join(parts) + "\n"
