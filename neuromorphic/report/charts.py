"""The charts of a report: which records become which marks."""

import os.path
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from neuromorphic.energy.bill import CLASSES, Bill
from neuromorphic.ledger import Emission

from . import facts, svg, text
from .record import Entry, Report

MOST_BARS = 36  # more layers than this are drawn block by block; the table keeps every one
RARE = ("EXP", "ERF", "LOG", "SIN", "DIV", "SQRT")
LOGIC = ("CMP", "AND", "XOR", "POPCNT", "LOD")
SHARED = dict.fromkeys(RARE, "op-rare") | dict.fromkeys(LOGIC, "op-logic") | {
    "SYNOP": "op-ac", "NEURON_UPDATE": "op-neuron",
}  # fmt: skip


def style_of(operation: str) -> str:
    """The colour of a class of operation: transcendentals share one, comparisons and logic another, memory a third."""
    memory = operation.startswith(("READ_", "WRITE_"))
    return "op-memory" if memory else SHARED.get(operation, f"op-{operation.lower()}")


LEGEND = {
    "op-mac": "multiply-accumulate", "op-ac": "accumulate", "op-shift": "shift", "op-add": "add",
    "op-mul": "multiply", "op-butterfly": "FFT butterfly", "op-rare": "exp, erf, divide, root",
    "op-logic": "compare, gate, leading one", "op-neuron": "neuron update", "op-memory": "memory access",
}  # fmt: skip


def class_legend(bills: Iterable[Bill]) -> Markup:
    """The colours that occur in these bills."""
    used = {style_of(name) for bill in bills for name, mj in bill.by_class.items() if mj}
    return svg.legend([(style, name) for style, name in LEGEND.items() if style in used])


def _parts(energies_pj: dict[str, float], total: float, where: str) -> tuple[svg.Part, ...]:
    chosen = [name for name in CLASSES if energies_pj.get(name)]
    chosen.sort(key=lambda name: list(LEGEND).index(style_of(name)))
    tips = {name: f"{where} · {name}: {text.energy(energies_pj[name])}, {text.percent(energies_pj[name] / total)}"
            for name in chosen}
    return tuple(svg.Part(energies_pj[name], style_of(name), tips[name]) for name in chosen)


def comparison(report: Report) -> Markup:
    """Every model under every profile, each bar divided by class of operation."""
    groups = []
    for profile in report.profiles:
        found = [(entry, bill) for entry in report.entries if (bill := entry.bill(profile.name))]
        groups.append((f"{profile.title} · {profile.name}", [_model_bar(report, e, bill) for e, bill in found]))
    return svg.grouped_bars(groups)


def _model_bar(report: Report, entry: Entry, bill: Bill) -> svg.Bar:
    total = facts.total_pj(bill)
    energies = {name: mj * facts.PJ_PER_MJ for name, mj in bill.by_class.items()}
    factor = facts.ratio_to_baseline(report, entry, bill.profile.name)
    beside = "" if factor is None else f" · {facts.ratio_sign(report, bill)}{text.ratio(factor)}"
    return svg.Bar(entry.label, _parts(energies, total, entry.label),
                   f"{facts.bound(bill)}{text.energy(total)}{beside}", emphasis=entry is report.entries[0])


def common_prefix(entry: Entry) -> str:
    """The dotted beginning that all layer names of a model share, `module.backbone.` for instance; often empty."""
    names = [line.layer for line in entry.bills[0].lines] + [emission.scope for emission in entry.ledger.emissions]
    shared = os.path.commonprefix(names)
    return shared[: shared.rfind(".") + 1]


def block_of(layer: str) -> str:
    """The block that a layer belongs to: `blocks.3.attn.q` is in `blocks.3`, `stem.conv` in `stem`.

    >>> block_of("blocks.3.attn.q"), block_of("stem.conv")
    ('blocks.3', 'stem')
    """
    pieces = layer.split(".")
    last = max((i for i, piece in enumerate(pieces[:3]) if piece.isdigit()), default=0)
    return ".".join(pieces[: last + 1])


def by_layer(entry: Entry) -> Markup:
    """Energy of each layer under every profile, divided by class of operation; by block where layers are many."""
    panels = [_layer_energies(bill, common_prefix(entry), together=grouped(entry)) for bill in entry.bills]
    costly = [layer for layer in panels[0] if any(sum(panel[layer].values()) > 0 for panel in panels)]
    headings = [f"{bill.profile.title} · {bill.profile.name}" for bill in entry.bills]
    return svg.parallel_bars(headings, [_layer_bars(panel, costly) for panel in panels])


