"""Data sets as tensors in memory: fixed splits, checked facts, nothing unpickled."""

from collections.abc import Callable
from pathlib import Path

from spikeattn.data.arrays import FormatError
from spikeattn.data.cifar10 import load_cifar10
from spikeattn.data.dataset import Dataset, Splits, check_facts, data_directory, stratified_split
from spikeattn.data.digits import load_digits
from spikeattn.data.mnist import load_mnist
from spikeattn.errors import nearest

DATASETS: dict[str, Callable[[str | Path | None], Splits]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "cifar10": load_cifar10,
}

__all__ = ["DATASETS", "Dataset", "FormatError", "Splits", "check_facts", "data_directory", "load",
           "load_cifar10", "load_digits", "load_mnist", "stratified_split"]


def load(name: str, root: str | Path | None = None) -> Splits:
    """The splits of a data set by name; `root` (else SPIKEATTN_DATA) is the directory that holds it."""
    if name not in DATASETS:
        raise ValueError(
            f"data.load: the name must be one of {sorted(DATASETS)}, got {name!r}. {nearest(name, DATASETS)}"
        )
    return DATASETS[name](root)
