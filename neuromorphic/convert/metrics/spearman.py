"""Spearman's rank correlation between cosine similarities of sentence pairs and their scores.

    row_p = (cos(e_a, e_b), score)        value = Pearson correlation of the ranks of both columns, ties at mean rank

0 where one column is constant: it orders nothing. An encoder that gives tokens is pooled here by the mean over its real
tokens, as sentence-transformers reads a checkpoint that comes without a pooling. Source of the task: Cer et al. 2017
(STS benchmark).
"""

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from neuromorphic.convert.batches import Batch, Data
from neuromorphic.convert.layers import MeanPool
from neuromorphic.convert.metrics.metric import Metric
from neuromorphic.convert.record import Fidelity


class Spearman(Metric):
    """Of embeddings (B, D) or tokens (B, N, D) of sentences that form scored pairs. Fidelity: cosine to the other
    network's embedding.

    >>> float(Spearman().value(np.array([[0.1, 1.0], [0.4, 2.0], [0.9, 5.0]])))
    1.0
    """

    name = "spearman"

    def keep(self, output: Tensor, batch: Batch) -> Tensor:
        if output.ndim == 3:
            output = MeanPool()(output.double(), batch.inputs.get("attention_mask"))
        if output.ndim != 2 or output.shape[1] < 2:
            raise ValueError(f"spearman: outputs must be embeddings (B, D) with D > 1, got {tuple(output.shape)}. "
                             "Convert an encoder of sentences; one that reads both sentences of a pair together is "
                             "not covered.")
        return output.double()

    def rows(self, kept: Tensor, data: Data) -> np.ndarray:
        if data.pairs is None or data.scores is None or len(data.pairs) < 2:
            raise ValueError(f"spearman: the data must be at least two scored pairs, got {data.source} without. "
                             "Give sentence1, sentence2 and score.")
        similarity = torch.cosine_similarity(kept[data.pairs[:, 0]], kept[data.pairs[:, 1]])
        return torch.stack([similarity, data.scores], 1).numpy()

    def value(self, rows: np.ndarray) -> np.ndarray:
        ranks = rankdata(rows, axis=-2)
        centred = ranks - ranks.mean(-2, keepdims=True)
        x, y = centred[..., 0], centred[..., 1]
        both = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
        return (x * y).sum(-1) / np.where(both > 0, both, np.inf)

    def fidelity(self, ann: Tensor, snn: Tensor, data: Data) -> Fidelity:
        """Over every sentence of every pair: one that occurs twice counts twice."""
        if data.pairs is not None:
            ann, snn = ann[data.pairs.flatten()], snn[data.pairs.flatten()]
        near = torch.cosine_similarity(ann, snn).numpy()
        return Fidelity("cosine", float(near.mean()), len(near), float(near.min()), float(np.percentile(near, 1)))
