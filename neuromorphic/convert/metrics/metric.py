"""A task metric: what it keeps of an output, what one unit (an image, a pair, a piece of text) contributes, its value.

    kept  = keep(output, batch)        (B, ...) of each batch, put back into the data's order
    rows  = rows(kept, data)           float64 (n, k), one row a unit
    value = value(rows)                a function of the set of rows, so it can be taken of any resample of them

Two networks that ran on the same data have rows for the same units: the difference of their values over resamples of
the units, the same for both, is the paired bootstrap (Efron and Tibshirani 1993, chapter 13).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuromorphic.convert.batches import Batch, Data
from neuromorphic.convert.record import Fidelity, Score

RESAMPLES = 2000
LEVEL = 0.95
CHUNK = 2**22  # indices drawn at once

Model = Callable[[Mapping[str, Tensor]], Tensor]


class Metric(ABC):
    """How good outputs are at a task, and how near they are to those of another network."""

    name: str
    higher_is_better = True
    resamples = RESAMPLES

    @abstractmethod
    def keep(self, output: Tensor, batch: Batch) -> Tensor:
        """What the metric needs of an output, one entry an item."""

    @abstractmethod
    def rows(self, kept: Tensor, data: Data) -> np.ndarray:
        """What each unit contributes, float64 (n, k)."""

    @abstractmethod
    def value(self, rows: np.ndarray) -> np.ndarray:
        """The metric of rows (..., n, k), over the last but one axis."""

    @abstractmethod
    def fidelity(self, ann: Tensor, snn: Tensor, data: Data) -> Fidelity:
        """How near the kept outputs of two networks are."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """One network on one data set."""

    metric: Metric
    data: Data
    kept: Tensor
    rows: np.ndarray

    @property
    def value(self) -> float:
        return float(self.metric.value(self.rows))


def measure(model: Model, data: Data, metric: Metric, progress: Callable[[int, int], None] | None = None) -> Outcome:
    """Run a network over the data, without gradients. progress(items done, items in all)."""
    parts, done = [], 0
    with torch.no_grad():
        for batch in data:
            output: Any = model(batch.inputs)
            if not isinstance(output, Tensor) or output.shape[:1] != batch.index.shape:
                got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise ValueError(f"measure: a network must give a tensor with one entry for each of the "
                                 f"{len(batch.index)} items, got {got}. Wrap it so that it does.")
            if not bool(output.isfinite().all()):
                raise ValueError("measure: outputs must be finite, got NaN or infinity. Look for NaN weights.")
            parts.append(metric.keep(output, batch).cpu())
            done += len(batch.index)
            if progress:
                progress(done, data.items)
    kept = data.restore(parts)
    return Outcome(metric, data, kept, metric.rows(kept, data))


def score(outcome: Outcome, *, seed: int = 0) -> Score:
    """The metric with its 95 % percentile bootstrap interval over units."""
    metric, rows = outcome.metric, outcome.rows
    low, high = _interval([metric.value(rows[chosen]) for chosen in _resamples(len(rows), metric.resamples, seed)])
    return Score(metric.name, outcome.value, len(rows), low, high, metric.higher_is_better)


def difference(ann: Outcome, snn: Outcome, *, seed: int = 0) -> Score:
    """Metric of the converted network minus that of the ANN, with the paired 95 % interval."""
    _same(ann, snn)
    metric = ann.metric
    drawn = [metric.value(snn.rows[chosen]) - metric.value(ann.rows[chosen])
             for chosen in _resamples(len(ann.rows), metric.resamples, seed)]
    low, high = _interval(drawn)
    return Score(metric.name, snn.value - ann.value, len(ann.rows), low, high, metric.higher_is_better)


def fidelity(ann: Outcome, snn: Outcome) -> Fidelity:
    """How near the converted network's outputs are to the ANN's."""
    _same(ann, snn)
    return ann.metric.fidelity(ann.kept, snn.kept, ann.data)


def _same(ann: Outcome, snn: Outcome) -> None:
    if ann.data.sha256 != snn.data.sha256 or ann.metric.name != snn.metric.name or ann.kept.shape != snn.kept.shape:
        raise ValueError("metrics: both networks must be measured by the same metric on the same data, got "
                         f"{ann.metric.name} on {ann.data.source} and {snn.metric.name} on {snn.data.source}. "
                         "Measure them alike.")


def _resamples(count: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Indices (some, count) drawn with replacement, `resamples` rows in all; the same for the same seed."""
    generator = np.random.default_rng(seed)
    some = max(1, CHUNK // count)
    for begun in range(0, resamples, some):
        yield generator.integers(count, size=(min(some, resamples - begun), count))


def _interval(drawn: list[np.ndarray]) -> tuple[float, float]:
    low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def agreement(ann: Tensor, snn: Tensor) -> Fidelity:
    """Share of equal predictions."""
    return Fidelity("agreement", float((ann == snn).double().mean()), ann.numel())
