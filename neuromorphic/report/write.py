"""All files of a report, or none."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import csv, html, json, latex, markdown
from .record import Bills, Report, as_report

if TYPE_CHECKING:
    from neuromorphic.convert.record import ConversionReport

VIEWS = {
    "report.html": html.render,
    "report.json": json.render,
    "report.md": markdown.render,
    "report.tex": latex.render,
    "layers.csv": csv.render,
}


def write(bills: "Report | Bills | ConversionReport", directory: str | Path, *, title: str = "Energy report",
          notes: Iterable[str] = ()) -> dict[str, Path]:
    """Write report.html, report.json, report.md, report.tex and layers.csv; name and path of each.

    bills: a `Report`, or a mapping from label to one Bill or to several Bills of the same ledger; or a
    `ConversionReport`, which has no report.tex, title or notes.
    Everything is rendered, written under temporary names and flushed to disk before the first file gets its own name.
    """
    of_conversion = _conversion_views(bills)
    views, report = (of_conversion, bills) if of_conversion else (VIEWS, as_report(bills, title=title, notes=notes))
    directory = Path(directory)
    taken = [place for place in (directory, *directory.absolute().parents) if place.exists() and not place.is_dir()]
    if taken:
        raise ValueError(f"report.write: directory must be a directory, got the file {taken[0]}. Choose another name.")
    files = [directory / name for name in views]
    if blocked := [path for path in files if path.is_dir()]:
        raise ValueError(f"report.write: {blocked[0]} must be a file or absent, got a directory. Remove it.")
    texts = [view(report) for view in views.values()]
    made = [place for place in (directory, *directory.absolute().parents) if not place.exists()]
    try:
        _write_together(list(zip(files, texts, strict=True)))
    except BaseException as error:
        for place in made:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        if isinstance(error, OSError) and error.strerror:
            raise OSError(error.errno, f"report.write: {directory} must be a directory that can be written, got: "
                                       f"{error.strerror}. Nothing was written; name another.") from error
        raise
    return dict(zip(views, files, strict=True))


def _conversion_views(report: object) -> dict | None:
    """The views of a conversion; None for bills. Imported here, since conversions bring torch."""
    if isinstance(report, (Report, Mapping)):
        return None
    from .conversion import VIEWS, ConversionReport

    return VIEWS if isinstance(report, ConversionReport) else None


def _write_together(files: list[tuple[Path, str]]) -> None:
    """Each file is renamed only after all that follow it have been written to disk."""
    if not files:
        return
    from spikeattn.files import write_atomically  # here, since spikeattn brings torch and printing needs none

    (path, text), *rest = files

    def fill(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")
        with open(temporary, "rb+") as file:  # a full disk may show only here: before any file has its own name
            os.fsync(file.fileno())
        _write_together(rest)

    write_atomically(path, fill)
