"""The charts of a conversion: score over T, ablation, error and saturation of every site, energy beside the ANN."""

import os.path

from markupsafe import Markup

from neuromorphic.convert.record import ConversionReport, Energy, Site, Trial

from .. import svg, text
from ..charts import span
from ..charts.plane import Axis, Line, Point, ticks
from ..charts.plane import draw as draw_plane
from . import facts
from .table import is_reported, natural

MOST_SITES = 80


def _scored(trials: tuple[Trial, ...]) -> list[Trial]:
    return [trial for trial in trials if trial.score is not None]


def _scale(metric: str) -> float:
    """What a score is multiplied by to be shown."""
    return 100.0 if facts.is_share(metric) else 1.0


def sweep(report: ConversionReport) -> Markup | None:
    """Score of separate conversions over T with the intervals of their differences, and the ANN as a dashed line."""
    found = [trial for trial in _scored(report.sweep) if isinstance(facts.steps(trial), int)]
    if len(found) < 2:
        return None
    metric, by = found[0].score.metric, _scale(found[0].score.metric)
    steps, own = [facts.steps(trial) for trial in found], [is_reported(trial, report) for trial in found]
    ann = report.metric_ann.value * by if report.metric_ann else None
    ranges = [_interval(trial, report, by) for trial in found]
    seen = [trial.score.value * by for trial in found] + [end for ends in ranges if ends for end in ends]
    y = _axis(seen + ([ann] if ann is not None else []), f"{metric}{' [%]' if by == 100 else ''}")
    across = "spikes read of one conversion" if facts.early(report) else "T: each point is a conversion of its own"
    x = Axis(across, max(steps) + 0.4, tuple((float(step), str(step)) for step in sorted(set(steps))),
             min(steps) - 0.4)
    lines = []
    if ann is not None:
        lines.append(Line((x.begin, ann), (x.end, ann), "even",
                          f"ANN: {facts.value(metric, report.metric_ann.value)}"))
    places = sorted(zip(steps, (trial.score.value * by for trial in found), strict=True))
    lines += [Line(here, there, "series-0 thin", "from one point to the next")
              for here, there in zip(places, places[1:], strict=False)]
    lines += [Line((step, ends[0]), (step, ends[1]), "series-0 thin", _words(trial))
              for step, ends, trial in zip(steps, ranges, found, strict=True) if ends]
    points = [Point(step, trial.score.value * by,
                    facts.value(metric, trial.score.value) if here else "", "series-0", _words(trial), hollow=not here)
              for step, here, trial in zip(steps, own, found, strict=True)]
    return draw_plane(x, y, lines, points, 240)


def _interval(trial: Trial, report: ConversionReport, by: float) -> tuple[float, float] | None:
    """The interval of the difference, laid around the ANN's score."""
    difference = trial.difference
    if report.metric_ann is None or difference is None or difference.low is None or difference.high is None:
        return None
    return tuple((report.metric_ann.value + end) * by for end in (difference.low, difference.high))


def _axis(seen: list[float], title: str) -> Axis:
    low, high = min(seen), max(seen)
    margin = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
    begin, end = low - margin, high + margin
    return Axis(title, end, tuple((value, f"{value:g}") for value in ticks(end, begin=begin)), begin)


def _words(trial: Trial) -> str:
    """What the tooltip of a trial says."""
    parts = [trial.name]
    if trial.score:
        parts.append(f"{trial.score.metric} {facts.value(trial.score.metric, trial.score.value)}")
    if trial.difference:
        between = facts.interval(trial.difference, facts.change)
        parts.append(f"{facts.change(trial.difference.metric, trial.difference.value)} to the ANN"
                     + (f" ({between})" if between != text.NOTHING else ""))
    if trial.fidelity:
        parts.append(facts.fidelity(trial.fidelity))
    if trial.spikes is not None:
        parts.append(f"{trial.spikes:.2f} spikes per value")
    return ", ".join(parts)


