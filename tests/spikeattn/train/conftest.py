import pytest
import torch
from torch import nn

from spikeattn.data import Dataset, Splits
from spikeattn.train import Recipe


class Spikes(nn.Module):
    """Fires at or above 0, with a straight-through gradient."""

    alphabet = "binary"

    def forward(self, x):
        return x + ((x >= 0).to(x.dtype) - x).detach(), None


class Small(nn.Module):
    """A network with everything that has a state: batch norm, dropout, spiking neurons."""

    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6))
        self.neuron = Spikes()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(6 * 4, classes)

    def forward(self, x):
        spikes, _ = self.neuron(self.body(x))
        return self.head(self.dropout(spikes.flatten(1)))


def pictures(count, seed):
    """Three classes that differ in which row is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, 1, 4, 4), generator=generator)
    images[torch.arange(count), 0, labels] += 100
    return Dataset("rows", images.to(torch.uint8), labels, ("a", "b", "c"), (0.3,), (0.25,))


@pytest.fixture
def splits():
    return Splits(train=pictures(66, 0), test=pictures(31, 1))


@pytest.fixture
def small():
    """A fresh small network, always with the same weights."""
    def build():
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return Small()
    return build


@pytest.fixture
def recipe():
    return Recipe().override({
        "device": "cpu", "data.batch_size": 16, "schedule.epochs": 3, "optimiser.lr": 1e-2, "augment.crop": 1,
        "augment.flip": 0.5, "augment.mixup": 0.5, "augment.cutmix": 1.0, "augment.erase": 0.2,
        "augment.mix_until": 0.7,
    })
