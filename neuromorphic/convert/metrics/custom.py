"""A metric of the user's own: a function of all outputs and their targets.

    function(outputs, targets) -> one number, or a tensor with one number an item (their mean is then the value)

outputs (items, ...) and targets in the data's order; targets are labels (items,), else scores of pairs, else None. A
function of the whole set is called again for every resample, so fewer resamples are taken of it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuromorphic.convert.batches import Batch, Data
from neuromorphic.convert.metrics.metric import Metric, agreement
from neuromorphic.convert.record import Fidelity


class Custom(Metric):
    """`function(outputs, targets)`; lower values are better where the function says `higher_is_better = False`.

    >>> double = Custom(lambda outputs, targets: outputs.mean() * 2)
    >>> double.name, double.higher_is_better
    ('<lambda>', True)
    """

    def __init__(self, function: Callable[[Tensor, Tensor | None], Any], name: str | None = None):
        self.function = function
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.higher_is_better = bool(getattr(function, "higher_is_better", True))
        self.per_item = False

    @property
    def resamples(self) -> int:
        return Metric.resamples if self.per_item else 200

    def keep(self, output: Tensor, batch: Batch) -> Tensor:
        return output

    def rows(self, kept: Tensor, data: Data) -> np.ndarray:
        """One number an item, or else the items themselves: their outputs and targets side by side."""
        targets = data.labels if data.labels is not None else data.scores
        found = self._call(kept, targets)
        self.per_item = found.ndim == 1 and len(found) == len(kept)
        if self.per_item:
            return found.double().numpy()[:, None]
        if found.numel() != 1 or (targets is not None and len(targets) != len(kept)):
            raise ValueError(f"{self.name}: a metric must give one number, or one for each of the {len(kept)} items, "
                             f"got {tuple(found.shape)}. For pairs of sentences use spearman.")
        self._shape, self._targets = kept.shape[1:], None if targets is None else targets.dtype
        columns = [kept.flatten(1).double()] + ([] if targets is None else [targets.double()[:, None]])
        return torch.cat(columns, 1).numpy()

    def value(self, rows: np.ndarray) -> np.ndarray:
        if self.per_item:
            return rows[..., 0].mean(-1)
        if rows.ndim > 2:
            return np.array([self.value(part) for part in rows])
        values = torch.from_numpy(rows)
        targets = None if self._targets is None else values[:, -1].to(self._targets)
        outputs = values if targets is None else values[:, :-1]
        return self._call(outputs.reshape(len(rows), *self._shape), targets).double().reshape(()).numpy()

    def fidelity(self, ann: Tensor, snn: Tensor, data: Data) -> Fidelity:
        """Cosine of the outputs; with labels, agreement of predictions."""
        if data.labels is not None and ann.ndim == 2:
            return agreement(ann.argmax(1), snn.argmax(1))
        near = torch.cosine_similarity(ann.flatten(1).double(), snn.flatten(1).double()).numpy()
        return Fidelity("cosine", float(near.mean()), len(near), float(near.min()), float(np.percentile(near, 1)))

    def _call(self, outputs: Tensor, targets: Tensor | None) -> Tensor:
        found = torch.as_tensor(self.function(outputs, targets))
        if not bool(found.double().isfinite().all()):
            raise ValueError(f"{self.name}: a metric must give finite numbers, got NaN or infinity. "
                             "Let it answer for any resample of the items.")
        return found
