"""Accuracy on a whole set, counted in integers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeattn.data.batches import evaluation_batches
from spikeattn.data.dataset import Dataset


@dataclass(frozen=True)
class Evaluation:
    """correct and count are picture counts over the whole set; loss is the mean cross-entropy in nats."""

    correct: int
    count: int
    loss: float
    correct_per_class: tuple[int, ...]
    count_per_class: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        return self.correct / self.count


def evaluate(model: nn.Module, dataset: Dataset, batch_size: int = 256,
             device: torch.device | None = None) -> Evaluation:
    """Every picture once, in evaluation mode and full precision; the model's mode is restored."""
    device = device or next(model.parameters()).device
    classes = len(dataset.classes)
    mode = model.training
    right, loss = torch.zeros(classes, dtype=torch.int64, device=device), 0.0
    model.eval()
    try:
        with torch.no_grad():
            for images, labels in evaluation_batches(dataset, batch_size):
                images, labels = images.to(device), labels.to(device)
                logits = checked_logits(model(dataset.normalise(dataset.scale(images))), len(labels), classes)
                loss += torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum").item()
                right += torch.bincount(labels[logits.argmax(1) == labels], minlength=classes)
    finally:
        model.train(mode)
    counts = torch.bincount(dataset.labels, minlength=classes).tolist()
    return Evaluation(int(right.sum()), len(dataset), loss / len(dataset), tuple(right.tolist()), tuple(counts))


def checked_logits(logits: Tensor, batch: int, classes: int) -> Tensor:
    """The logits themselves, if there is one row per picture and one column per class."""
    if logits.shape != (batch, classes):
        raise ValueError(
            f"model(x): logits must have shape (B, K) = ({batch}, {classes}), got {tuple(logits.shape)}. "
            f"Build the model with num_classes={classes} and the read-out 'mean'."
        )
    return logits
