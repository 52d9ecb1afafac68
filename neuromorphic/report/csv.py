"""The layers as comma-separated values: one line for each model, profile, layer, family and class of operation."""

import csv
import io
from collections.abc import Iterable, Sequence

from neuromorphic.energy.bill import Bill, Line
from neuromorphic.ledger import Ledger, Row

from .record import Report
from .text import visible

COLUMNS = ("model", "profile", "layer", "family", "operation", "count_per_sample", "price_pj", "energy_pj_per_sample",
           "part", "level", "verified", "source", "input_kind", "input_rate", "other_kind", "other_rate", "steps",
           "dense_per_sample")
FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
           "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")


def render(report: Report) -> str:
    """RFC 4180 lines; the energies of one model and profile add up to its total.

    A price that a profile does not have leaves `price_pj` and the energy empty. verified, source: of the price.
    input_kind, input_rate: value kind and non-zero share of the left operand of the layer's products, other_*: of the
    right one where it is no weight; several calls of one layer stand one after the other, divided by " / ".
    dense_per_sample: multiply-accumulates if nothing were skipped, over all steps.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in report.entries:
        rows = _rows(entry.ledger)
        for bill in entry.bills:
            for line in bill.lines:
                priced = ("", "") if line.pj is None else (line.pj, line.total_pj / bill.samples)
                names = (entry.label, bill.profile.name, line.layer, line.op, line.operation)
                writer.writerow([*map(cell, names), line.count / bill.samples, *priced, line.part, line.level,
                                 *_price(bill, line), *_evidence(rows.get((line.layer, line.op), ()), bill.samples)])
    return out.getvalue()


def _rows(ledger: Ledger) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in ledger.rows:
        found.setdefault((row.scope, row.op), []).append(row)
    return found


def _price(bill: Bill, line: Line) -> tuple[str, str]:
    price = bill.profile.prices.get(line.operation)
    return ("", "") if price is None else ("yes" if price.verified else "no", cell(price.source))


def _evidence(rows: Sequence[Row], samples: int) -> list[str | float]:
    def joined(values: Iterable[object]) -> str:
        return " / ".join(map(str, values))

    found = []
    for side in ("left", "right"):
        seen = [operand for row in rows if (operand := getattr(row, side))]
        found += [joined(operand.kind for operand in seen), joined(f"{operand.rate:.6g}" for operand in seen)]
    dense = sum(row.dense for row in rows) / samples
    return [*found, joined(row.steps for row in rows), dense if dense else ""]


def cell(name: str) -> str:
    """A name that no spreadsheet takes for a formula.

    >>> cell("=HYPERLINK(1)"), cell(" +1"), cell("blocks.0")
    ("'=HYPERLINK(1)", "' +1", 'blocks.0')
    """
    shown = visible(name)
    return "'" + shown if shown.strip().startswith(FORMULA) else shown
