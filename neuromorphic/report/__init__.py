"""One set of bills, many views: HTML, JSON, Markdown, CSV and the terminal."""

from .json import read
from .record import Entry, Report, as_report
from .terminal import print_report
from .write import write

__all__ = ["Entry", "Report", "as_report", "print_report", "read", "write"]
