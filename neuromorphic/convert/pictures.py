"""Pictures with or without labels, from a directory, a file of arrays or arrays.

    directory/CLASS/picture.png      one folder a class: the model's names of classes, their numbers, or any names in
                                     alphabetical order
    directory/picture.png            no labels: good for calibration
    file.npz                         arrays images (n, Y, X, C) or (n, C, Y, X) and labels (n,)

8-bit pictures go through the processor of the model, or without one become intensities in [0, 1]. Floating-point
pictures (n, C, Y, X) are taken as prepared.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeattn.data.picture import SUFFIXES, read_picture

Processor = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Pictures:
    """n pictures that are read when they are needed. get(i) -> uint8 (Y, X, C) or prepared float (C, Y, X)."""

    count: int
    get: Callable[[int], np.ndarray]
    labels: Tensor | None
    digest: Callable[[int], bytes]

    def sha256(self, rows: Sequence[int]) -> str:
        found = hashlib.sha256()
        for i in rows:
            found.update(self.digest(i))
            if self.labels is not None:
                found.update(str(int(self.labels[i])).encode())
        return found.hexdigest()

    def pixels(self, rows: Sequence[int], processor: Processor | None) -> Tensor:
        """(B, C, Y, X) as the model takes them."""
        found = [self.get(i) for i in rows]
        if found[0].dtype != np.uint8:
            return torch.from_numpy(np.stack(found)).float()
        if hasattr(processor, "preprocess"):  # an image processor of the transformers package
            three = [np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p for p in found]
            return torch.as_tensor(np.asarray(processor(images=three, return_tensors="np")["pixel_values"]))
        sizes = {p.shape for p in found}
        if processor and len(sizes) > 1:
            return torch.cat([self.pixels([i], processor) for i in rows])
        if len(sizes) > 1:
            raise ValueError(f"pictures: without a processor all must have one size, got {sorted(sizes)[:3]}. "
                             "Give the model's processor, or resize them.")
        intensities = torch.from_numpy(np.stack(found)).movedim(3, 1).float() / 255
        return processor(intensities) if processor else intensities


def from_directory(path: Path, classes: int | Sequence[str] | None, gray: bool = False) -> Pictures:
    """One folder a class; a directory with pictures and no folders has no labels."""
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    files: list[tuple[Path, int]] = []
    for folder, label in zip(folders, _labels([f.name for f in folders], classes), strict=True):
        files += [(p, label) for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES]
    labels = torch.tensor([label for _, label in files], dtype=torch.int64) if files else None
    if not files:
        files = [(p, -1) for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES]

    return Pictures(len(files), lambda i: read_picture(files[i][0], gray=gray), labels,
                    lambda i: files[i][0].read_bytes())  # fmt: skip


def _labels(names: list[str], classes: int | Sequence[str] | None) -> list[int]:
    """The class index of each folder: by the model's names where the folders carry them, by number where all are
    numbers, else their order.

    >>> _labels(["0", "10", "2"], None), _labels(["a", "b"], None)
    ([0, 10, 2], [0, 1])
    """
    if not isinstance(classes, int) and classes is not None:
        known = {name.strip().lower(): i for i, name in enumerate(classes)}
        found = [known.get(name.strip().lower()) for name in names]
        if None not in found:
            return found
        if any(i is not None for i in found):
            odd = names[found.index(None)]
            raise ValueError(f"pictures: folders must be named as the model's classes, got {odd!r}. Rename it.")
        classes = len(classes)
    if classes is not None and len(names) > classes:
        raise ValueError(f"pictures: there must be at most {classes} folders, one a class, got {len(names)}. "
                         "Check the directory.")
    return list(map(int, names)) if all(map(str.isdecimal, names)) else list(range(len(names)))


def from_arrays(images: Any, labels: Any = None) -> Pictures:
    """uint8 (n, Y, X), (n, Y, X, C) or (n, C, Y, X), or prepared floats (n, C, Y, X)."""
    found = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if found.ndim == 3 and found.dtype == np.uint8:
        found = found[..., None]
    if found.ndim != 4 or not (found.dtype == np.uint8 or found.dtype.kind == "f"):
        raise ValueError(f"pictures: images must be uint8 (n, Y, X, C) or floating point (n, C, Y, X), got "
                         f"{found.dtype} {found.shape}. Convert the array.")
    if found.dtype == np.uint8 and found.shape[3] not in (1, 3):
        found = np.moveaxis(found, 1, 3)
        if found.shape[3] not in (1, 3):
            raise ValueError(f"pictures: 8-bit images must have 1 or 3 channels, got {tuple(np.shape(images))}. "
                             "Drop the alpha channel.")
    return Pictures(len(found), lambda i: found[i], as_labels(labels, len(found)),
                    lambda i: str(found[i].shape).encode() + np.ascontiguousarray(found[i]).tobytes())  # fmt: skip


def as_labels(labels: Any, count: int) -> Tensor | None:
    """Class indices int64 (n,)."""
    if labels is None:
        return None
    found = torch.as_tensor(np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels))
    whole = not found.is_floating_point() and not found.is_complex() and found.dtype != torch.bool
    if not whole or found.shape != (count,):
        raise ValueError(f"labels: there must be one class index for each of the {count} samples, got {found.dtype} "
                         f"{tuple(found.shape)}. Give whole numbers (n,).")
    return found.long()
