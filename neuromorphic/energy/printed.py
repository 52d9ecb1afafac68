"""Tables as papers print them: columns by their headings, numbers with the digits that were printed.

    a printed 6.82 stands for every value in [6.815, 6.825]

| column | headings, in any case and with any of `_ ( ) [ ] . #` between words | unit, default |
|---|---|---|
| model | model, method, name, network, architecture | |
| energy | energy, e, power, energy consumption or cost, total or theoretical energy, energy per image | pJ to J, mJ |
| ops | ops, sops, synops, flops, gflops, operations, reported, ops reported | K M G T, G |
| ac, mac | ac, acs, ops ac; mac, macs, gmacs, ops mac | K M G T, G |
| steps | t, time steps, timesteps, steps | |
| resolution | resolution, res, input or image size, side (224, 224x224) | pixels |
| stem_channels | c1, stem channels: outputs of the first convolution (3 x 3, stride 1, on 3 channels) | |
| kind | kind, type: "ann" for rows of ANNs | |
| profile | profile, prices: a built-in profile, where it is not that of the whole table | |

A unit in a cell (7.46 mJ) goes before that of its heading. A comma is a thousands separator, or the decimal sign where
a cell of the table can be read in no other way (7,46; 0,415; 1.234,5) and none has a decimal point.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

HEADINGS = {
    "model": "model method name network architecture",
    "energy": "energy e power energyconsumption energycost totalenergy theoreticalenergy energyperimage",
    "ops": "ops sops synops flops gflops operations reported opsreported",
    "ac": "ac acs opsac",
    "mac": "mac macs gmacs opsmac",
    "steps": "t timestep timesteps step steps",
    "resolution": "resolution res inputsize imagesize side",
    "stem_channels": "c1 stemchannels",
    "kind": "kind type",
    "profile": "profile prices",
}
COLUMNS = {heading: column for column, headings in HEADINGS.items() for heading in headings.split()}
ENERGIES = {"pJ": "1e-9", "nJ": "1e-6", "uJ": "1e-3", "µJ": "1e-3", "μJ": "1e-3", "mJ": "1", "J": "1e3"}
AMOUNTS = {"K": "1e-6", "k": "1e-6", "M": "1e-3", "G": "1", "B": "1", "T": "1e3"}
UNITS = ENERGIES | AMOUNTS
UNITS_OF = {"energy": ENERGIES, "ops": AMOUNTS, "ac": AMOUNTS, "mac": AMOUNTS}
MISSING = {"", "-", "–", "—", "n/a", "na", "none", "null"}
MARKS = "*†‡§` "  # footnotes, and Markdown's bold and code
THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
WITH_COMMA, WITH_POINT = re.compile(r"\d{1,3}(\.\d{3})+,\d+|\d+,\d+"), re.compile(r"[\d,]+\.\d+")
POINTS = re.compile(r"[1-9]\d{0,2}(\.\d{3})+")  # thousands, where the comma is the decimal sign


@dataclass(frozen=True)
class Printed:
    """A printed number: every value in [low, high] would have been printed so."""

    value: float
    half_unit: float

    @property
    def low(self) -> float:
        return self.value - self.half_unit

    @property
    def high(self) -> float:
        return self.value + self.half_unit

    @staticmethod
    def read(text: str, unit: str = "1") -> "Printed":
        """The number with half a unit of its last digit, both times `unit`.

        >>> Printed.read("16.30"), Printed.read("415", unit="1e-3")
        (Printed(value=16.3, half_unit=0.005), Printed(value=0.415, half_unit=0.0005))
        """
        number = Decimal(text.replace(",", "") if THOUSANDS.fullmatch(text) else text)
        if not math.isfinite(number) or number < 0:
            raise InvalidOperation
        return Printed(float(number * Decimal(unit)), float(Decimal((0, (5,), number.as_tuple().exponent - 1))
                                                             * Decimal(unit)))


@dataclass(frozen=True)
class TableRow:
    """One row of a published table: energy in mJ, operations in G; None where nothing is printed."""

    number: int
    model: str
    energy: Printed | None = None
    ops: Printed | None = None
    ac: Printed | None = None
    mac: Printed | None = None
    steps: int | None = None
    resolution: int | None = None
    stem_channels: int | None = None
    kind: str | None = None
    profile: str | None = None


def read_table(path: Path | str) -> list[TableRow]:
    """The rows of a CSV, TSV, JSON or Markdown file that holds a table with a column of energies."""
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"energy.lint: a table must be one of {', '.join(READERS)}, got {path.name!r}. Convert it.")
    try:
        records = list(reader(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise ValueError(f"energy.lint: {path} must be a readable table, got {error}. Check the file.") from error
    return table_rows(records)


def table_rows(records: Iterable[Mapping[str, Any]]) -> list[TableRow]:
    """Rows from records {heading: cell}; columns with other headings are passed over."""
    cells = [_cells(number, record) for number, record in enumerate(records, start=1)]
    comma = _decimal_comma([cell for row in cells for column, _, _, cell in row if column in UNITS_OF])
    rows = [_row(number, row, comma) for number, row in enumerate(cells, start=1)]
    if not any(row.energy for row in rows):
        raise ValueError("energy.lint: the table must have a column of energies with numbers in it, got none. "
                         "Head it 'energy_mJ' or 'Energy (mJ)'.")
    return rows


def _decimal_comma(cells: list[str]) -> bool:
    """Some number has a decimal comma and can be read in no other way, and none has a decimal point."""
    return (any(WITH_COMMA.fullmatch(cell) and not THOUSANDS.fullmatch(cell) for cell in cells)
            and not any(WITH_POINT.fullmatch(cell) and not POINTS.fullmatch(cell) for cell in cells))


def column_of(heading: str) -> tuple[str, str] | None:
    """(column, factor to mJ or G) of a heading, None where it is none of ours.

    >>> column_of("Energy (uJ)"), column_of("ops_G.ac"), column_of("T"), column_of("Params (M)")
    (('energy', '1e-3'), ('ac', '1'), ('steps', '1'), None)
    """
    words = [word for word in re.split(r"[\W_]+", heading) if word]
    units = [word for word in words if word in UNITS] if len(words) > 1 else []
    column = COLUMNS.get("".join(word for word in words if word not in units).lower())
    if column is None:
        return None
    known = UNITS_OF.get(column)
    if known is None or not units:
        return column, "1"
    return (column, known[units[0]]) if units[0] in known else None


def _cells(number: int, record: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(column, factor, heading, text) of the cells of a row in which something is printed, the first of each column."""
    found: dict[str, tuple[str, str, str, str]] = {}
    if None in record:  # what csv calls the rest of a line
        raise ValueError(f"energy.lint: row {number} must have as many cells as there are headings, got {record[None]} "
                         "beyond them. Put numbers with a comma in quotation marks.")
    for heading, cell in _flat(record):
        place, text = column_of(heading), "" if cell is None else str(cell).strip(MARKS)
        if place is not None and text.lower() not in MISSING:
            found.setdefault(place[0], (*place, heading, text))
    return list(found.values())


