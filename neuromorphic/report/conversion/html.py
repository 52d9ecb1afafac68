"""One self-contained page of a conversion: the style and the script of every report, and a few lines of its own."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from neuromorphic.convert.record import ConversionReport

from .. import text
from ..html import content_policy
from ..svg import figure, html_table, legend, tag
from ..table import Table
from . import charts, facts, table

MOST_ROWS = 400  # of the table of sites, so that the page stays small; layers.csv has every site


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def render(report: ConversionReport) -> str:
    """The page as text: a pure function of the report."""
    above = __package__.rpartition(".")[0]
    style, script = (_asset(above, f"page.{kind}") + _asset(__package__, f"sites.{kind}") for kind in ("css", "js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(visible=text.visible)
    return environment.from_string(_asset(__package__, "page.jinja")).render(
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        report=report,
        title=facts.title(report),
        headline=facts.headline(report),
        label=facts.label(report),
        fine_tuned=facts.is_fine_tuned(report),
        mark=facts.mark(report),
        simulation=facts.simulation(report),
        latency=facts.latency(report),
        promise=facts.PROMISE,
        same_bits=facts.same_bits(report),
        choices=facts.choices(report),
        doubts=facts.gathered(report),
        figures=figures(report),
        purity=facts.purity(report),
        bounds=facts.bounds(report),
        purity_table=_optional(table.purity(report), "purity"),
        theoretical=facts.THEORETICAL,
        pays=facts.pays(report),
        scores=_optional(table.scores(report)),
        early=facts.early(report),
        trials_title=facts.trials_title(report),
        costs=table.costs(report),
        circumstances=table.circumstances(report),
        prefix=charts.prefix(report),
        drawn=min(len(report.layers), charts.MOST_SITES),
        **_charts(report),
        **_sites(report),
    )


def figures(report: ConversionReport) -> list[tuple[str, str, str]]:
    """The numbers under the headline: what, how much, and what to know beside it."""
    found = []
    if report.metric_snn:
        metric = report.metric_snn.metric
        beside = f"ANN {facts.value(metric, report.metric_ann.value)}" if report.metric_ann else ""
        found.append((metric, facts.value(metric, report.metric_snn.value), beside))
    if report.difference:
        found.append(("difference", facts.change(report.difference.metric, report.difference.value),
                      f"95 %: {facts.interval(report.difference, facts.change)}"))
    if report.fidelity:
        found.append((report.fidelity.kind, facts.near(report.fidelity),
                      f"with the ANN, {report.fidelity.samples:,} samples"))
    if report.spikes_per_value is not None:
        found.append(("spikes per value", f"{report.spikes_per_value:.2f}", "mean over the coded sites"))
    found.append(("latency", f"{report.latency_steps:,} steps", f"T = {report.timesteps}, {report.stages} stages"))
    if report.purity:
        found.append(("float-free", facts.share(report.purity.float_free), "between stem and read-out"))
    return found


def _charts(report: ConversionReport) -> dict[str, Markup | None]:
    """Each figure with its numbers; where there is nothing to draw the table alone, or None."""
    return {
        "sweep": _drawn(charts.sweep(report), table.sweep(report), "Score over T"),
        "ablation": _drawn(charts.ablation(report), table.ablation(report), "Difference to the ANN"),
        "energy": _energy(report),
    }


def _drawn(drawing: Markup | None, numbers: Table | None, label: str) -> Markup | None:
    """The table stands open below its chart: these numbers are the result."""
    if numbers is None:
        return None
    chart = Markup() if drawing is None else _chart(drawing, label)
    return tag("figure", chart, html_table(numbers, "sortable"))


def _chart(drawing: Markup, label: str) -> Markup:
    return tag("div", drawing, class_="chart", role="group", aria_label=text.visible(label))


def _energy(report: ConversionReport) -> Markup | None:
    if not report.energy:
        return None
    panels = [tag("div", tag("h4", one.profile), _chart(charts.energy(one), f"Energy under {one.profile}"))
              for one in report.energy]
    return tag("figure", *panels, html_table(table.energy(report)))


def _sites(report: ConversionReport) -> dict:
    numbers = table.sites(report)
    kept = Table(numbers.columns, numbers.rows[:MOST_ROWS])
    key = legend((("op-mac", "relative error of the value against the ANN"),
                  ("op-shift", "share of values outside of the range")))
    drawing = figure(charts.sites(report), kept, "Error and saturation of every site", key=key)
    return {"sites": drawing if report.layers else None, "left_out": max(0, len(numbers.rows) - MOST_ROWS)}


def _optional(data: Table | None, style: str = "") -> Markup | None:
    return html_table(data, style) if data else None
