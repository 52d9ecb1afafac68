"""The record of an energy model, and what the neurons of a ledger emitted."""

from collections.abc import Callable
from dataclasses import dataclass

from neuromorphic.energy.bill import Line, Profile, Rule
from neuromorphic.ledger import Emission, Ledger

Lines = tuple[Line, ...]


@dataclass(frozen=True)
class EnergyModel:
    """lines: the network as it ran. ann_lines: its products run once as a dense ANN. constants: names it reads."""

    name: str
    lines: Callable[[Ledger, Profile, Rule], Lines]
    ann_lines: Callable[[Ledger, Profile], Lines]
    constants: tuple[str, ...] = ()


def emissions_of(ledger: Ledger) -> dict[tuple[str, int], Emission]:
    """What the neurons of a row emitted, by (scope, call)."""
    return {(emission.scope, emission.call): emission for emission in ledger.emissions}
