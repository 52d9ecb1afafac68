"""Perplexity of a causal language model on text.

    row_c = (sum of -log p(token_i | tokens before), number of predicted tokens) of piece c
    value = exp(sum of the first column / sum of the second)

Units are pieces of text, not tokens: neighbouring tokens are not independent.
"""

import numpy as np
import torch
from torch import Tensor

from neuromorphic.convert.batches import Batch, Data
from neuromorphic.convert.metrics.metric import Metric, agreement
from neuromorphic.convert.record import Fidelity


class Perplexity(Metric):
    """Of logits (B, N, V); keeps (B, N - 1, 2), the loss and the prediction of each next token, NaN at padding.

    >>> round(float(Perplexity().value(np.array([[3 * np.log(2.0), 3.0], [np.log(2.0), 1.0]]))), 6)
    2.0
    """

    name = "perplexity"
    higher_is_better = False

    def keep(self, output: Tensor, batch: Batch) -> Tensor:
        ids = batch.inputs.get("input_ids")
        fits = ids is not None and output.ndim == 3 and output.shape[1] == ids.shape[1]
        if not fits or int(ids.max()) >= output.shape[-1]:
            raise ValueError(f"perplexity: outputs must be logits (B, N, V) for token ids (B, N), got "
                             f"{tuple(output.shape)}. Convert a causal language model with its head.")
        mask = batch.inputs.get("attention_mask", torch.ones_like(ids))[:, 1:].bool()
        logits = output[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        kept = torch.stack([loss.view_as(mask).double(), logits.argmax(-1).double()], -1)
        return kept.masked_fill(~mask[..., None], float("nan"))

    def rows(self, kept: Tensor, data: Data) -> np.ndarray:
        loss = kept[..., 0]
        rows = torch.stack([loss.nansum(1), (~loss.isnan()).sum(1).double()], 1)
        if not bool(rows[:, 1].sum()):
            raise ValueError(f"perplexity: there must be a token to predict, got none in {data.source}. "
                             "Give longer text.")
        return rows.numpy()

    def value(self, rows: np.ndarray) -> np.ndarray:
        return np.exp(rows[..., 0].sum(-1) / np.maximum(rows[..., 1].sum(-1), 1))

    def fidelity(self, ann: Tensor, snn: Tensor, data: Data) -> Fidelity:
        """Agreement of the predicted next tokens."""
        there = ~ann[..., 1].isnan()
        return agreement(ann[..., 1][there], snn[..., 1][there])
