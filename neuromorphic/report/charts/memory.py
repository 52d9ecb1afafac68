"""What memory adds: a model and its own products as a dense ANN, under each reuse model, one choice for both.

    energy = arithmetic + neurons + words moved * price of the memory that holds them
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from neuromorphic.energy import REUSE, Bill, Line, Profile, Rule
from neuromorphic.energy.price import plain_bill

from .. import svg, text
from ..record import Entry
from ..table import Cell, Column, Table

LEVELS = ("mem-0", "mem-1", "mem-2", "mem-3", "mem-4")  # shades of memories, the smallest first and lightest
PARTS = {"compute": "op-mac", "neuron": "op-neuron"}
DENSE = "the same as a dense ANN"
NAMES = {"compute": "arithmetic", "neuron": "neurons"}


def _bills(entry: Entry, profile: Profile, rule: Rule) -> Iterator[tuple[str, Bill]]:
    """A bill for each reuse model; none where the profile has no memory or the ledger no sizes."""
    if profile.memory is None or profile.model != "operations" or not entry.ledger.rows:
        return
    for name in REUSE:
        try:
            yield name, plain_bill(entry.ledger, profile, replace(rule, reuse=name))
        except ValueError:  # a ledger without the words that an element-wise operation moves
            return


def _split(lines: tuple[Line, ...], samples: int) -> dict[str, float]:
    """pJ per sample of arithmetic, neurons, and each memory."""
    found: dict[str, float] = {}
    for line in lines:
        name = line.level if line.part == "memory" else line.part
        found[name] = found.get(name, 0.0) + line.total_pj / samples
    return found


def _styles(profile: Profile) -> dict[str, str]:
    levels = ["register", *(level.name for level in profile.memory.levels if level.name != "register")]
    return PARTS | {level: LEVELS[min(index, len(LEVELS) - 1)] for index, level in enumerate(levels)}


@dataclass(frozen=True)
class Row:
    """One network under one reuse model: pJ per sample of arithmetic, neurons and each memory."""

    reuse: str
    network: str
    parts: dict[str, float]
    lower_bound: bool

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def rows(entry: Entry, profile: Profile, rule: Rule) -> list[Row]:
    """The model and its dense ANN in turn under each reuse model; [] where the profile has no memory."""
    found = []
    for name, bill in _bills(entry, profile, rule):
        found.append(Row(name, entry.label, _split(bill.lines, bill.samples), bill.lower_bound))
        found.append(Row(name, DENSE, _split(bill.ann_lines, bill.samples), False))
    return found


def draw(found: Sequence[Row], profile: Profile) -> Markup:
    """Two bars for each reuse model on one scale."""
    styles, bars = _styles(profile), []
    dense = {row.reuse: row.total for row in found if row.network == DENSE}
    for row in found:
        marks = tuple(svg.Part(row.parts[part], style, f"{NAMES.get(part, part)}: {text.exact(row.parts[part])}, "
                               f"{text.percent(row.parts[part] / row.total)}") for part, style in styles.items()
                      if row.parts.get(part))
        own = row.network != DENSE
        factor = f" · {text.ratio(row.total / dense[row.reuse])}" if own and dense[row.reuse] else ""
        bars.append(svg.Bar(row.network, marks, f"{'≥ ' if row.lower_bound else ''}{text.energy(row.total)}{factor}",
                            row.reuse, emphasis=own))
    return svg.stacked_bars(bars, f"Energy with memory, {profile.title}", "wide")


def key(found: Sequence[Row], profile: Profile) -> Markup:
    used = {part for row in found for part, pj in row.parts.items() if pj}
    return svg.legend([(style, NAMES.get(part, part)) for part, style in _styles(profile).items() if part in used])


def numbers(found: Sequence[Row], profile: Profile) -> Table:
    """Arithmetic, neurons and every memory, under each reuse model."""
    used = [part for part in _styles(profile) if any(row.parts.get(part) for row in found)]
    unit, size = text.energy_unit(row.total for row in found)
    columns = (Column("reuse", "how often words cross their memory", number=False),
               Column("network", "the model, and its own products as a dense ANN", number=False),
               Column(f"total [{unit}]", "energy per sample"),
               *(Column(f"{NAMES.get(part, part)} [{unit}]", "part of the total") for part in used))
    body = []
    for row in found:
        cells = [Cell(text.significant(value / size), value / size) for value in
                 (row.total, *(row.parts.get(part, 0.0) for part in used))]
        cells[0] = Cell(("≥ " if row.lower_bound else "") + cells[0].text, cells[0].value)
        body.append((Cell(f"{row.reuse}: {REUSE[row.reuse].title}"), Cell(row.network), *cells))
    return Table(columns, tuple(body))


def memories(profile: Profile) -> str:
    """The memories in a sentence, with their source and whether it was read."""
    memory = profile.memory
    levels = ", ".join(f"{level.name} {level.pj_per_64bit:g} pJ{'' if level.verified else ' (not verified)'}"
                       for level in memory.levels)
    return (f"{memory.title}, per 64 bit: {levels}. Source: {memory.source} "
            f"({'verified' if memory.verified else 'not verified'}).")
