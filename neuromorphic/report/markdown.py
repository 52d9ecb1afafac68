"""The report as Markdown: definitions first, then tables that can go into a paper as they are."""

from . import charts, facts, latex, rates, table, text
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
    """The paper-ready table with the sentence and the constants that must stand below it."""
    below = f"{facts.disclaimer(report.bills)} {latex.prices(report)}"
    return f"{markdown_table(table.summary(report))}\n\n{escape(below)}\n"


def render(report: Report) -> str:
    """The whole report as Markdown."""
    parts = [f"# {escape(report.title)}", escape(facts.headline(report))]
    parts += [escape(spread)] if (spread := facts.interval(report)) else []
    parts += [f"**{escape(facts.disclaimer(report.bills))}**"]
    parts += [_list([*report.notes])] if report.notes else []
    doubts = facts.warnings(report)
    parts += ["## Read with care", _list(doubts)] if doubts else []
    parts += ["## Columns", _list([f"{c.heading}: {c.definition}" for c in table.summary(report).columns])]
    parts += ["## Models side by side", summary_markdown(report).rstrip()]
    if dense := table.dense_baselines(report):
        parts += ["## The same layers as a dense ANN, per sample", markdown_table(dense)]
    if shiftmax := table.shiftmax(report):
        parts += ["## The price of Shiftmax, per sample", markdown_table(shiftmax)]
    even = charts.break_even.numbers(report)
    parts += ["## When spikes pay", markdown_table(even)] if even.rows else []
    if stored := charts.break_even.with_memory(report):
        parts += ["### With memory, in closed form", markdown_table(stored)]
    parts += _hangs_on(report)
    if sure := table.statistics(report):
        parts += ["## How sure the means are", markdown_table(sure)]
    parts += [_list(facts.statistics(report))] if report.seeds or sure else []
    for entry in report.entries:
        bill = entry.bills[0]
        if products := rates.rates(entry, bill):
            prices = escape(bill.profile.name)
            parts += [f"## {escape(entry.label)}: which rate multiplies which operation, at {prices}",
                      markdown_table(products)]
        parts += [f"## {escape(entry.label)}: layers, per sample", markdown_table(table.layers(entry)),
                  f"Coverage {text.percent(entry.ledger.coverage.fraction, 2)}.", markdown_table(table.coverage(entry))]
        if lacking := table.unpriced(entry):
            parts += [f"## {escape(entry.label)}: without a price, so that totals are lower bounds",
                      markdown_table(lacking)]
    parts += ["## How operations were counted", _list([f"{name}: {value}" for name, value in facts.rules(report)])]
    parts += ["## Prices and their sources", markdown_table(table.constants(report)),
              _list([f"{p.name}: {p.title}, {p.node_nm} nm, {p.date}; {p.source}; "
                     f"{'verified' if p.verified else 'not verified'}." for p in report.profiles])]
    if joules := [sentence for entry in report.entries if (sentence := facts.measured(entry))]:
        parts += ["## Measured joules, apart from every theoretical figure", _list(joules)]
    parts += ["## Where this report comes from",
              _list([f"{what}: {words}" for what, words in facts.provenance(report)])]
    return "\n\n".join(parts) + "\n"


def _hangs_on(report: Report) -> list[str]:
    """The lead in every setting of the interval, and with one assumption changed at a time."""
    parts, lead = [], report.lead
    if report.span:
        parts += [f"## {escape(lead.label)} under every verified profile and reuse model",
                  markdown_table(charts.interval.numbers(report.span)), escape(charts.interval.sources(report.span))]
    if found := charts.sensitivity.variations(lead, lead.bills[0]):
        parts += [f"## What the number hangs on, at {escape(lead.bills[0].profile.name)}",
                  markdown_table(charts.sensitivity.numbers(lead.bills[0], found))]
    return parts


def _list(sentences: list[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)
