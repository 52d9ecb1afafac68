"""One set of bills, many views: HTML, JSON, Markdown, LaTeX, CSV and the terminal."""

from .examine import examine
from .json import read
from .record import Checkpoint, Data, Entry, Provenance, Report, Spread, as_report
from .terminal import print_report
from .write import write

__all__ = ["Checkpoint", "Data", "Entry", "Provenance", "Report", "Spread", "as_report", "examine", "print_report",
           "read", "write"]
