"""Batches from memory, in an order that depends on nothing but (seed, epoch).

Because the order is a function and not a state, resuming in the middle of an epoch needs two integers.
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from spikeattn.data.dataset import Dataset


def derived_seed(*parts: int | str) -> int:
    """One 63-bit seed from several numbers and words, the same on every machine.

    >>> derived_seed(0, "order", 1) == derived_seed(0, "order", 1) != derived_seed(0, "order", 2)
    True
    """
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The permutation of 0 .. count-1 that an epoch follows."""
    generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches in an epoch; a last, smaller one is left out (each epoch leaves out other pictures)."""
    return max(1, count // batch_size)


def training_batches(
    dataset: Dataset, batch_size: int, *, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """(images, labels) of an epoch in shuffled order, from step `start` on."""
    if batch_size < 1:
        raise ValueError(f"training_batches: batch_size must be at least 1, got {batch_size}. Try 64.")
    order = epoch_order(len(dataset), seed, epoch).to(dataset.images.device)
    for step in range(start, steps_per_epoch(len(dataset), batch_size)):
        index = order[step * batch_size:(step + 1) * batch_size]
        yield dataset.images[index], dataset.labels[index]


def evaluation_batches(dataset: Dataset, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(images, labels) of the whole set, once each, in stored order."""
    yield from zip(dataset.images.split(batch_size), dataset.labels.split(batch_size), strict=True)
