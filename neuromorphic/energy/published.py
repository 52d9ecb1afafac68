"""The bill of a published table of layer rates, by the convention of its paper."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path

from neuromorphic.energy.bill import Bill, Line, Profile
from neuromorphic.energy.conventions import CONVENTIONS, KINDS, Convention, LayerRate
from neuromorphic.energy.profile import load_profile
from neuromorphic.ledger import Ledger, ModelInfo, Row
from spikeattn.errors import nearest

CONSTANTS = "horowitz45_fp32"  # 4.6 pJ for a MAC, 0.9 pJ for an accumulate: what the papers use


def published(
    convention: Convention | str,
    layers: Iterable[LayerRate | Sequence | Mapping],
    profile: Profile | str | Path = CONSTANTS,
) -> Bill:
    """The bill of rows (layer, flops, rate, kind); the convention decides what is a MAC and what an accumulate.

        count = flops, times the rate where the layer is charged for its spikes         energy = count * price

    Its lines keep fractional counts; its ledger holds them rounded to whole operations, to be priced again.

    >>> rows = [("stem", 1e9, 1.0, "stem"), ("fc", 2e9, 0.25, "linear"), ("head", 1e6, 1.0, "head")]
    >>> bill = published("spikformer", rows)
    >>> bill.counts, round(bill.total_mj, 6)                     # 4.6 * 1.001 + 0.9 * 0.5
    ({'MAC': 1001000000.0, 'AC': 500000000.0}, 5.0546)
    """
    convention, profile = _convention(convention), load_profile(profile)
    if not isinstance(layers, Iterable):
        raise TypeError(f"energy.published: layers must be rows, got {type(layers).__name__}. "
                        "Pass (layer, flops, rate, kind).")
    rows = [_row(number, row) for number, row in enumerate(layers, start=1)]
    if not rows:
        raise ValueError("energy.published: layers must hold at least one row, got none. "
                         "Pass (layer, flops, rate, kind).")
    charges = [convention.charge(row) for row in rows]
    lines = tuple(
        Line(row.layer, row.kind, charge.operation, row.flops * (row.rate if charge.rated else 1.0),
             profile.pj(charge.operation))
        for row, charge in zip(rows, charges, strict=True)
    )  # fmt: skip
    return Bill(_ledger(convention, lines), profile, convention.rule, lines)


def _ledger(convention: Convention, lines: Sequence[Line]) -> Ledger:
    info = ModelInfo(f"layer table, {convention.title}", "published table", 0, 1, ())
    rows = tuple(Row(line.layer, line.op, call=place, order=place, counts={line.operation: round(line.count)})
                 for place, line in enumerate(lines))
    return Ledger(info, samples=1, rows=rows)


def _convention(convention: Convention | str) -> Convention:
    if isinstance(convention, Convention):
        return convention
    if convention not in CONVENTIONS:
        raise ValueError(
            f"energy.published: the convention must be known, got {convention!r}. {nearest(convention, CONVENTIONS)}"
        )
    return CONVENTIONS[convention]


def _row(number: int, row: LayerRate | Sequence | Mapping) -> LayerRate:
    """The row with its types checked; messages count rows from 1."""
    try:
        found = LayerRate(**row) if isinstance(row, Mapping) else LayerRate(*row)
    except TypeError as error:
        raise TypeError(f"energy.published: row {number} must be (layer, flops, rate, kind), got {row!r}. "
                        "Give these four, in this order or by name.") from error
    if found.kind not in KINDS:
        raise ValueError(f"energy.published: kind of row {number} ({found.layer}) must be one of {', '.join(KINDS)}, "
                         f"got {found.kind!r}. Say what the layer reads.")
    for name in ("flops", "rate"):
        value = getattr(found, name)
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"energy.published: {name} of row {number} ({found.layer}) must be a number, "
                            f"got {value!r}. Give operations and a fraction.")
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"energy.published: {name} of row {number} ({found.layer}) must be finite and not "
                             f"negative, got {value}. Give operations and a fraction.")
    flops, rate = (int(n) if isinstance(n, Integral) else float(n) for n in (found.flops, found.rate))
    return found._replace(layer=str(found.layer), flops=flops, rate=rate)
