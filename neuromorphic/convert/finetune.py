"""Fine-tuning: the steps of the codes are learned from the ANN itself, on data without labels.

    teacher     the adapted ANN
    student     the same network with its coded values on their grids (fake_quantised.py)
    1st half    L = mean over residual sums of |h - h_ann|^2 / |h_ann - mean h_ann|^2
    2nd half    L = 1 - cos(y, y_ann) of embeddings;  KL(softmax y_ann, softmax y) + |y - y_ann|^2 / var of logits

Adam, weights frozen unless asked otherwise. What comes out are clip ranges: the integer network is built from them as
it is from calibrated ones, so spikes and code words still agree in every bit. A network made so is no longer
training-free, and its record says so.

Source: distillation, Hinton, Vinyals and Dean 2015 (temperature 1).
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuromorphic.convert.batches import Data
from neuromorphic.convert.calibration import Statistics, calibrate, sample_digests
from neuromorphic.convert.fake_quantised import FakeQuantised
from neuromorphic.convert.layers import Add
from neuromorphic.convert.prepare import Prepared, Progress, data_reader, silent
from neuromorphic.convert.quantise import quantise
from neuromorphic.convert.ranges import ClipRange
from neuromorphic.convert.settings import Settings
from spikeattn.converted import Graph

RATE = 0.03  # of log2(step), at the beginning
WEIGHT_RATE = 1e-4  # of weights and biases, where they are tuned
HIDDEN_SHARE = 0.5  # of the steps learn from hidden states, the rest from the output
MOST_SHARED = 0.5  # of the samples; data that overlaps more with the evaluation data is refused


@dataclass(frozen=True, eq=False)
class Tuned:
    """What was learned. ranges: of the coded wires. graph, statistics: where the weights were tuned as well.

    source, sha256, samples: of the data. shared: how many of its samples are among the evaluation data, too, and were
    left out. rates: of learning, of the scales and of the weights, at the first step.
    losses: mean of the first and the last tenth of each half, {"hidden": (first, last), "output": (first, last)}.
    """

    ranges: dict[str, ClipRange]
    steps: int
    seed: int
    source: str
    sha256: str
    samples: int
    shared: int
    rates: tuple[float, float] = (RATE, WEIGHT_RATE)
    graph: Graph | None = None
    statistics: Statistics | None = None
    losses: dict[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def provenance(self) -> str:
        what = "scales" if self.graph is None else "scales and weights"
        return f"fine-tuned: {self.steps} steps of distillation of {what} on {self.source} (sha256 {self.sha256})"

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"steps": self.steps, "seed": self.seed, "rate": self.rates[0],
                "weight_rate": None if self.graph is None else self.rates[1], "source": self.source,
                "sha256": self.sha256, "samples": self.samples, "shared": self.shared,
                "losses": {name: list(ends) for name, ends in self.losses.items()}}


def finetune(prepared: Prepared, settings: Settings, steps: int, data: Any = None, *, weights: bool = False,
             seed: int = 0, rate: float = RATE, weight_rate: float = WEIGHT_RATE, batch_size: int = 32,
             progress: Progress = silent) -> Tuned:
    """Ranges for `build`, learned in so many steps of one batch each.

    data: without labels, of the kind that the network takes; None is the calibration data. weights: tune weights and
    biases, too. seed: of the order of the batches, the only thing that is drawn.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"finetune: steps must be a whole number from 1 up, got {steps!r}. 200 is a short tuning.")
    chosen = prepared.calibration if data is None else data_reader(prepared.source, prepared.adapted, batch_size)(data)
    rows = _unseen(chosen, prepared.evaluation)
    shared = chosen.items - sum(int(some.sum()) for some in rows)
    begun = time.perf_counter()
    with torch.no_grad():
        builder = quantise(prepared.graph, prepared.statistics, settings)
    student = FakeQuantised(prepared.graph, builder)
    batches, rates = _batches(chosen, rows, seed), (rate, weight_rate)
    losses = _learn(student, prepared.graph, batches, steps, weights, rates, progress)
    graph = statistics = None
    if weights:
        names = list(prepared.statistics.sites)
        statistics = calibrate(student, prepared.calibration, names)  # before the steps are read: values have moved
        graph = Graph(student.inputs, student.wires, student.output)
    return Tuned(student.ranges(), steps, seed, chosen.source, chosen.sha256, chosen.items, shared, rates, graph,
                 statistics, losses, time.perf_counter() - begun)


