"""What a data set is here: pictures in one tensor, their labels, and facts that can be checked."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures, as they were stored.

    images: uint8 (n, C, Y, X); labels: int64 (n,) in [0, K); classes: K names.
    peak: the stored value that means full intensity (255, or 16 for digits).
    mean, std: of images / peak, one number per channel, measured on the training set.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    peak: float = 255.0

    def __post_init__(self):
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"Dataset {self.name}: images must be uint8 (n, C, Y, X), got {self.images.dtype} "
                f"{tuple(self.images.shape)}. Keep the pictures as they were stored; `normalise` scales them."
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"Dataset {self.name}: labels must be int64 ({len(self.images)},), got {self.labels.dtype} "
                f"{tuple(self.labels.shape)}. Give one class index per picture."
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"Dataset {self.name}: labels must lie in [0, {len(self.classes)}), got "
                f"{int(self.labels.min())} to {int(self.labels.max())}. Check the label file."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, int]:
        return tuple(self.images.shape[2:])

    def scale(self, images: Tensor) -> Tensor:
        """Stored pictures as float32 intensities in [0, 1]."""
        return images.float() / self.peak

    def normalise(self, intensities: Tensor) -> Tensor:
        """(intensity - mean) / std per channel: what a model takes."""
        shape = (1, len(self.mean), 1, 1)
        mean, std = (intensities.new_tensor(values).view(shape) for values in (self.mean, self.std))
        return (intensities - mean) / std

    def select(self, index: Tensor) -> "Dataset":
        return replace(self, images=self.images[index], labels=self.labels[index])

    def content_hash(self) -> str:
        """SHA-256 of the set of labelled pictures, whatever their order."""
        return hashlib.sha256(b"".join(sorted(_digests(self, salt=b"")))).hexdigest()


@dataclass(frozen=True)
class Splits:
    """A training set, a test set that nothing is chosen by, and possibly a validation set."""

    train: Dataset
    test: Dataset
    validation: Dataset | None = None

    def hold_out(self, fraction: float) -> "Splits":
        """The same splits with a stratified part of the training set set apart for choosing among models."""
        rest, validation = stratified_split(self.train, fraction, salt=b"validation")
        return replace(self, train=rest, validation=validation)


def stratified_split(dataset: Dataset, fraction: float, salt: bytes) -> tuple[Dataset, Dataset]:
    """Two parts, the second with `fraction` of every class.

    A picture's place follows from a hash of its content, not from a random number: the split is the same
    for every seed, order and library version, and equal pictures fall on the same side (but for one border
    per class).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"stratified_split: fraction must lie in (0, 1), got {fraction}. Try 0.1.")
    digests = _digests(dataset, salt)
    second: list[int] = []
    for label in range(len(dataset.classes)):
        members = torch.nonzero(dataset.labels == label).flatten().tolist()
        second += sorted(members, key=digests.__getitem__)[: round(len(members) * fraction)]
    chosen = torch.zeros(len(dataset), dtype=torch.bool)
    chosen[second] = True
    return dataset.select(~chosen), dataset.select(chosen)


def _digests(dataset: Dataset, salt: bytes) -> list[bytes]:
    pictures = dataset.images.cpu().contiguous().numpy()
    labels = dataset.labels.tolist()
    return [
        hashlib.sha256(salt + bytes([label]) + picture.tobytes()).digest()
        for picture, label in zip(pictures, labels, strict=True)
    ]


def check_facts(dataset: Dataset, per_class: int | tuple[int, ...], mean: tuple | None = None,
                std: tuple | None = None, tolerance: float = 6e-5) -> Dataset:
    """The data set itself, once its counts per class and its statistics are the published ones."""
    expected = [per_class] * len(dataset.classes) if isinstance(per_class, int) else list(per_class)
    counts = torch.bincount(dataset.labels, minlength=len(dataset.classes)).tolist()
    if counts != expected:
        raise ValueError(
            f"{dataset.name}: the counts per class must be {expected}, got {counts}. "
            "The file is not the published data set; fetch it again."
        )
    values = dataset.images.transpose(0, 1).flatten(1)
    bins = torch.stack([torch.bincount(channel.int(), minlength=256) for channel in values]).double()
    levels = torch.arange(256, dtype=torch.float64) / dataset.peak
    measured_mean = (bins * levels).sum(1) / bins.sum(1)
    measured_std = ((bins * levels**2).sum(1) / bins.sum(1) - measured_mean**2).sqrt()
    for word, measured, known in (("mean", measured_mean, mean), ("std", measured_std, std)):
        if known is not None and (measured - measured.new_tensor(known)).abs().max() > tolerance:
            raise ValueError(
                f"{dataset.name}: the {word} per channel must be {known}, got "
                f"{[round(value, 4) for value in measured.tolist()]}. "
                "The pictures are not the published ones (recompressed or scaled?); fetch them again."
            )
    return dataset


def data_directory(root: str | Path | None = None) -> Path:
    """The directory with data sets: `root`, else the environment variable SPIKEATTN_DATA."""
    place = root or os.environ.get("SPIKEATTN_DATA")
    if not place:
        raise ValueError(
            "data directory: must be named, got nothing. Set SPIKEATTN_DATA (or root=, or --data.root) "
            "to the directory that holds mnist/ or cifar10/. The data set 'digits' needs none."
        )
    path = Path(place).expanduser()
    if not path.is_dir():
        raise ValueError(f"data directory: must be an existing directory, got {path}. Name another.")
    return path
