"""What an ANN saves where its hardware skips zeros: the rival that a sparse SNN owes its reader.

    skipped = dense - E_MAC * (terms of real-valued products whose input is 0)

Measured on an ANN that ran (ReLU leaves zeros, GELU does not); without one, a curve over the density of the inputs
of the same layers as a dense ANN, which says nothing about any network. Memory and the test for zero are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from neuromorphic.energy.bill import Profile
from neuromorphic.energy.interval import HEADLINE_PROFILE
from neuromorphic.energy.price import price
from neuromorphic.energy.profile import load_profile
from neuromorphic.energy.rule import dense_ann
from neuromorphic.ledger import Ledger, Row

DENSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class ZeroSkipping:
    """An ANN as it ran. mJ per sample, everything that it executed; density: products left of those that it has."""

    dense_mj: float
    skipped_mj: float
    density: float
    lower_bound: bool


@dataclass(frozen=True)
class SkippedAt:
    """The same layers as a dense ANN, run once, if this share of its products were left: not measured."""

    density: float
    total_mj: float


def zero_skipping(ledger: Ledger, profile: Profile | str | Path = HEADLINE_PROFILE) -> ZeroSkipping:
    """Products without a zero operand, counted on the values that an ANN really had.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> relu = Operand(8, 3, 0, smallest=0.2, largest=1.3, integers=False, powers_of_two=False)
    >>> row = Row("fc", "linear", left=relu, dense=32, left_events=12, coincidence=12)
    >>> found = zero_skipping(Ledger(ModelInfo("net", "Net", 32, 1, (8,)), 1, (row,)))
    >>> found.density, round(found.dense_mj * 1e9, 6), round(found.skipped_mj * 1e9, 6)
    (0.375, 147.2, 55.2)
    """
    profile = load_profile(profile)
    mac = profile.pj("MAC")
    products = [row for row in ledger.rows if _real(row)]
    if ledger.emissions or not products:
        raise ValueError(
            f"zero_skipping: the ledger must be of an ANN with products of real values, got {ledger.model.class_name}. "
            "Trace an ANN, or draw zero_skipping_curve."
        )
    if mac is None:
        raise ValueError(f"zero_skipping: profile {profile.name} must price MAC, got none. Take horowitz45_fp32.")
    terms, left = sum(row.dense for row in products), sum(_nonzero_terms(row) for row in products)
    bill = price(ledger, profile)
    return ZeroSkipping(bill.total_mj, bill.total_mj - (terms - left) * mac / ledger.samples * 1e-9, left / terms,
                        bill.lower_bound)


def zero_skipping_curve(
    ledger: Ledger, profile: Profile | str | Path = HEADLINE_PROFILE, densities: Sequence[float] = DENSITIES
) -> tuple[SkippedAt, ...]:
    """E(density) = density * E_MAC * terms + biases, for the layers of a ledger as a dense ANN.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> row = Row("fc", "linear", left=Operand(8, 8, 0), dense=32)
    >>> ledger = Ledger(ModelInfo("net", "Net", 32, 1, (8,)), 1, (row,))
    >>> [round(at.total_mj * 1e9, 6) for at in zero_skipping_curve(ledger, densities=(0.25, 1))]
    [36.8, 147.2]
    """
    if any(not 0 <= density <= 1 for density in densities):
        raise ValueError(f"zero_skipping_curve: densities must lie in [0, 1], got {list(densities)}. Correct them.")
    profile = load_profile(profile)
    counts = [dense_ann(row) for row in ledger.rows]
    macs = sum(one.get("MAC", 0) for one in counts) * (profile.pj("MAC") or 0.0)
    adds = sum(one.get("ADD", 0) for one in counts) * (profile.pj("ADD") or 0.0)
    return tuple(SkippedAt(d, fsum((d * macs, adds)) / ledger.samples * 1e-9) for d in densities)


def _real(row: Row) -> bool:
    """A product that costs a multiply-accumulate for each term."""
    return bool(row.dense) and row.left.kind == "real" and (row.right is None or row.right.kind == "real")


def _nonzero_terms(row: Row) -> int:
    """Terms in which no operand is 0; against weights, those of the non-zero inputs."""
    return row.coincidence if row.right is not None else row.left_events
