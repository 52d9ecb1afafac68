"""All files of a report, or none."""

from collections.abc import Iterable
from pathlib import Path

from . import csv, html, json, markdown
from .record import Bills, Report, as_report

VIEWS = {
    "report.html": html.render,
    "report.json": json.render,
    "report.md": markdown.render,
    "layers.csv": csv.render,
}


def write(bills: Report | Bills, directory: str | Path, *, title: str = "Energy report",
          notes: Iterable[str] = ()) -> dict[str, Path]:
    """Write report.html, report.json, report.md and layers.csv; name and path of each.

    bills: a `Report`, or a mapping from label to one Bill or to several Bills of the same ledger.
    Everything is rendered and written under temporary names before the first file gets its own name.
    """
    report = as_report(bills, title=title, notes=notes)
    texts = {name: view(report) for name, view in VIEWS.items()}
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"report.write: directory must be a directory, got the file {directory}. Choose another name.")
    made = not directory.exists()
    try:
        _write_together([(directory / name, text) for name, text in texts.items()])
    except BaseException:
        if made and directory.exists() and not any(directory.iterdir()):
            directory.rmdir()
        raise
    return {name: directory / name for name in texts}


def _write_together(files: list[tuple[Path, str]]) -> None:
    """Each file is renamed only after all that follow it have been written to disk."""
    if not files:
        return
    from spikeattn.files import write_atomically  # here, since spikeattn brings torch and printing needs none

    (path, text), *rest = files

    def fill(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")
        _write_together(rest)

    write_atomically(path, fill)
