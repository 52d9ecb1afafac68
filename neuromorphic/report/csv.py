"""The layers as comma-separated values: one line for each model, profile, layer, family and class of operation."""

import csv
import io

from .record import Report
from .text import visible

COLUMNS = ("model", "profile", "layer", "family", "operation", "count_per_sample", "price_pj", "energy_pj_per_sample")


def render(report: Report) -> str:
    """RFC 4180 lines; the energies of one model and profile add up to its total.

    A price that a profile does not have leaves `price_pj` and the energy empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in report.entries:
        for bill in entry.bills:
            for line in bill.lines:
                priced = ("", "") if line.pj is None else (line.pj, line.total_pj / bill.samples)
                names = (entry.label, bill.profile.name, line.layer, line.op, line.operation)
                writer.writerow([*map(cell, names), line.count / bill.samples, *priced])
    return out.getvalue()


def cell(name: str) -> str:
    """A name that no spreadsheet takes for a formula.

    >>> cell("=HYPERLINK(1)"), cell("blocks.0")
    ("'=HYPERLINK(1)", 'blocks.0')
    """
    shown = visible(name)
    return "'" + shown if shown[:1] in ("=", "+", "-", "@") else shown
