"""Checks a published energy table: can these joules come from these operations at these prices?

    bounds              E_AC * OPs <= E <= E_MAC * OPs          an operation costs an accumulate at least, a MAC at most
    totals              E = E_AC * AC + E_MAC * MAC             where both are printed; else E is at least the one
    ann                 E = E_MAC * MAC                         rows of kind "ann"
    first convolution   E = E_AC * OPs + E_MAC * T * 27 * C_1 * side^2, and MAC is no less than that product
    resolution          one model and T, the same energy at two resolutions

Both sides of every comparison are widened by the rounding of the printed digits, those of a sum also by 0.15 %, which
is what two published runs of one model differ by. What breaks the first two is an error: no accounting at these prices
gives it. What breaks the others is suspicious: another convention may. A row may name the profile that its prices are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuromorphic.energy.bill import Profile
from neuromorphic.energy.conventions import first_convolution
from neuromorphic.energy.printed import Printed, TableRow, read_table, table_rows
from neuromorphic.energy.profile import load_profile, profiles
from spikeattn.errors import nearest

LEVELS = ("ok", "suspicious", "error")
SLACK = 1e-9  # relative, for sums in binary floating point
RUNS = 1.5e-3  # relative: between two published runs of one model (Spikingformer-8-768, its README and its log)
GIGA = 1e9


@dataclass(frozen=True)
class Finding:
    """What the checks say of one row: the worst level, the checks that could run, a sentence for each that failed."""

    row: int
    model: str
    level: str
    checks: tuple[str, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class Prices:
    """pJ of an accumulate and of a multiply-accumulate."""

    ac: float
    mac: float


@dataclass(frozen=True)
class Check:
    """run(row, prices, all rows): a sentence where it fails, "" where it holds, None where something is not printed."""

    name: str
    level: str
    run: Callable[[TableRow, Prices, list[TableRow]], str | None]


def check_table(
    table: Path | str | Iterable[TableRow | Mapping[str, Any]], profile: Profile | str | Path = "horowitz45_fp32"
) -> list[Finding]:
    """One finding for each row of a table: a file, or records {heading: printed number} (energy.printed).

    >>> rows = [{"model": "A", "OPs (G)": "6.82", "Energy (mJ)": "7.734"}, {"OPs (G)": "0.951", "Energy (mJ)": "0.415"}]
    >>> [(finding.model, finding.level) for finding in check_table(rows)]
    [('A', 'ok'), ('row 2', 'error')]
    """
    declared = _prices(load_profile(profile))
    if isinstance(table, (str, Path)):
        rows = read_table(table)
    else:
        given = list(table)
        rows = given if given and all(isinstance(row, TableRow) for row in given) else table_rows(given)
    return [_finding(row, _prices_of(row) or declared, rows) for row in rows]


def _prices(profile: Profile) -> Prices:
    prices = Prices(profile.pj("AC"), profile.pj("MAC"))
    if prices.ac is None or prices.mac is None:
        raise ValueError(f"energy.lint: profile {profile.name} must price AC and MAC, got {prices.ac} and "
                         f"{prices.mac}. Declare the profile that the table's authors used.")
    return prices


def _prices_of(row: TableRow) -> Prices | None:
    """Those of the profile that the row names, if it does."""
    if row.profile is not None and row.profile not in profiles():
        raise ValueError(f"energy.lint: row {row.number}, column 'profile' must be a built-in profile, got "
                         f"{row.profile!r}. {nearest(row.profile, profiles())}")
    return _prices(load_profile(row.profile)) if row.profile else None


def _finding(row: TableRow, prices: Prices, rows: list[TableRow]) -> Finding:
    said = {check: check.run(row, prices, rows) for check in CHECKS} if row.energy else {}
    ran = {check: text for check, text in said.items() if text is not None}
    failed = {check: text for check, text in ran.items() if text}
    level = max((check.level for check in failed), key=LEVELS.index, default="ok")
    return Finding(row.number, row.model, level, tuple(check.name for check in ran), tuple(failed.values()))


def _bounds(row: TableRow, prices: Prices, rows: list[TableRow]) -> str | None:
    if row.ops is None:
        return None
    beside = row.mac.high if row.mac else 0.0  # some tables print accumulates as OPs and leave the MACs out of them
    low, high = prices.ac * row.ops.low, prices.mac * (row.ops.high + beside)
    printed, amount = f"{row.energy.value:g} mJ is", f"pJ × {row.ops.value:g} G OPs"
    if _below(row.energy.high, low):
        return f"{printed} less than {prices.ac:g} {amount}, which is at least {low:.4g} mJ"
    if _below(high, row.energy.low):
        return f"{printed} more than {prices.mac:g} {amount}, which is at most {high:.4g} mJ"
    return ""


def _totals(row: TableRow, prices: Prices, rows: list[TableRow]) -> str | None:
    if row.ac is None and row.mac is None:
        return None
    ac, mac = row.ac or Printed(0.0, 0.0), row.mac or Printed(0.0, 0.0)
    low, high = prices.ac * ac.low + prices.mac * mac.low, prices.ac * ac.high + prices.mac * mac.high
    if _below(row.energy.high, low, RUNS) or (row.ac and row.mac and _below(high, row.energy.low, RUNS)):
        terms = [f"{pj:g} pJ × {count.value:g} G {name}" for name, pj, count in
                 (("AC", prices.ac, row.ac), ("MAC", prices.mac, row.mac)) if count]
        verb = "is not" if len(terms) > 1 else "is less than"
        total = prices.ac * ac.value + prices.mac * mac.value
        return f"{row.energy.value:g} mJ {verb} {' + '.join(terms)} = {total:.4g} mJ"
    return ""


def _ann(row: TableRow, prices: Prices, rows: list[TableRow]) -> str | None:
    macs = row.mac or row.ops
    if (row.kind or "").lower() != "ann" or macs is None:
        return None
    if _overlap(row.energy, prices.mac * macs.low, prices.mac * macs.high):
        return ""
    return f"{row.energy.value:g} mJ is not {prices.mac:g} pJ × {macs.value:g} G MAC = {prices.mac * macs.value:.4g} mJ"


def _stem_energy(row: TableRow, prices: Prices, rows: list[TableRow]) -> str | None:
    """What the accumulates leave over is the first convolution, charged at every step."""
    if row.ops is None or _stem(row) is None:
        return None
    each = prices.mac * _stem(row) / GIGA
    if _overlap(row.energy, prices.ac * row.ops.low + each, prices.ac * row.ops.high + each):
        return ""
    rest = row.energy.value - prices.ac * row.ops.value
    fits = rest / each * row.stem_channels
    once = _overlap(row.energy, prices.ac * row.ops.low + each / row.steps, prices.ac * row.ops.high + each / row.steps)
    why = "it fits a first convolution charged once" if once else f"it would fit C1 = {fits:.1f}"
    return f"{rest:.4g} mJ above the accumulates is not the first convolution × T with C1 = {row.stem_channels}: {why}"


def _stem_macs(row: TableRow, prices: Prices, rows: list[TableRow]) -> str | None:
    """The multiply-accumulates hold those of the first convolution at every step."""
    if row.mac is None or _stem(row) is None:
        return None
    if not _below(row.mac.high, _stem(row) / GIGA):
        return ""
    return f"{row.mac.value:g} G MAC is less than the first convolution × T = {_stem(row) / GIGA:.4g} G"


def _resolution(row: TableRow, prices: Prices, rows: list[TableRow]) -> str | None:
    if row.resolution is None:
        return None
    others = [other.resolution for other in rows
              if (other.model, other.steps, other.energy) == (row.model, row.steps, row.energy)
              and other.resolution not in (None, row.resolution)]
    return f"the same energy is printed at {others[0]} pixels: both cannot hold" if others else ""


def _stem(row: TableRow) -> int | None:
    if not (row.steps and row.resolution and row.stem_channels):
        return None
    return first_convolution(row.steps, row.stem_channels, row.resolution)


def _below(a: float, b: float, slack: float = SLACK) -> bool:
    return a < b - slack * abs(b)


def _overlap(energy: Printed, low: float, high: float) -> bool:
    return not _below(energy.high, low, RUNS) and not _below(high, energy.low, RUNS)


CHECKS = (
    Check("bounds", "error", _bounds),
    Check("totals", "error", _totals),
    Check("ann", "suspicious", _ann),
    Check("first convolution, energy", "suspicious", _stem_energy),
    Check("first convolution, MACs", "suspicious", _stem_macs),
    Check("resolution", "suspicious", _resolution),
)
