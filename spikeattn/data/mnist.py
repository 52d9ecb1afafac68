"""MNIST: 70,000 grey pictures of 28 x 28 (LeCun, Cortes and Burges).

Layouts that are recognised below the data directory:

    mnist/mnist.npz                            arrays x_train, y_train, x_test, y_test
    mnist/train-images-idx3-ubyte[.gz] ...     the four original files (also in MNIST/raw/)
"""

from pathlib import Path

import numpy as np
import torch

from spikeattn.data.arrays import Expected, FormatError, read_idx, read_npz
from spikeattn.data.dataset import Dataset, Splits, check_facts, data_directory

CLASSES = tuple("0123456789")
TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
MEAN, STD = (0.1307,), (0.3081,)
ARRAYS = {
    "x_train": Expected((60000, 28, 28)),
    "y_train": Expected((60000,), kinds="ui", itemsize=8),
    "x_test": Expected((10000, 28, 28)),
    "y_test": Expected((10000,), kinds="ui", itemsize=8),
}
IDX = {"x_train": "train-images-idx3-ubyte", "y_train": "train-labels-idx1-ubyte",
       "x_test": "t10k-images-idx3-ubyte", "y_test": "t10k-labels-idx1-ubyte"}


def load_mnist(root: str | Path | None = None) -> Splits:
    """The official split: 60,000 training and 10,000 test pictures."""
    directory = data_directory(root)
    arrays = _find(directory)
    train, test = (
        Dataset("mnist", torch.from_numpy(arrays[f"x_{part}"]).unsqueeze(1),
                torch.from_numpy(arrays[f"y_{part}"].astype(np.int64)), CLASSES, MEAN, STD)
        for part in ("train", "test")
    )
    return Splits(train=check_facts(train, TRAIN_COUNTS, MEAN, STD), test=check_facts(test, TEST_COUNTS))


def _find(directory: Path) -> dict[str, np.ndarray]:
    for npz in (directory / "mnist" / "mnist.npz", directory / "mnist.npz"):
        if npz.is_file():
            return read_npz(npz, ARRAYS)
    for folder in (directory / "mnist", directory / "MNIST" / "raw", directory):
        files = {key: _plain_or_gzipped(folder / name) for key, name in IDX.items()}
        if all(files.values()):
            return {key: read_idx(path, ARRAYS[key].shape) for key, path in files.items()}
    raise FormatError(
        f"mnist: must lie in {directory} as mnist/mnist.npz or as mnist/{IDX['x_train']}[.gz] and its three "
        "neighbours, got none of them. Put them there, or name another directory with SPIKEATTN_DATA or --data.root."
    )


def _plain_or_gzipped(path: Path) -> Path | None:
    return next((found for found in (path, path.with_name(path.name + ".gz")) if found.is_file()), None)
