"""Files are old or new, never half."""

import stat

import pytest

from spikeattn.files import write_atomically, write_text


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "deep" / "note.txt"
    assert write_text(path, "one") == path
    write_text(str(path), "zwei — é")
    assert path.read_text(encoding="utf-8") == "zwei — é"
    assert [entry.name for entry in path.parent.iterdir()] == ["note.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def fails(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fails)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.txt"]


def test_the_writer_may_replace_its_temporary_file(tmp_path):
    path = tmp_path / "note.txt"

    def replaces(temporary):
        other = tmp_path / "other"
        other.write_text("new")
        other.replace(temporary)

    write_atomically(path, replaces)
    assert path.read_text() == "new"


def test_modes_are_those_of_plain_files(tmp_path):
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_text("")
    write_text(ours, "")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    ours.chmod(0o640)
    write_text(ours, "again")
    assert stat.S_IMODE(ours.stat().st_mode) == 0o640