def _row(number: int, cells: list[tuple[str, str, str, str]], comma: bool) -> TableRow:
    found: dict[str, Any] = {}
    for column, unit, heading, text in cells:
        try:
            found[column] = _cell(column, text, unit, comma)
        except (InvalidOperation, ValueError) as error:
            raise ValueError(f"energy.lint: row {number}, column {heading!r} must be a number that is not negative, "
                             f"got {text!r}. Correct it, or write '-' where nothing is printed.") from error
    return TableRow(number, found.pop("model", f"row {number}"), **found)


def _cell(column: str, text: str, unit: str, comma: bool) -> Any:
    if column in UNITS_OF:
        written = re.fullmatch(r"(.*\d\.?)\s*([a-zA-Zµμ]+)", text)
        if written:
            text, unit = written[1], UNITS_OF[column].get(written[2], "no unit of it")
        return Printed.read(text.replace(".", "").replace(",", ".") if comma else text, unit)
    if column in ("model", "kind", "profile"):
        return text
    whole = int(re.split(r"[x×² ]", text)[0])
    if whole < 1:
        raise InvalidOperation
    return whole


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested records as dotted headings."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_json(text: str) -> list[Mapping]:
    """A list of records, or an object with them under "rows"; numbers stay as they are printed.

    A "profile" beside the rows is that of all rows which do not name their own.
    """
    plain = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    rows = plain.get("rows") if isinstance(plain, dict) else plain
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError('energy.lint: JSON must be a list of records, or hold one under "rows", got neither. '
                         'Write [{"model": "A", "ops_G": 1.2, "energy_mJ": 1.5}].')
    whole = {"profile": plain["profile"]} if isinstance(plain, dict) and plain.get("profile") else {}
    return [whole | row for row in rows]


def _read_markdown(text: str) -> Iterator[Mapping[str, str]]:
    """Every pipe table of the text: a heading row, a row of dashes, then records."""
    lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] if "|" in line else None
             for line in text.splitlines()]
    headings = None
    for cells, following in zip(lines, [*lines[1:], None], strict=True):
        if cells is None:
            headings = None
        elif headings is None:
            headings = cells if following and _is_rule(following) else None
        elif not _is_rule(cells):
            yield dict(zip(headings, cells, strict=False))


def _is_rule(cells: list[str]) -> bool:
    return all(re.fullmatch(r":?-+:?", cell) for cell in cells)


def _read_csv(text: str) -> csv.DictReader:
    """With semicolons where the headings have more of them than of commas, as where the comma is the decimal sign."""
    lines = text.splitlines()
    return csv.DictReader(lines, delimiter=";" if lines and lines[0].count(";") > lines[0].count(",") else ",")


READERS = {
    ".csv": _read_csv,
    ".tsv": lambda text: csv.DictReader(text.splitlines(), delimiter="\t"),
    ".json": _read_json,
    ".md": _read_markdown,
    ".markdown": _read_markdown,
}
