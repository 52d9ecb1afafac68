"""A conversion as Markdown: the headline, what must be said with it, then every table."""

from collections.abc import Iterable

from neuromorphic.convert.record import ConversionReport

from ..markdown import escape, markdown_table
from ..table import Table
from . import facts, table


def render(report: ConversionReport) -> str:
    """The whole report as Markdown."""
    parts = [f"# {escape(facts.title(report))}", f"**{escape(facts.headline(report))}**",
             _list(facts.statements(report))]
    if doubts := facts.doubts(report):
        parts += ["## Read with care", _list(f"{one.where}: {one.what} {one.what_to_do}" for one in doubts)]
    parts += _section("Score", table.scores(report), facts.choices(report))
    parts += _section("Over T", table.sweep(report), facts.trials_title(report) + ".", facts.choices(report))
    parts += _section("Ablation", table.ablation(report), "Each row is a conversion of its own.", facts.choices(report))
    parts += _section("How spike-driven it is", table.purity(report), facts.bounds(report), _offenders(report))
    parts += _section("Coded sites", table.sites(report), facts.PROMISE)
    parts += _section("Energy per sample", table.energy(report), facts.THEORETICAL, facts.pays(report))
    parts += ["## Steps, memory and time", _pairs(table.costs(report)),
              "## How it was made", _pairs(table.circumstances(report))]
    return "\n\n".join(parts) + "\n"


def _section(heading: str, data: Table | None, *sentences: str | None) -> list[str]:
    if data is None or not data.rows:
        return []
    return [f"## {heading}", *(escape(sentence) for sentence in sentences if sentence), markdown_table(data)]


def _offenders(report: ConversionReport) -> str | None:
    """Why the label is not the stricter one."""
    found = report.purity.offenders if report.purity else ()
    return f"Not the stricter label because of: {'; '.join(found)}." if found else None


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)


def _pairs(pairs: list[tuple[str, str]]) -> str:
    return _list(f"{name}: {value}" for name, value in pairs)
