"""One self-contained page: no network, every name escaped, one style sheet and one script allowed by their hashes."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from neuromorphic.energy import Profile

from . import charts, facts, latex, rates, table, text
from .charts import parts
from .markdown import summary_markdown
from .record import Entry, Report
from .svg import figure, html_table, packed, tag

NOTHING_HERE = Markup('<p class="fine">These prices give no such figure.</p>')


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def render(report: Report) -> str:
    """The page as text: a pure function of the report."""
    style, script = _asset("page.css"), _asset("page.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(visible=text.visible)
    return environment.from_string(_asset("page.jinja")).render(
        report=report,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        disclaimer=facts.disclaimer(report.bills),
        left_out=facts.left_out(report.bills),
        headline=_together(facts.headline(report)),
        interval=_together(facts.interval(report) or ""),
        warnings=facts.warnings(report),
        summary=html_table(table.summary(report), "sortable summary"),
        definitions=table.summary(report).columns,
        baselines=_optional(table.dense_baselines(report)),
        constants=_panels(report.profiles,
                          lambda profile: html_table(table.constants(report, profile.name), "sources")),
        rules=facts.rules(report),
        entries=[_entry(report, entry) for entry in report.entries],
        lead=report.lead.label,
        ratios=report.baseline.label if report.baseline else None,
        skipping_words="An ANN on hardware that skips products with a zero activation pays for the rest only; memory "
        "is left out, on both sides. " + charts.zero_skipping.words(report),
        statistics=_panels(report.profiles, lambda profile: _statistics(report, profile)),
        measured=[sentence for entry in report.entries if (sentence := facts.measured(entry))],
        provenance=facts.provenance(report),
        markdown=summary_markdown(report),
        latex=latex.summary_latex(report),
        **_figures(report),
    )


def _figures(report: Report) -> dict:
    """The figures that speak of several models; None where there is nothing to draw."""
    spread, even = report.span, charts.break_even.draw(report)
    return {
        "sources": spread and charts.interval.sources(spread),
        "spread": spread and figure(charts.interval.draw(spread), charts.interval.numbers(spread),
                                    "Energy under every verified profile and reuse model", key=charts.interval.key()),
        "memory": _panels(report.profiles, lambda profile: _memory(report, profile)),
        "comparison": _panels(report.profiles, lambda profile: _comparison(report, profile)),
        "break_even": even and figure(even, charts.break_even.numbers(report), "Energy ratio against firing rate × T",
                                      key=charts.break_even.key(report)),
        "even_with_memory": _optional(charts.break_even.with_memory(report)),
        "zero_skipping": _panels(report.profiles, lambda profile: _zero_skipping(report, profile)),
        "pareto": _panels(report.profiles, lambda profile: _pareto(report, profile)),
        "shiftmax": _panels(report.profiles, lambda profile: _shiftmax(report, profile)),
        "sensitivity": _panels(report.profiles, lambda profile: _sensitivity(report, profile)),
    }


def _panels(profiles: Sequence[Profile], make: Callable[[Profile], Markup | None]) -> Markup | None:
    """One figure for each profile, of which the page's script shows the chosen one; None where none has a figure.

    The first stands in the page, the others are packed.
    """
    made = [(index, profile, make(profile)) for index, profile in enumerate(profiles)]
    if not any(drawing for _, _, drawing in made):
        return None
    first, *others = (
        tag("div", tag("h4", f"{profile.title} · {profile.name}"), drawing or NOTHING_HERE, class_="by-profile",
            data_profile=index) for index, profile, drawing in made)
    return first + packed(Markup("").join(others))


def _memory(report: Report, profile: Profile) -> Markup | None:
    bill = report.lead.bill(profile.name)
    rows = charts.memory.rows(report.lead, profile, bill.rule) if bill else []
    return figure(charts.memory.draw(rows, profile), charts.memory.numbers(rows, profile), "Energy with memory",
                  key=charts.memory.key(rows, profile)) + tag(
        "p", charts.memory.memories(profile), class_="fine") if rows else None


def _comparison(report: Report, profile: Profile) -> Markup | None:
    bills = [bill for entry in report.entries if (bill := entry.bill(profile.name))]
    return bills and figure(charts.comparison.draw(report, profile), charts.comparison.numbers(report, profile),
                            "Energy of every model by what it goes into", key=parts.key(bills))


def _zero_skipping(report: Report, profile: Profile) -> Markup | None:
    drawing = charts.zero_skipping.draw(report, profile)
    return drawing and figure(drawing, charts.zero_skipping.numbers(report, profile),
                              "Energy of a dense ANN that skips zeros", key=charts.zero_skipping.key(report, profile))


def _pareto(report: Report, profile: Profile) -> Markup | None:
    drawing = charts.pareto.draw(report, profile)
    return drawing and figure(drawing, charts.pareto.numbers(report, profile), "Accuracy against energy")


def _shiftmax(report: Report, profile: Profile) -> Markup | None:
    drawing = charts.shiftmax.draw(report, profile)
    return drawing and figure(drawing, charts.shiftmax.numbers(report, profile), "Energy of Shiftmax and Score × V",
                              key=charts.shiftmax.key())


def _sensitivity(report: Report, profile: Profile) -> Markup | None:
    bill = report.lead.bill(profile.name)
    found = charts.sensitivity.variations(report.lead, bill) if bill else ()
    drawing = charts.sensitivity.draw(bill, found) if bill else None
    return drawing and figure(drawing, charts.sensitivity.numbers(bill, found), "What the energy hangs on",
                              key=charts.sensitivity.key())


def _statistics(report: Report, profile: Profile) -> Markup | None:
    """The table of means; in words below it, or alone where only checkpoints are compared."""
    numbers, sentences = table.statistics(report, profile.name), facts.statistics(report, profile.name)
    if not sentences:
        return None
    words = tag("ul", *(tag("li", text.visible(sentence, 2000)) for sentence in sentences), class_="fine after")
    return html_table(numbers) + tag("details", tag("summary", "In words"), words) if numbers else words


def _together(sentence: str) -> str:
    """The sentence with every number kept on one line with its unit and its sign."""
    return re.sub(r"(?<=[0-9]) (?=[pnµm]?[Jm]\b|%)|(?<=[≥≤≈]) ", "\N{NO-BREAK SPACE}", sentence)


def content_policy(style: str, script: str) -> str:
    """Nothing is loaded; the only style and the only script are those with these hashes.

    >>> content_policy("", "")[:38]
    "default-src 'none'; style-src 'sha256-"
    """
    return (f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _entry(report: Report, entry: Entry) -> dict:
    spikes, twin, uncovered = entry.ledger.emissions, entry.role != "model", len(entry.ledger.coverage.uncovered)
    return {
        "label": entry.label,
        "about": _about(entry),
        "bars": _panels(report.profiles, lambda profile: _layers(entry, profile)),
        "twin": twin,
        "rates": None if twin else _optional(rates.rates(entry, entry.bills[0]), "sortable names"),
        "rates_at": entry.bills[0].profile.name,
        "traced": _traced(entry),
        "firing": figure(charts.firing.draw(entry), charts.firing.numbers(entry), "Firing rates by layer and step")
        if spikes and not twin else None,
        "scale": text.percent(charts.firing.brightest(entry), 0) if spikes else None,
        "quiet": sum(emission.silent_units for emission in spikes),
        "busy": sum(emission.saturated_units for emission in spikes),
        "neurons": sum(emission.units for emission in spikes),
        "layers": None if twin else _panels(report.profiles, lambda profile: html_table(
            table.layers(entry, profile.name), "sortable names")),
        "coverage": None if twin and not uncovered else html_table(table.coverage(entry), "sortable names"),
        "fraction": text.percent(entry.ledger.coverage.fraction, 2),
        "uncovered": uncovered,
        "unpriced": _optional(table.unpriced(entry)),
        "prefix": charts.layers.common_prefix(entry),
        "grouped": charts.layers.grouped(entry),
        "rates_grouped": charts.firing.grouped(entry),
    }


def _layers(entry: Entry, profile: Profile) -> Markup | None:
    bill = entry.bill(profile.name)
    numbers = None if entry.role == "model" else charts.layers.numbers(entry, bill) if bill else None
    return bill and figure(charts.layers.draw(entry, bill), numbers, "Energy by layer", key=parts.key([bill]))


def _about(entry: Entry) -> str:
    model, samples = entry.model, entry.ledger.samples
    attention = f", attention {model.attention}" if model.attention else ""
    known = f"{entry.training or 'training unknown'}; {facts.accuracy(entry)}"
    how = "a table of layers, not traced"
    if _traced(entry):
        how = (f"input {' × '.join(map(str, model.input_shape))}, T = {model.timesteps}, "
               f"{samples:,} sample{'' if samples == 1 else 's'} traced")
    return f"{model.name} ({model.class_name}{attention}), {how}; {known}."


def _traced(entry: Entry) -> bool:
    """Something ran, and the ledger is not a table of a paper."""
    return bool(entry.ledger.coverage.counted)


def _optional(data: table.Table | None, style: str = "") -> Markup | None:
    return html_table(data, style) if data else None
