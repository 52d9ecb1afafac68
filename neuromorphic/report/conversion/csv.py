"""The coded sites as comma-separated values: one line each, every field of the record."""

import csv
import io
from dataclasses import astuple, fields

from neuromorphic.convert.record import ConversionReport, Site

from ..csv import cell

COLUMNS = tuple(field.name for field in fields(Site))


def render(report: ConversionReport) -> str:
    """RFC 4180 lines; what was not measured is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for site in report.layers:
        writer.writerow([cell(value) if isinstance(value, str) else "" if value is None else value
                         for value in astuple(site)])
    return out.getvalue()
