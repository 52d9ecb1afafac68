"""The report on a terminal: definitions first, then the table, then what to be careful about."""

import sys

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from . import facts, table, text
from .charts.sensitivity import setting
from .record import Report
from .table import Cell, Column, Table
from .text import visible

PIPE_WIDTH = 160
LONGEST = 4000  # letters of one sentence; a warning names every layer that it speaks of


def rich_table(data: Table, title: str = "") -> RichTable:
    """A table whose cells are shown as they are: no markup, no control characters."""
    shown = RichTable(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in data.columns:
        heading = visible(column.heading).replace(", ", "\n", 1)
        shown.add_column(Text(heading), justify="right" if column.number else "left", overflow="fold",
                         no_wrap=column.number, vertical="bottom")
    for index, row in enumerate(data.rows):
        shown.add_row(*(Text(visible(cell.text)) for cell in row), style="bold" if index == data.highlight else "")
    return shown


def turned(data: Table) -> Table:
    """The table with rows and columns exchanged, for a narrow terminal; the first column gives the headings."""
    columns = (data.columns[0], *(Column(row[0].text, "") for row in data.rows))
    rows = tuple((Cell(column.heading), *(row[index] for row in data.rows))
                 for index, column in enumerate(data.columns) if index)
    return Table(columns, rows)


def fitting(data: Table, console: Console, title: str = "") -> RichTable:
    """The table as it is where it fits on the console, else with rows and columns exchanged."""
    wide = rich_table(data, title)
    fits = Measurement.get(console, console.options.update(width=10_000), wide).maximum <= console.width
    return wide if fits else rich_table(turned(data), title)


def render(report: Report, console: Console) -> RenderableType:
    """What fits on a screen."""
    data = table.summary(report)
    parts: list[RenderableType] = [Text(visible(report.title), style="bold"), Text("")]
    parts += [Text(f"{visible(c.heading)}: {visible(c.definition)}", style="dim") for c in data.columns[1:]]
    parts += [Text(""), fitting(data, console), Text("")]
    if dense := table.dense_baselines(report):
        parts += [fitting(dense, console, "The same layers as a dense ANN, per sample"), Text("")]
    if shiftmax := table.shiftmax(report):
        parts += [rich_table(shiftmax, "The price of Shiftmax, per sample"), Text("")]
    sentences = [facts.headline(report), facts.interval(report), facts.disclaimer(report.bills)]
    parts += [Text(visible(sentence, LONGEST)) for sentence in sentences if sentence]
    parts += [Text(visible(sentence, LONGEST)) for sentence in facts.statistics(report) + facts.zero_skipping(report)]
    if moved := hangs_on(report):
        prices = report.lead.bills[0].profile.name
        parts += [Text(""), Text(f"One assumption changed, prices of {prices}", style="bold")]
        parts += [Text(visible(sentence, LONGEST)) for sentence in moved] + [Text("")]
    parts += [Text(f"Note: {visible(note, LONGEST)}") for note in report.notes]
    parts += [Text(f"Warning: {visible(warning, LONGEST)}", style="yellow") for warning in facts.warnings(report)]
    if watts := [sentence for entry in report.entries if (sentence := facts.measured(entry))]:
        parts += [Text(""), Text("Measured, and not the theoretical energy above", style="bold")]
        parts += [Text(visible(sentence, LONGEST)) for sentence in watts]
    parts += [Text(""), *(Text(f"{visible(what)}: {visible(said, LONGEST)}", style="dim")
                          for what, said in facts.provenance(report))]
    return Group(*parts)


def hangs_on(report: Report) -> list[str]:
    """How far the lead's energy moves with each assumption that was varied, at the prices of its first bill."""
    lead, found = report.lead, []
    for what in dict.fromkeys(one.what for one in report.lead.variations):
        ones = sorted((one for one in lead.varied(what) if one.total_mj > 0), key=lambda one: one.total_mj)
        if not ones or ones[0].total_mj == ones[-1].total_mj == lead.bills[0].total_mj:
            continue
        ends = " to ".join(f"{text.energy(one.total_mj * facts.PJ_PER_MJ)} ({setting(one)})"
                           for one in dict.fromkeys((ones[0], ones[-1])))
        guessed = ", extrapolated" if any(one.extrapolated for one in ones) else ""
        title = facts.RULES[what][0].lower() if what in facts.RULES else what
        found.append(f"{lead.label}, {title}{guessed}: {ends}")
    return found


def output(width: int = PIPE_WIDTH) -> Console:
    """Standard output: as wide as the terminal, or of a fixed width in a pipe."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=width)


def print_report(report: Report, console: Console | None = None) -> None:
    """Print to the console given, else to standard output."""
    console = console or output()
    console.print(render(report, console))
