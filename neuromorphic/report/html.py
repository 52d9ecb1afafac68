"""One self-contained page: no network, every name escaped, the one script allowed by its hash."""

import base64
import hashlib
import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from . import charts, facts, svg, table, text
from .markdown import summary_markdown
from .record import Entry, Report
from .table import Cell, Column, Table


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def render(report: Report) -> str:
    """The page as text: a pure function of the report."""
    script = _asset("page.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(visible=text.visible)
    return environment.from_string(_asset("page.jinja")).render(
        report=report,
        policy=content_policy(script),
        style=Markup(_asset("page.css")),
        script=Markup(script),
        disclaimer=facts.disclaimer(report.profiles),
        left_out=facts.left_out(report.profiles),
        headline=_together(facts.headline(report)),
        interval=_together(facts.interval(report) or ""),
        warnings=facts.warnings(report),
        summary=html_table(table.summary(report), "summary"),
        definitions=table.summary(report).columns,
        legend=charts.class_legend(bill for entry in report.entries for bill in entry.bills),
        comparison=charts.comparison(report),
        break_even=charts.break_even(report),
        baselines=_optional(table.dense_baselines(report)),
        shiftmax=_optional(table.shiftmax(report)),
        constants=html_table(table.constants(report), "sources"),
        rules=facts.rules(report),
        entries=[_entry(entry) for entry in report.entries],
        markdown=summary_markdown(report),
    )


def _together(sentence: str) -> str:
    """The sentence with every number kept on one line with its unit and its sign."""
    return re.sub(r"(?<=[0-9]) (?=[pnµm]?[Jm]\b|%)|(?<=[≥≤≈]) ", "\N{NO-BREAK SPACE}", sentence)


def content_policy(script: str) -> str:
    """Nothing is loaded; inline style is allowed; the only script is the one with this hash.

    >>> content_policy("")[:38]
    "default-src 'none'; style-src 'unsafe-"
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'")


def _entry(entry: Entry) -> dict:
    spikes = entry.ledger.emissions
    return {
        "label": entry.label,
        "about": _about(entry),
        "bars": charts.by_layer(entry),
        "legend": charts.class_legend(entry.bills),
        "firing": charts.firing(entry) if spikes else None,
        "scale": text.percent(charts.firing_scale(entry), 0) if spikes else None,
        "quiet": sum(emission.silent_units for emission in spikes),
        "busy": sum(emission.saturated_units for emission in spikes),
        "neurons": sum(emission.units for emission in spikes),
        "layers": html_table(table.layers(entry), "sortable"),
        "coverage": html_table(table.coverage(entry), "coverage"),
        "fraction": text.percent(entry.ledger.coverage.fraction, 2),
        "uncovered": len(entry.ledger.coverage.uncovered),
        "prefix": charts.common_prefix(entry),
        "grouped": charts.grouped(entry),
    }


def _about(entry: Entry) -> str:
    shape = " × ".join(map(str, entry.model.input_shape))
    attention = f", attention {entry.model.attention}" if entry.model.attention else ""
    return (f"{entry.model.name} ({entry.model.class_name}{attention}), input {shape}, T = {entry.model.timesteps}, "
            f"{entry.ledger.samples:,} samples traced; {entry.training or 'training unknown'}.")


def _optional(data: Table | None) -> Markup | None:
    return html_table(data) if data else None


def html_table(data: Table, style: str = "") -> Markup:
    """A table with headings that explain themselves and numbers that stand under each other."""
    head = svg.tag("tr", *(_head(column) for column in data.columns))
    body = [svg.tag("tr", *(_cell(column, cell) for column, cell in zip(data.columns, row, strict=True)),
                    class_="strong" if index == data.highlight else None) for index, row in enumerate(data.rows)]
    return svg.tag("div", svg.tag("table", svg.tag("thead", head), svg.tag("tbody", *body), class_=style or None),
                   class_="scroll", tabindex=0)


def _head(column: Column) -> Markup:
    heading, _, rest = column.heading.partition(", ")
    inside = [heading] if not rest else [heading, svg.tag("small", _breakable(rest))]
    return svg.tag("th", *inside, scope="col", title=column.definition, class_="number" if column.number else None)


def _breakable(name: str) -> Markup:
    """A name that a browser may break after an underscore."""
    return Markup("_<wbr>").join(text.visible(name).split("_"))


def _cell(column: Column, cell: Cell) -> Markup:
    """A number carries its value for sorting, and stands right by that attribute."""
    value = f"{float(cell.value):.6g}" if cell.value else None
    return svg.tag("td", cell.text, class_="number" if column.number and value is None else None, data_value=value)
