"""The parts of a bar: arithmetic by class of operation, neurons, memory; and the colour of each."""

from collections.abc import Iterable, Mapping

from markupsafe import Markup

from neuromorphic.energy.bill import Bill, Line

from .. import svg, text

RARE = ("EXP", "ERF", "LOG", "SIN", "DIV", "SQRT", "LOOKUP")
LOGIC = ("CMP", "AND", "XOR", "POPCNT", "LOD")
SHARED = dict.fromkeys(RARE, "op-rare") | dict.fromkeys(LOGIC, "op-logic") | {
    "SYNOP": "op-ac", "NEURON_UPDATE": "op-neuron",
}  # fmt: skip
LEGEND = {
    "op-mac": "multiply-accumulate", "op-ac": "accumulate", "op-shift": "shift", "op-add": "add",
    "op-mul": "multiply", "op-butterfly": "FFT butterfly", "op-rare": "exp, erf, divide, root, table",
    "op-logic": "compare, gate, leading one", "op-neuron": "neurons", "op-memory": "memory", "op-leakage": "leakage",
}  # fmt: skip
ORDER = list(LEGEND)
GROUPS = {"compute": ORDER[:-3], "neurons": ["op-neuron"], "memory and leakage": ["op-memory", "op-leakage"]}


def style_of(line: Line) -> str:
    """The part that a line belongs to: whatever a neuron does is one part, whatever memory does another."""
    if line.part != "compute":
        return f"op-{line.part}"
    return SHARED.get(line.operation, f"op-{line.operation.lower()}")


def energies(lines: Iterable[Line], samples: int) -> dict[str, float]:
    """pJ per sample of every part."""
    found: dict[str, float] = {}
    for line in lines:
        style = style_of(line)
        found[style] = found.get(style, 0.0) + line.total_pj / samples
    return {style: found[style] for style in sorted(found, key=ORDER.index)}


def drawn(parts: Mapping[str, float]) -> tuple[svg.Part, ...]:
    """The parts of one bar; a tip names the part, its energy and its share of the bar. The row is named by the page."""
    total = sum(parts.values())
    return tuple(svg.Part(pj, style, f"{LEGEND[style]}: {text.exact(pj)}, {text.percent(pj / total)}")
                 for style, pj in parts.items() if pj)


def key(bills: Iterable[Bill]) -> Markup:
    """The colours that occur in these bills."""
    used = {style_of(line) for bill in bills for line in bill.lines if line.total_pj}
    return svg.legend([(style, name) for style, name in LEGEND.items() if style in used])


def grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """pJ of compute, neurons and memory."""
    return {name: sum(parts.get(style, 0.0) for style in styles) for name, styles in GROUPS.items()}
