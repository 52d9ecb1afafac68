"""The report as Markdown: definitions first, then tables that can go into a paper as they are."""

from . import facts, table, text
from .record import Report
from .table import Table

ESCAPED = {letter: "\\" + letter for letter in "\\`*_{}[]()#+!|~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def escape(name: str) -> str:
    """Text that Markdown shows as it is: no pipe ends a cell, no bracket begins a link, no angle a tag.

    >>> escape("attn|q <b>")
    'attn\\\\|q &lt;b&gt;'
    """
    return "".join(ESCAPED.get(letter, letter) for letter in text.visible(name, 2000))


def markdown_table(data: Table) -> str:
    """A pipe table, numbers right-aligned."""
    rows = [[column.heading for column in data.columns]] + [[cell.text for cell in row] for row in data.rows]
    cells = [[escape(value) for value in row] for row in rows]
    rule = ["---:" if column.number else ":---" for column in data.columns]
    return "\n".join("| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:]))


def summary_markdown(report: Report) -> str:
    """The paper-ready table with the sentence that must stand below it."""
    profiles = "; ".join(f"{p.name}: {p.title}, MAC {p.pj('MAC'):g} pJ, AC {p.pj('AC'):g} pJ, {p.source}"
                         for p in report.profiles if p.pj("MAC") is not None and p.pj("AC") is not None)
    below = f"{facts.disclaimer(report.profiles)} {profiles}."
    return f"{markdown_table(table.summary(report))}\n\n{escape(below)}\n"


def render(report: Report) -> str:
    """The whole report as Markdown."""
    parts = [f"# {escape(report.title)}", escape(facts.headline(report))]
    parts += [escape(spread)] if (spread := facts.interval(report)) else []
    parts += [f"**{escape(facts.disclaimer(report.profiles))}**"]
    parts += [_list([*report.notes])] if report.notes else []
    doubts = facts.warnings(report)
    parts += ["## Read with care", _list(doubts)] if doubts else []
    parts += ["## Columns", _list([f"{c.heading}: {c.definition}" for c in table.summary(report).columns])]
    parts += ["## Models side by side", summary_markdown(report).rstrip()]
    if dense := table.dense_baselines(report):
        parts += ["## The same layers as a dense ANN, per sample", markdown_table(dense)]
    if shiftmax := table.shiftmax(report):
        parts += ["## The price of Shiftmax, per sample", markdown_table(shiftmax)]
    for entry in report.entries:
        parts += [f"## {escape(entry.label)}: layers, per sample", markdown_table(table.layers(entry)),
                  f"Coverage {text.percent(entry.ledger.coverage.fraction, 2)}.", markdown_table(table.coverage(entry))]
    parts += ["## How operations were counted", _list([f"{name}: {value}" for name, value in facts.rules(report)])]
    parts += ["## Prices and their sources", markdown_table(table.constants(report))]
    return "\n\n".join(parts) + "\n"


def _list(sentences: list[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)
