"""Accuracy: the share of items whose largest output is that of their class.

    row_i = 1 if argmax_k output_ik = label_i else 0        value = mean of the rows
"""

import numpy as np
from torch import Tensor

from neuromorphic.convert.batches import Batch, Data
from neuromorphic.convert.metrics.metric import Metric, agreement
from neuromorphic.convert.record import Fidelity


class Accuracy(Metric):
    """Of outputs (B, K) and class labels; keeps the predicted class. Fidelity: share of equal predictions.

    >>> float(Accuracy().value(np.array([[1.0], [0.0], [1.0], [1.0]])))
    0.75
    """

    name = "accuracy"

    def keep(self, output: Tensor, batch: Batch) -> Tensor:
        if output.ndim != 2 or batch.labels is None or int(batch.labels.max()) >= output.shape[-1]:
            labels = "no labels" if batch.labels is None else f"labels up to {int(batch.labels.max())}"
            raise ValueError(f"accuracy: outputs must be (B, K) and labels in 0 to K - 1, got {tuple(output.shape)} "
                             f"and {labels}. Give labelled data of the model's classes, and a model with its "
                             "classifier.")
        return output.argmax(1)

    def rows(self, kept: Tensor, data: Data) -> np.ndarray:
        return (kept == data.labels).double().numpy()[:, None]

    def value(self, rows: np.ndarray) -> np.ndarray:
        return rows[..., 0].mean(-1)

    def fidelity(self, ann: Tensor, snn: Tensor, data: Data) -> Fidelity:
        return agreement(ann, snn)
