"""Everything of a conversion that does not depend on its settings: the adapted ANN, its statistics, the data.

    source -> adapted graph, checked equal to the source -> one pass over the calibration data -> Prepared

One `Prepared` serves every number of time steps, every code and every ablation.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuromorphic.convert.adapters import Adapted, adapt, verify
from neuromorphic.convert.batches import Data, open_data
from neuromorphic.convert.calibration import Statistics, calibrate
from neuromorphic.convert.layers import SoftmaxAttention
from neuromorphic.convert.metrics import Metric, Outcome, Perplexity, measure, metric_for
from neuromorphic.convert.sources import Source, open_source
from spikeattn.converted import Graph

Progress = Callable[[str, int, int | None], None]  # (what, done, of how many)
KINDS = {"text": "text", "pictures": "pictures", "tokens": "features"}  # of an adapter -> of the data
SAMPLES = 256  # of the calibration data, unless asked otherwise
SENTENCES = 2048  # the same of rows of text, which are short: a picture, or a piece of a long text, has more tokens
PIECE = 128  # tokens of a piece of text for a causal network
CHECKED = 4  # samples at either end of the data on which the adapted ANN is compared with its source


def silent(what: str, done: int, total: int | None) -> None:
    """No progress shown."""


@dataclass
class Prepared:
    """An adapted ANN with what is known about it. evaluation, metric, ann: where there is data to evaluate on."""

    source: Source
    adapted: Adapted
    graph: Graph
    statistics: Statistics
    calibration: Data
    adapted_difference: float
    evaluation: Data | None
    metric: Metric | None
    ann: Outcome | None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def shown(self) -> Data:
        """Data to look at sites with: the evaluation's, else the calibration's."""
        return self.calibration if self.evaluation is None else self.evaluation


def prepare(model: nn.Module | str | Path, calibration: Any, *, evaluation: Any = None, metric: Any = None,
            samples: int | None = None, batch_size: int = 32, progress: Progress = silent) -> Prepared:
    """Open, adapt, check and calibrate on at most so many samples, by default SAMPLES, or SENTENCES of text."""
    source = open_source(model)
    adapted = adapt(source.model)
    reader = data_reader(source, adapted, batch_size)
    usual = SENTENCES if KINDS[adapted.kind] == "text" and not in_pieces(adapted) else SAMPLES
    data = reader(calibration, limit=usual if samples is None else samples)
    taken = ends(data)
    try:
        equality = verify(adapted, taken)
    except (RuntimeError, IndexError) as error:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in taken[0].items())
        raise ValueError(f"convert: the calibration data must fit the model, got {shapes}: "
                         f"{str(error).strip().splitlines()[0]}. Check its size, or the vocabulary.") from error
    judged = judge(adapted, reader(evaluation), metric, progress) if evaluation is not None else (None, None, None)
    graph = without_key_bias(adapted.graph).float()  # as the data is
    begun = time.perf_counter()
    features = [name for name, value in taken[0].items() if value.is_floating_point()]
    sites = [*features, *(wire.name for wire in graph.wires if not getattr(wire.layer, "readout", False))]
    with torch.no_grad():
        statistics = calibrate(graph, data, sites, lambda done, total: progress("calibrate", done, total))
    seconds = {"calibrate": time.perf_counter() - begun}
    return Prepared(source, adapted, graph, statistics, data, max(equality.float64, equality.float32), *judged, seconds)


def judge(adapted: Adapted, data: Data, metric: Any, progress: Progress) -> tuple[Data, Metric, Outcome]:
    """The evaluation data, its metric and what the ANN makes of it: before the calibration, which takes longer."""
    chosen = metric_for(metric, data)
    if isinstance(chosen, Perplexity) and not adapted.readout:
        raise ValueError(f"perplexity: the network must give logits of the next token, got {adapted.family} without "
                         "its head. Convert a causal language model with its head.")
    return data, chosen, measure(adapted.call, data, chosen,
                                 lambda done, total: progress("evaluate the ANN", done, total))


def ends(data: Data) -> list[dict[str, Tensor]]:
    """The first samples and the last: of texts, which are sorted, the shortest and the longest."""
    first, last = data.batch(0).inputs, data.batch(len(data) - 1).inputs
    return [{name: value[:CHECKED] for name, value in first.items()},
            {name: value[-CHECKED:] for name, value in last.items()}]


def evaluate(prepared: Prepared, model: Callable[[Any], Tensor], what: str, progress: Progress = silent) -> Outcome:
    """A network's outcome on the evaluation data."""
    return measure(model, prepared.evaluation, prepared.metric, lambda done, total: progress(what, done, total))


def data_reader(source: Source, adapted: Adapted, batch_size: int) -> Callable[..., Data]:
    """How data is opened for a network: read(data, limit) -> Data."""
    kind = KINDS[adapted.kind]
    chunk = min(PIECE, source.max_length or PIECE) if in_pieces(adapted) else None

    def read(data: Any, limit: int | None = None) -> Data:
        return open_data(data, kind, tokenizer=source.tokenizer, processor=source.processor,
                         inputs=adapted.graph.inputs, limit=limit, batch_size=batch_size, max_length=source.max_length,
                         chunk=None if _as_batches(data) else chunk, classes=source.labels)

    return read


def in_pieces(adapted: Adapted) -> bool:
    """Whether texts are cut into pieces of one length: for a language model, a causal network with its head."""
    causal = any(getattr(wire.layer, "causal", False) for wire in adapted.graph.wires)
    return causal and KINDS[adapted.kind] == "text" and bool(adapted.readout)


def _as_batches(data: Any) -> bool:
    """Whether the data are no text to cut, but inputs by name."""
    first = data[0] if isinstance(data, list | tuple) and data else data
    return not isinstance(first, str | Path)


def without_key_bias(graph: Graph) -> Graph:
    """The same network without the biases of its keys: q . b is one constant for a row, which softmax does not see."""
    graph = copy.deepcopy(graph)
    for wire in graph.wires:
        if isinstance(wire.layer, SoftmaxAttention):
            key = graph[wire.inputs[1]]
            only = [reader.name for reader in graph.consumers(wire.inputs[1])] == [wire.name]
            if only and isinstance(key, nn.Linear) and key.bias is not None:
                with torch.no_grad():
                    key.bias.zero_()
    return graph
