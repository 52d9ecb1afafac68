"""Arithmetic plus memory at one price per word, without any reuse: what STEP (arXiv 2505.11151) argues for.

    E = E_arithmetic + E_word * (weight reads + bias reads + membrane reads and writes)

    weight reads     one for each product that is carried out        bias reads   one for each bias addition
    membranes        the words that each neuron update touches

Weights are read again for every spike, and input, output and attention traffic is left out, as in SpikingJelly's
simple energy model. Differs from it in: ternary and scaled spikes are spikes, and padded taps are not read.
"""

from neuromorphic.energy.bill import Line, Profile, Rule
from neuromorphic.energy.models.model import EnergyModel, Lines
from neuromorphic.energy.models.operations import ann_row_lines, operation_lines
from neuromorphic.ledger import Ledger, Row

PRODUCTS = ("AC", "MAC", "SHIFT")
WEIGHTED = ("linear", "conv")
MEMBRANE = {"READ_MEMBRANE": "membrane_read", "WRITE_MEMBRANE": "membrane_write"}


def _lines(ledger: Ledger, profile: Profile, rule: Rule) -> Lines:
    found: list[Line] = []
    for row in ledger.rows:
        lines = operation_lines(row, profile, rule, ledger.model.timesteps)
        words = _parameter_words(row, lines) | {name: row.words.get(word, 0) for name, word in MEMBRANE.items()}
        found += [*lines, *_priced(row, words, profile)]
    return tuple(found)


def _ann_lines(ledger: Ledger, profile: Profile) -> Lines:
    found: list[Line] = []
    for row in ledger.rows:
        lines = ann_row_lines(row, profile)
        found += [*lines, *_priced(row, _parameter_words(row, lines), profile)]
    return tuple(found)


def _parameter_words(row: Row, lines: Lines) -> dict[str, float]:
    if row.op not in WEIGHTED:
        return {}
    return {
        "READ_WEIGHT": sum(line.count for line in lines if line.operation in PRODUCTS),
        "READ_BIAS": sum(line.count for line in lines if line.operation == "ADD"),
    }


def _priced(row: Row, words: dict[str, float], profile: Profile) -> list[Line]:
    return [Line(row.scope, row.op, name, n, profile.pj(name)) for name, n in words.items() if n]


WORDS = EnergyModel("words", _lines, _ann_lines)
