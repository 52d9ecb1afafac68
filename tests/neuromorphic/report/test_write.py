"""Files are all new or all old, with ordinary permissions, and nothing else is left."""

import os
from pathlib import Path

import pytest

from neuromorphic import report as reports
from neuromorphic.report import write as write_function
from neuromorphic.report.write import VIEWS


def test_four_files_and_nothing_else(report, tmp_path):
    files = reports.write(report, tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(VIEWS) == sorted(files)
    assert reports.read(files["report.json"].read_text(encoding="utf-8")) == report


def test_mode_follows_the_umask(report, tmp_path):
    before = os.umask(0o027)
    try:
        files = reports.write(report, tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o640}


@pytest.mark.parametrize("broken", range(4))
def test_a_failure_keeps_every_old_file_and_leaves_nothing(report, tmp_path, monkeypatch, broken):
    reports.write({"old": report.entries[2].bills}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    plain, calls = Path.write_text, []

    def failing(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == broken + 1:
            raise OSError(28, "No space left on device")
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(OSError, match="No space"):
        reports.write(report, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_failure_removes_the_directory_it_made(report, tmp_path, monkeypatch):
    def failing(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(OSError, match="No space"):
        reports.write(report, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_view_that_fails_writes_nothing(report, tmp_path, monkeypatch):
    def failing(_):
        raise RuntimeError("view")

    monkeypatch.setitem(VIEWS, "layers.csv", failing)
    with pytest.raises(RuntimeError, match="view"):
        write_function(report, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_is_no_directory(report, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"report\.write: directory must be a directory"):
        reports.write(report, tmp_path / "file")
