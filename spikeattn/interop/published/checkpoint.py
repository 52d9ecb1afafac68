"""Checkpoint files of other people: tensors out, and nothing else.

    read_checkpoint("best.pth")     {their key: tensor}, from a zip of torch.save or from safetensors

Nothing in the file is executed, sizes are checked before anything is unpacked, and the containers of the usual
training programs are opened: {"state_dict": ...} (timm), {"model": ...} (MAE), and the `module.` in front of every
key that DistributedDataParallel leaves.
"""

import argparse
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

CONTAINERS = ("state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")
MOST_EXPANSION = 8  # bytes in memory for each byte of the file; torch.save itself does not compress


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a .pth or .safetensors file, whatever the suffix; every tensor dense and finite.

    Raises ValueError with one line that says what is wrong: no such format, cut off, code or other objects in the
    pickle, sizes that the file cannot hold, no state dict inside.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_checkpoint: {path} must be a file, got none. Check the path.")
    tensors = _from_zip(path) if zipfile.is_zipfile(path) else _from_safetensors(path)
    _check_tensors(path, tensors)
    return _without_prefixes({key: tensor.detach() for key, tensor in tensors.items()})


def _from_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"read_checkpoint: {path} must be a complete file of torch.save (1.6 or later) or of safetensors, got "
            f"neither ({_first_line(error)}). Copy it again; older files: load and save them with torch once."
        ) from error


def _from_zip(path: Path) -> dict[str, Tensor]:
    _check_archive(path)
    # training programs store their command line beside the weights; a Namespace only holds attributes
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except Exception as error:  # no checkpoint of torch, or damaged: the reader below says the same
            raise _unreadable(path, error) from error
        if foreign:
            raise ValueError(
                f"read_checkpoint: {path} must hold tensors and plain data only, got {', '.join(sorted(foreign)[:4])}. "
                "That may be code, nothing was executed; ask for a file with the state dict alone."
            )
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the reader raises many kinds for damaged files
            raise _unreadable(path, error) from error
    return _state_dict_in(path, content)


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"read_checkpoint: {path} must be a whole checkpoint of torch.save, got a damaged file or another archive "
        f"({_first_line(error)}). Copy it again."
    )


def _check_archive(path: Path) -> None:
    """Refuse an archive that would unpack to much more than its own size, or whose check sums are wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(path, sum(entry.file_size for entry in archive.infolist()))
            damaged = archive.testzip()  # torch does not look at the sums of what tensors are made of
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise _unreadable(path, error) from error
    if damaged is not None:
        raise _unreadable(path, RuntimeError(f"the check sum of {damaged} is wrong"))


def _check_size(path: Path, needed: int) -> None:
    size = path.stat().st_size
    if needed > MOST_EXPANSION * size:
        raise ValueError(
            f"read_checkpoint: {path} must unpack to at most {MOST_EXPANSION} times its {size:,} bytes, got "
            f"{needed:,}. It was made to fill the memory; do not use it."
        )


def _state_dict_in(path: Path, content: Any) -> dict[str, Tensor]:
    """The state dict itself, or what lies under one of CONTAINERS."""
    if isinstance(content, Mapping):
        for inside in (*(content.get(name) for name in CONTAINERS), content):
            if isinstance(inside, Mapping) and inside and all(isinstance(v, Tensor) for v in inside.values()):
                return {str(key): tensor for key, tensor in inside.items()}
        found = ", ".join(map(str, list(content)[:6])) or "nothing"
    else:
        found = type(content).__name__
    raise ValueError(
        f"read_checkpoint: {path} must hold a state dict, bare or under {' or '.join(CONTAINERS)}, got {found}. "
        "Save model.state_dict() alone."
    )


def _check_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Dense numbers that the file can hold (a tensor may repeat one stored number without end), all finite."""
    odd = [key for key, tensor in tensors.items() if tensor.layout is not torch.strided or tensor.is_quantized]
    if odd:
        raise ValueError(f"read_checkpoint: tensors of {path} must be dense, got others: {odd[:3]}. Convert them.")
    _check_size(path, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    broken = [key for key, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ValueError(
            f"read_checkpoint: numbers of {path} must be finite, got others in {broken[:3]}. The training diverged."
        )


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys without a prefix that all of them have."""
    for prefix in PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    # the text of an unpickling error recommends to switch the safety off
    return type(error).__name__ if not lines or "weights_only" in str(error) else lines[0][:160]
