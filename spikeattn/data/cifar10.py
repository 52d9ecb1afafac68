"""CIFAR-10: 60,000 colour pictures of 32 x 32 (Krizhevsky, technical report, 2009).

Layouts that are recognised in the data directory, or in cifar10/ below it:

    train.npz, test.npz                 arrays images (n, 32, 32, 3) and labels
    labels.npz, train_00.webp, ...      lossless mosaics of 32 x 32 pictures, row by row (needs Pillow)
    cifar-10-batches-py/                the official Python batches, read without unpickling
    cifar-10-batches-bin/               the official binary version
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from spikeattn.data.arrays import Expected, FormatError, read_bytes, read_npz
from spikeattn.data.dataset import Dataset, Splits, check_facts, data_directory
from spikeattn.data.plain_pickle import read_plain_pickle

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
COUNT = {"train": 50000, "test": 10000}
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
LARGEST_BATCH_FILE = 40_000_000

Arrays = tuple[np.ndarray, np.ndarray]  # images (n, 3, 32, 32) uint8, labels (n,)


def load_cifar10(root: str | Path | None = None) -> Splits:
    """The official split: 50,000 training and 10,000 test pictures."""
    directory = data_directory(root)
    layouts: tuple[tuple[str, Callable[[Path, str], Arrays]], ...] = (
        ("train.npz", _from_npz),
        ("train_00.webp", _from_mosaics),
        ("cifar-10-batches-py/data_batch_1", _from_python_batches),
        ("cifar-10-batches-bin/data_batch_1.bin", _from_binary_batches),
    )
    for folder in (directory / "cifar10", directory):
        for sign, read in layouts:
            if (folder / sign).is_file():
                train, test = (_dataset(*read(folder, part)) for part in ("train", "test"))
                return Splits(train=check_facts(train, 5000, MEAN, STD), test=check_facts(test, 1000))
    raise FormatError(
        f"cifar10: must lie in {directory} or {directory / 'cifar10'} as one of "
        f"{[sign for sign, _ in layouts]}, got none of them. Unpack the official archive there, "
        "or name another directory with SPIKEATTN_DATA or --data.root."
    )


def _dataset(images: np.ndarray, labels: np.ndarray) -> Dataset:
    pictures, targets = np.ascontiguousarray(images), labels.astype(np.int64)
    return Dataset("cifar10", torch.from_numpy(pictures), torch.from_numpy(targets), CLASSES, MEAN, STD)


def _from_npz(folder: Path, part: str) -> Arrays:
    n = COUNT[part]
    wanted = {"images": Expected((n, 32, 32, 3)), "labels": Expected((n,), kinds="ui", itemsize=8)}
    arrays = read_npz(folder / f"{part}.npz", wanted)
    return arrays["images"].transpose(0, 3, 1, 2), arrays["labels"]


def _from_mosaics(folder: Path, part: str) -> Arrays:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("cifar10: WebP mosaics need Pillow, which is missing. pip install pillow") from error
    n = COUNT[part]
    labels = read_npz(folder / "labels.npz", {part: Expected((n,), kinds="ui", itemsize=8)})[part]
    pictures = []
    for i in range(-(-n // 1024)):
        path = folder / f"{part}_{i:02d}.webp"
        try:
            with Image.open(path, formats=["WEBP"]) as image:
                if image.size != (1024, 1024) or image.mode != "RGB":
                    raise FormatError(f"{path}: must be 1024 x 1024 RGB, got {image.size} {image.mode}.")
                mosaic = np.asarray(image)
        except OSError as error:
            raise FormatError(f"{path}: must be a readable WebP mosaic, got {error}. Fetch it again.") from error
        # (row of pictures, y, column of pictures, x, channel) -> (picture, channel, y, x)
        pictures.append(mosaic.reshape(32, 32, 32, 32, 3).transpose(0, 2, 4, 1, 3).reshape(1024, 3, 32, 32))
    return np.concatenate(pictures)[:n], labels


def _from_python_batches(folder: Path, part: str) -> Arrays:
    images, labels = [], []
    for name in BATCHES[part]:
        path = folder / "cifar-10-batches-py" / name
        if not path.is_file() or path.stat().st_size > LARGEST_BATCH_FILE:
            raise FormatError(f"{path}: must be a file below {LARGEST_BATCH_FILE} bytes. Unpack it again.")
        batch = read_plain_pickle(path.read_bytes())
        data = batch.get("data") if isinstance(batch, dict) else None
        if not isinstance(data, np.ndarray) or data.shape != (10000, 3072) or data.dtype != np.uint8:
            raise FormatError(f"{path}: must hold 'data' of shape (10000, 3072) in uint8. Unpack it again.")
        images.append(data.reshape(-1, 3, 32, 32))
        labels.append(np.asarray(batch["labels"], dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _from_binary_batches(folder: Path, part: str) -> Arrays:
    paths = [folder / "cifar-10-batches-bin" / f"{name}.bin" for name in BATCHES[part]]
    rows = [np.frombuffer(read_bytes(path, 10000 * 3073), np.uint8).reshape(-1, 3073) for path in paths]
    table = np.concatenate(rows)  # one byte of label, then the red, green and blue planes
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0]