@torch.enable_grad()
def _learn(student: FakeQuantised, teacher: Graph, batches: Iterator[dict[str, Tensor]], steps: int, weights: bool,
           rates: tuple[float, float], progress: Progress) -> dict[str, tuple[float, float]]:
    groups = [{"params": list(student.steps), "lr": rates[0]}]
    if weights:
        groups.append({"params": _weights(student), "lr": rates[1]})
    student.requires_grad_(False)
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda done: (1 + math.cos(math.pi * done / steps)) / 2)
    hidden, watched = math.ceil(HIDDEN_SHARE * steps), _watched(student)
    wanted = _logits if isinstance(student[student.output], nn.Linear) else _embedding
    found: list[float] = []
    for done, inputs in zip(range(steps), batches, strict=False):
        loss = (_hidden(student, teacher, inputs, watched) if done < hidden else
                _output(student, teacher, inputs, wanted))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        found.append(float(loss.detach()))
        if not math.isfinite(found[-1]):
            raise ValueError(f"finetune: the loss must be finite, got {found[-1]} at step {done}. Lower the rate.")
        progress("fine-tune", done + 1, steps)
    student.requires_grad_(False)
    return {name: _ends(part) for name, part in (("hidden", found[:hidden]), ("output", found[hidden:])) if part}


def _batches(data: Data, rows: list[Tensor], seed: int) -> Iterator[dict[str, Tensor]]:
    """Those rows of the batches, all batches in a new order in every pass, for ever."""
    generator = torch.Generator().manual_seed(seed)
    starts = (0, *data.cuts)
    while True:
        for place in torch.randperm(len(data.cuts), generator=generator).tolist():
            if rows[place].any():
                inputs = data.collate(data.order[starts[place]:starts[place + 1]].tolist())
                yield {name: value[rows[place]] for name, value in inputs.items()}


def _weights(student: FakeQuantised) -> list[nn.Parameter]:
    """Parameters between the declared stem and the declared read-out."""
    return [parameter for wire in student.wires for parameter in wire.layer.parameters()
            if not getattr(wire.layer, "stem", False) and not getattr(wire.layer, "readout", False)]


def _watched(student: FakeQuantised) -> tuple[str, ...]:
    """Where hidden states are compared: residual sums, or coded values where there are none."""
    sums = tuple(wire.name for wire in student.wires if isinstance(wire.layer, Add))
    return sums or tuple(name for name in student.sites if name not in student.inputs) or (student.output,)


def _hidden(student: Graph, teacher: Graph, inputs: dict[str, Tensor], watched: tuple[str, ...]) -> Tensor:
    expected: dict[str, Tensor] = {}
    got: dict[str, Tensor] = {}
    with torch.no_grad():
        teacher(inputs, watch=expected.__setitem__)
    student(inputs, watch=got.__setitem__)
    mask = inputs.get("attention_mask")
    return torch.stack([_relative(_real(got[name], mask), _real(expected[name], mask)) for name in watched]).mean()


def _output(student: Graph, teacher: Graph, inputs: dict[str, Tensor], wanted: Callable) -> Tensor:
    mask = inputs.get("attention_mask")
    with torch.no_grad():
        expected = teacher(inputs)
    return wanted(_real(student(inputs), mask), _real(expected, mask))


def _real(x: Tensor, mask: Tensor | None) -> Tensor:
    """Rows that are not padding, channels last."""
    x = x.movedim(1, -1) if x.ndim == 4 else x
    return x[mask != 0] if mask is not None and x.ndim == 3 and x.shape[:2] == mask.shape else x.flatten(0, -2)


def _relative(x: Tensor, target: Tensor) -> Tensor:
    """Squared error as a share of the variance about each channel's mean."""
    return (x - target).square().sum() / (target - target.mean(0)).square().sum().clamp(min=1e-12)


def _embedding(y: Tensor, target: Tensor) -> Tensor:
    return 1 - functional.cosine_similarity(y, target, dim=-1).mean()


def _logits(y: Tensor, target: Tensor) -> Tensor:
    divergence = functional.kl_div(y.log_softmax(-1), target.log_softmax(-1), reduction="batchmean", log_target=True)
    return divergence + _relative(y, target)


def _unseen(data: Data, evaluation: Data | None) -> list[Tensor]:
    """Which samples of each batch may be learned from: those that are not among the evaluation data."""
    known = set() if evaluation is None else {
        digest for batch in evaluation for digest in sample_digests(batch.inputs)}
    found = [torch.tensor([digest not in known for digest in sample_digests(batch.inputs)]) for batch in data]
    shared = data.items - sum(int(rows.sum()) for rows in found)
    if evaluation is not None and (data.sha256 == evaluation.sha256 or shared > MOST_SHARED * data.items):
        raise ValueError(f"finetune: the data must not be the evaluation data, got {data.source} of which {shared} of "
                         f"{data.items} samples are in {evaluation.source}. Tune on other data.")
    return found


def _ends(losses: list[float]) -> tuple[float, float]:
    some = max(1, len(losses) // 10)
    return sum(losses[:some]) / some, sum(losses[-some:]) / some