def ablation(report: ConversionReport) -> Markup | None:
    """Difference to the ANN of every trial with its interval; the line is no difference."""
    found = [trial for trial in report.ablation if trial.difference is not None]
    if not found:
        return None
    metric, by = found[0].difference.metric, _scale(found[0].difference.metric)
    seen = [0.0] + [value * by for trial in found for value in
                    (trial.difference.value, trial.difference.low, trial.difference.high) if value is not None]
    axis = _axis(seen, f"difference to the ANN in {'points' if by == 100 else metric}")
    rows = []
    for trial in found:
        low, high = trial.difference.low, trial.difference.high
        between = f"95 % interval {facts.interval(trial.difference, facts.change)}"
        reaches = () if low is None or high is None else (span.Reach(low * by, high * by, "reach-interval", between),)
        rows.append(span.Row(trial.name, reaches, (span.Dot(trial.difference.value * by, "plain", _words(trial)),),
                             facts.change(metric, trial.difference.value)))
    return span.draw(axis, rows, 0.0, "Difference to the ANN with parts kept exact")


def energy(one: Energy) -> Markup:
    """The converted network, the ANN in fp32 and the ANN in int8 under one profile."""
    networks = (("spiking", one.snn_mj, "op-ac", one.lower_bound), ("ANN fp32", one.ann_fp32_mj, "op-mac", False),
                ("ANN int8", one.ann_int8_mj, "op-mul", False))
    bars = []
    for index, (name, mj, style, bounded) in enumerate(networks):
        shown = ("≥ " if bounded else "") + text.energy(mj * 1e9)
        beside = f" · spiking {facts.ratio(one, mj)}" if index and mj else ""
        bars.append(svg.Bar(name, (svg.Part(mj, style, shown),), shown + beside, emphasis=not index))
    return svg.stacked_bars(bars, f"Energy per sample, {one.profile}", "wide")


def sites(report: ConversionReport) -> Markup:
    """Relative error and saturation of every site by path, of very many the worst; the script reorders them."""
    chosen = worst_first(report.layers)[:MOST_SITES]
    order = sorted(chosen, key=lambda site: natural(site.path))
    most_error = max((facts.error(site) or 0.0 for site in order), default=0.0) or 1.0
    most_saturation = max((facts.saturation(site) for site in order), default=0.0) or 1.0
    place, without = {site.path: index for index, site in enumerate(order)}, len(prefix(report))
    rank = [place[site.path] for site in chosen]
    head = svg.tag("div", svg.tag("span", "site"), svg.tag("span", "relative error", class_="site-measure"),
                   svg.tag("span", "values outside of the range", class_="site-measure"), class_="row site head",
                   aria_hidden="true")
    rows = (_site(site, site.path[without:], most_error, most_saturation) for site in order)
    return svg.tag("div", head, *rows, class_="bars sites", role="list",
                   aria_label="Relative error and saturation of every coded site", data_worst=",".join(map(str, rank)))


def worst_first(layers: tuple[Site, ...]) -> list[Site]:
    """The largest relative error first; sites without one by saturation, at the end."""
    return sorted(layers, key=lambda site: (facts.error(site) is None, -(facts.error(site) or 0.0),
                                            -facts.saturation(site), natural(site.path)))


def prefix(report: ConversionReport) -> str:
    """The dotted beginning that all sites share; the chart leaves it out."""
    shared = os.path.commonprefix([site.path for site in report.layers])
    return shared[: shared.rfind(".") + 1]


def _site(site: Site, label: str, most_error: float, most_saturation: float) -> Markup:
    error, outside = facts.error(site), facts.saturation(site)
    style = "op-rare" if facts.exceeds(site) else "op-mac"
    return svg.tag(
        "div", svg.tag("span", label, class_="row-label", title=text.visible(site.path)),
        _measure("relative error", error, most_error, style),
        svg.tag("span", text.percent(error, 2), class_="row-value"),
        _measure("outside of the range", outside, most_saturation, "op-shift"),
        svg.tag("span", text.percent(outside, 2), class_="row-value"),
        class_="row site", role="listitem", data_row=text.visible(site.path))


def _measure(name: str, value: float | None, most: float, style: str) -> Markup:
    words = f"{name} {text.percent(value, 3)}"
    marks = [svg.tag("rect", svg.tag("title", words), x="0%", width=svg.percent(value / most), class_=style)
             ] if value else []
    return svg.tag("svg", *marks, class_="bar", role="img", aria_label=words)
