"""Array files read with suspicion: nothing is unpickled and nothing is allocated before its size is known.

A 3 MB `.npz` can declare 3 GiB of zeros, and numpy would allocate them; so shape and type are read from the
header first and must be the expected ones.
"""

import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class FormatError(ValueError):
    """A data file that is not what it must be."""


@dataclass(frozen=True)
class Expected:
    """What an array must be: its shape (None: any length up to `longest`) and the kinds of its numbers."""

    shape: tuple[int | None, ...]
    kinds: str = "u"
    itemsize: int = 1
    longest: int = 100_000


def read_npz(path: str | Path, expected: Mapping[str, Expected]) -> dict[str, np.ndarray]:
    """The expected arrays of an `.npz` file; other members are not touched."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_member(path, archive, name, what) for name, what in expected.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"{path}: must be a readable .npz file, got {error}. Fetch it again.") from error


def _read_member(path: Path, archive: zipfile.ZipFile, name: str, what: Expected) -> np.ndarray:
    where = f"{path}[{name}]"
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        members = [member.removesuffix(".npy") for member in archive.namelist()[:12]]
        raise FormatError(
            f"{path}: must hold the array {name!r}, got {members}. Is it another data set?"
        ) from None
    with archive.open(info) as stream:
        shape, fortran, dtype = _read_header(where, stream)
        _check(where, shape, dtype, what)
        size = math.prod(shape) * dtype.itemsize
        declared = info.file_size - stream.tell()
        data = stream.read(size) if declared == size else b""
    if len(data) != size:
        raise FormatError(
            f"{where}: must hold {size} bytes of numbers, got {len(data) or declared}. The file is damaged."
        )
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")


def _read_header(where: str, stream) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        return readers[version](stream, max_header_size=10_000)
    except (ValueError, KeyError) as error:
        raise FormatError(f"{where}: must have a plain .npy header, got {error}. Fetch it again.") from error


def _check(where: str, shape: tuple[int, ...], dtype: np.dtype, what: Expected) -> None:
    if dtype.hasobject or dtype.kind not in what.kinds or dtype.itemsize > what.itemsize:
        raise FormatError(
            f"{where}: numbers must be of kind {what.kinds!r} and at most {what.itemsize} bytes, got {dtype}. "
            "Object arrays are programs and never read; store plain numbers."
        )
    fits = len(shape) == len(what.shape) and all(
        0 < got <= what.longest if need is None else got == need
        for got, need in zip(shape, what.shape, strict=True)
    )
    if not fits:
        raise FormatError(f"{where}: shape must be {what.shape}, got {shape}. Is it another data set?")


def read_idx(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """An IDX file of unsigned bytes (the original MNIST format), plain or gzipped.

    Header, big endian: two zero bytes, 8 for "unsigned byte", the rank, then one 32-bit length per axis.
    """
    path = Path(path)
    header = 4 + 4 * len(shape)
    size = header + math.prod(shape)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            data = stream.read(size + 1)
    except (OSError, EOFError) as error:
        raise FormatError(f"{path}: must be a readable IDX file, got {error}. Fetch it again.") from error
    wanted = bytes([0, 0, 8, len(shape)]) + b"".join(length.to_bytes(4, "big") for length in shape)
    if data[:header] != wanted:
        raise FormatError(
            f"{path}: must begin as an IDX file of bytes of shape {shape}, got {data[:header].hex()}. "
            "Is it another data set, or still compressed?"
        )
    if len(data) != size:
        raise FormatError(f"{path}: must hold {size} bytes, got {len(data)}. The file is damaged.")
    return np.frombuffer(bytearray(data), np.uint8, offset=header).reshape(shape)


def read_bytes(path: str | Path, size: int) -> bytes:
    """A file of exactly `size` bytes."""
    with open(path, "rb") as stream:
        stream.seek(0, io.SEEK_END)
        if stream.tell() != size:
            raise FormatError(f"{path}: must hold {size} bytes, got {stream.tell()}. Unpack it again.")
        stream.seek(0)
        return stream.read()
