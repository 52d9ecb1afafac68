"""Arithmetic only: every class of operation at its price, no memory. The model of nearly all papers.

    E = sum over rows and classes of count * price
"""

from neuromorphic.energy.bill import Line, Profile, Rule
from neuromorphic.energy.models.model import EnergyModel, Lines
from neuromorphic.energy.rule import classify, dense_ann
from neuromorphic.ledger import Ledger, Row


def operation_lines(row: Row, profile: Profile, rule: Rule, timesteps: int) -> Lines:
    """The operations of one row at the prices of a profile."""
    counts = sorted(classify(row, rule, timesteps).items())
    return tuple(Line(row.scope, row.op, name, n, profile.pj(name)) for name, n in counts)


def unpriced_lines(row: Row, rule: Rule, timesteps: int) -> Lines:
    """The operations of a row that a model has no formula for."""
    counts = sorted(classify(row, rule, timesteps).items())
    return tuple(Line(row.scope, row.op, name, n, None) for name, n in counts)


def ann_row_lines(row: Row, profile: Profile) -> Lines:
    return tuple(Line(row.scope, row.op, name, n, profile.pj(name)) for name, n in dense_ann(row).items())


def _lines(ledger: Ledger, profile: Profile, rule: Rule) -> Lines:
    T = ledger.model.timesteps
    return tuple(line for row in ledger.rows for line in operation_lines(row, profile, rule, T))


def _ann_lines(ledger: Ledger, profile: Profile) -> Lines:
    return tuple(line for row in ledger.rows for line in ann_row_lines(row, profile))


OPERATIONS = EnergyModel("operations", _lines, _ann_lines)
