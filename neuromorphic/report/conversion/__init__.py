"""One conversion, many views: HTML, JSON, Markdown, CSV; pure functions of a `ConversionReport`."""

from neuromorphic.convert.record import ConversionReport

from . import csv, html, json, markdown
from .json import read

VIEWS = {
    "report.html": html.render,
    "report.json": json.render,
    "report.md": markdown.render,
    "layers.csv": csv.render,
}
__all__ = ["VIEWS", "ConversionReport", "read"]