def grouped(entry: Entry) -> bool:
    """Whether the layers are so many that they are drawn block by block."""
    return len(entry.bills[0].by_layer) > MOST_BARS


def _layer_energies(bill: Bill, prefix: str, together: bool) -> dict[str, dict[str, float]]:
    layers: dict[str, dict[str, float]] = {}
    for (layer, operation), mj in bill.by_layer_class.items():
        short = layer.removeprefix(prefix)
        energies = layers.setdefault(block_of(short) if together else short, {})
        energies[operation] = energies.get(operation, 0.0) + mj * facts.PJ_PER_MJ
    return layers


def _layer_bars(layers: dict[str, dict[str, float]], chosen: Sequence[str]) -> list[svg.Bar]:
    totals = {layer: sum(layers[layer].values()) for layer in chosen}
    unit, size = text.energy_unit(totals.values())
    return [svg.Bar(layer or "(model)", _parts(layers[layer], totals[layer], layer or "(model)"),
                    f"{text.significant(totals[layer] / size)} {unit}") for layer in chosen]


def firing(entry: Entry) -> Markup:
    """Share of +1 and of -1 spikes for each neuron layer and time step."""
    emissions = entry.ledger.emissions
    steps = max(emission.steps for emission in emissions)
    rates = [rate for e in emissions for rate in (*e.positive_rates, *e.negative_rates)]
    return svg.heat_map([_heat_row(emission, common_prefix(entry)) for emission in emissions], steps, brightest(rates))


def brightest(rates: Sequence[float]) -> float:
    """The end of the colour scale: the next of 10, 20, 50 and 100 % above every rate.

    >>> brightest([0.02, 0.31])
    0.5
    """
    return next((end for end in (0.1, 0.2, 0.5) if max(rates, default=0.0) <= end), 1.0)


def _heat_row(emission: Emission, prefix: str) -> svg.HeatRow:
    signed = emission.alphabet in ("ternary", "signed_graded") or any(emission.negative)
    note = f" ({emission.neuron}, {emission.alphabet}, {text.count(emission.units)} neurons)"
    return svg.HeatRow(emission.scope.removeprefix(prefix) or "(model)", emission.positive_rates,
                       emission.negative_rates if signed else (), text.percent(emission.rate), note)


def firing_scale(entry: Entry) -> float:
    return brightest([r for e in entry.ledger.emissions for r in (*e.positive_rates, *e.negative_rates)])


def break_even(report: Report) -> Markup | None:
    """Energy ratio to the model's own dense ANN against rho T, one line for each profile, measured points.

        ratio = rho T * E_AC / E_MAC    the arithmetic limit: nothing but accumulates
    """
    lines = [(profile, limit) for profile in report.profiles if (limit := facts.break_even(profile))]
    measured = [(entry, bill, driven) for entry in report.entries for bill in entry.bills
                if bill.ratio is not None and (driven := facts.rate_times_steps(entry.ledger)) is not None]
    if not lines or not measured:
        return None
    x_end = 1.08 * max([limit for _, limit in lines] + [driven for _, _, driven in measured])
    y_end = 1.15 * max([1.0] + [bill.ratio for _, bill, _ in measured])
    styles = {profile.name: f"series-{index % 4}" for index, profile in enumerate(report.profiles)}
    x = svg.Axis("firing rate × T (accumulates per dense multiply-accumulate)", x_end,
                 tuple((value, f"{value:g}") for value in svg.ticks(x_end)))
    y = svg.Axis("energy ÷ own dense ANN", y_end, tuple((value, f"{value:g}") for value in svg.ticks(y_end)))
    drawn = [svg.Line((0, 1), (x_end, 1), "even", "ratio 1: as expensive as the dense ANN")]
    for profile, limit in lines:
        top = min(x_end, y_end * limit)
        drawn.append(svg.Line((0, 0), (top, top / limit), styles[profile.name],
                              f"{profile.name}: accumulates only; even at ρT = {text.significant(limit)}"))
        if limit <= x_end:
            drawn.append(svg.Line((limit, 0), (limit, 1), f"drop {styles[profile.name]}",
                                  f"{profile.name}: break-even at ρT = {text.significant(limit)}"))
    points = [svg.Point(driven, bill.ratio, entry.label, styles[bill.profile.name],
                        f"{entry.label}, {bill.profile.name}: ρT {text.significant(driven)}, "
                        f"ratio {text.significant(bill.ratio)}") for entry, bill, driven in measured]
    key = svg.legend([(styles[p.name], f"{p.name}: even at ρT = {text.significant(limit)}") for p, limit in lines])
    return key + svg.line_chart(x, y, drawn, points)
