"""A new directory that is there whole or not at all.

It is filled under a temporary name beside its place, flushed to disk, and renamed. Where an old one is replaced, that
one goes only after the new one has its name, and comes back if anything fails in between.
"""

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Filled = TypeVar("Filled")


def check_place(out: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """ValueError unless a directory may be made at `out`, or with `force` replace a saved model there.

    inputs: files and directories that are still needed and must not lie in what is replaced.
    """
    place = out.absolute()
    if os.path.lexists(out):
        if not force:
            raise ValueError(f"convert: {out} must not exist yet, got an existing one. Choose another --out, or "
                             "replace it with --force.")
        if out.is_symlink() or not out.is_dir() or not (_is_saved(out) or not any(out.iterdir())):
            raise ValueError(f"convert: with --force {out} must be a directory that holds a saved model of this "
                             "package, got something else. Remove it yourself if it is not needed.")
        lost = [path for path in inputs if path.resolve().is_relative_to(out.resolve())]
        if lost:
            raise ValueError(f"convert: --force must not replace what is read, got {lost[0]} inside {out}. "
                             "Choose another --out.")
    above = next(parent for parent in place.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"convert: {out} must lie where directories can be made, got {above} that cannot be written. "
                         "Choose another --out.")


def _is_saved(directory: Path) -> bool:
    """Whether a directory was written by `save_pretrained`."""
    try:
        return "spikeattn" in json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def publish(out: Path, fill: Callable[[Path], Filled], *, force: bool = False) -> Filled:
    """What `fill` gives, once it has filled a directory that then gets the name `out`; a failure leaves nothing."""
    out = out.absolute()
    made = [parent for parent in out.parents if not parent.exists()]
    with _ended_by_signal():
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            return _publish(out, fill, force)
        except BaseException:
            for parent in made:
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
            raise


def _publish(out: Path, fill: Callable[[Path], Filled], force: bool) -> Filled:
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    new, old = scratch / "new", scratch / "old"
    try:
        new.mkdir()  # with the mode of an ordinary directory, which the scratch one has not
        filled = fill(new)
        flush(new)
        if os.path.lexists(out):
            check_place(out, force=force)  # somebody else may have made it in the meantime
            os.rename(out, old)
        try:
            os.rename(new, out)
        except BaseException:
            if old.exists():
                os.rename(old, out)
            raise
        _flush_one(out.parent)
        return filled
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def flush(directory: Path) -> None:
    """Everything below a directory onto the disk, names last."""
    for path in sorted(directory.rglob("*"), reverse=True):
        _flush_one(path)
    _flush_one(directory)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM becomes an exception, as SIGINT is, so that what is half written goes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
