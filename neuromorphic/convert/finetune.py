"""Fine-tuning: scales and thresholds are learned from the ANN itself, on data without labels.

    teacher      the adapted ANN
    student      the same network with its coded values on their grids (fake_quantised.py)
    scales       steps of the codes, gains of the norms, and of each product W' = (1 + a) W (1 + b): b of its inputs,
                 how much a spike weighs apart from the threshold it crossed, a of its outputs
    thresholds   biases of products and norms: a bias in front of a coding layer moves its thresholds, one behind it
                 takes back what its rounding adds on average
    1st half     L = mean over residual sums of |h - h_ann|^2 / |h_ann - mean h_ann|^2
    2nd half     L = 1 - cos(y, y_ann) of embeddings
                 L = KL(softmax y_ann, softmax y) + |y - y_ann|^2 / |y_ann|^2 of logits
    kept         of the states after 0, 1/8, ... 8/8 of the steps the one of least L (2nd half) on samples held out,
                 a fifth and at most 256; where that is the first, nothing helped, the network stays training-free

Adam; matrices are frozen unless asked otherwise. The integer network is built from what comes out as it is from a
calibrated network, so spikes and code words still agree in every bit. A network made so is no longer training-free,
and its record says so.

Source: distillation, Hinton, Vinyals and Dean 2015 (temperature 1).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from neuromorphic.convert.batches import Data
from neuromorphic.convert.bias_correction import training_free
from neuromorphic.convert.calibration import Statistics, calibrate, sample_digests
from neuromorphic.convert.fake_quantised import FakeQuantised
from neuromorphic.convert.layers import Add
from neuromorphic.convert.prepare import Prepared, Progress, data_reader, silent
from neuromorphic.convert.ranges import ClipRange
from neuromorphic.convert.settings import Settings
from spikeattn.converted import Graph

RATE = 0.03  # of log2(step), at the beginning
VECTOR_RATE = 5e-3  # of gains and biases
WEIGHT_RATE = 3e-4  # of matrices, where they are tuned
WARM = 0.05  # of the steps, in which the rates grow
HIDDEN_SHARE = 0.5  # of the steps learn from hidden states, the rest from the output
HELD, MOST_HELD = 5, 256  # every fifth sample is held out, or fewer: not more than 256
CHECKS = 8  # times that the samples held out are looked at
MOST_SHARED = 0.5  # of the samples; data that overlaps more with the evaluation data is refused


class Gains(nn.Module):
    """W' = (1 + a) W (1 + b) of the weight (O, I, ...) of a product; a (O,), b (I,)."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.outputs, self.inputs = (nn.Parameter(weight.new_zeros(count)) for count in weight.shape[:2])

    def forward(self, weight: Tensor) -> Tensor:
        rest = (1,) * (weight.ndim - 2)
        return (1 + self.outputs).view(-1, 1, *rest) * weight * (1 + self.inputs).view(-1, *rest)


@dataclass(frozen=True, eq=False)
class Tuned:
    """What was learned. ranges: of the coded wires. graph: the network with its learned gains and biases in place (and
    matrices, with `weights`), statistics: of its values. All three are empty where nothing helped.

    kept: the step whose state was kept, 0 where nothing helped. source, sha256, samples: of the data. shared: how many
    of its samples are among the evaluation data, too, and were left out. rates: of steps, vectors and matrices.
    losses: mean of the first and the last tenth of each half, {"hidden": (first, last), "output": (first, last)}.
    held_out: (samples, their loss before, their loss in the state that was kept).
    """

    ranges: dict[str, ClipRange]
    steps: int
    kept: int
    weights: bool
    seed: int
    source: str
    sha256: str
    samples: int
    shared: int
    rates: tuple[float, float, float]
    graph: Graph | None
    statistics: Statistics | None
    losses: dict[str, tuple[float, float]]
    held_out: tuple[int, float, float]
    seconds: float = 0.0

    @property
    def provenance(self) -> str:
        if not self.kept:
            return "training-free"
        what = "scales, thresholds and weights" if self.weights else "scales and thresholds"
        return f"fine-tuned: {self.steps} steps of distillation of {what} on {self.source} (sha256 {self.sha256})"

    def record(self) -> dict[str, Any]:
        """As plain data."""
        samples, before, after = self.held_out
        outcome = "helped" if self.kept else "did not help, kept the calibrated ranges"
        return {"steps": self.steps, "kept": self.kept, "outcome": outcome, "seed": self.seed, "rate": self.rates[0],
                "vector_rate": self.rates[1], "weight_rate": self.rates[2] if self.weights else None,
                "source": self.source, "sha256": self.sha256, "samples": self.samples, "shared": self.shared,
                "losses": {name: list(ends) for name, ends in self.losses.items()},
                "held_out": {"samples": samples, "before": before, "after": after}}


def finetune(prepared: Prepared, settings: Settings, steps: int, data: Any = None, *, weights: bool = False,
             seed: int = 0, rate: float = RATE, vector_rate: float = VECTOR_RATE, weight_rate: float = WEIGHT_RATE,
             batch_size: int = 32, progress: Progress = silent) -> Tuned:
    """What `build` needs for a tuned network, learned in so many steps of one batch each.

    data: without labels, of the kind that the network takes; None is the calibration data. weights: tune matrices,
    too. seed: of the order of the batches, the only thing that is drawn.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"finetune: steps must be a whole number from 1 up, got {steps!r}. 200 is a short tuning.")
    chosen = prepared.calibration if data is None else data_reader(prepared.source, prepared.adapted, batch_size)(data)
    rows = _unseen(chosen, prepared.evaluation)
    learned, held = _split(rows)
    begun = time.perf_counter()
    builder = training_free(prepared, settings, progress)
    student = FakeQuantised(builder.graph, builder)
    products = [layer for layer in _inner(student) if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in products:
        parametrize.register_parametrization(layer, "weight", Gains(layer.weight))
    rates = (rate, vector_rate, weight_rate)
    losses, judged = _learn(student, prepared.graph, _groups(student, rates, weights), steps,
                            _batches(chosen, learned, seed), lambda: _judge(student, prepared.graph, chosen, held),
                            progress)
    kept = min(judged, key=judged.get)  # the first of equals
    ranges, graph, statistics = {}, None, None
    for layer in products:
        parametrize.remove_parametrizations(layer, "weight")
    if kept:
        names = list(prepared.statistics.sites)
        statistics = calibrate(student, prepared.calibration, names)  # before the steps are read: values have moved
        ranges, graph = student.ranges(), Graph(student.inputs, student.wires, student.output)
    return Tuned(ranges, steps, kept, weights, seed, chosen.source, chosen.sha256, chosen.items,
                 chosen.items - _count(rows), rates, graph, statistics, losses, (_count(held), judged[0], judged[kept]),
                 time.perf_counter() - begun)


def _inner(student: FakeQuantised) -> list[nn.Module]:
    """The layers that learn. Stem and read-out stay as they are."""
    return [wire.layer for wire in student.wires
            if not getattr(wire.layer, "stem", False) and not getattr(wire.layer, "readout", False)]


def _groups(student: FakeQuantised, rates: tuple[float, float, float], weights: bool) -> list[dict[str, Any]]:
    """What is learned, and how fast."""
    inner = [parameter for layer in _inner(student) for parameter in layer.parameters()]
    vectors = [parameter for parameter in inner if parameter.ndim == 1]
    matrices = [parameter for parameter in inner if parameter.ndim > 1 and weights]
    found = zip((list(student.steps), vectors, matrices), rates, strict=True)
    return [{"params": parameters, "lr": rate} for parameters, rate in found if parameters]


@torch.enable_grad()
def _learn(student: FakeQuantised, teacher: Graph, groups: list[dict[str, Any]], steps: int,
           batches: Iterator[dict[str, Tensor]], judge: Callable[[], float], progress: Progress,
           ) -> tuple[dict[str, tuple[float, float]], dict[int, float]]:
    """(losses of the halves, {step: what judge() said after it}); the student is left in the state of the least."""
    learned = [parameter for group in groups for parameter in group["params"]]
    for parameter in learned:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda done: (
        min(1.0, (done + 1) / (WARM * steps)) * (1 + math.cos(math.pi * done / steps)) / 2))
    hidden, checks = math.ceil(HIDDEN_SHARE * steps), {-(-steps * part // CHECKS) for part in range(1, CHECKS + 1)}
    found: list[float] = []
    judged, best = {0: judge()}, [parameter.detach().clone() for parameter in learned]
    for done, inputs in zip(range(1, steps + 1), batches, strict=False):
        loss = (_hidden if done <= hidden else _output)(student, teacher, inputs)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        found.append(float(loss.detach()))
        if not math.isfinite(found[-1]):
            raise ValueError(f"finetune: the loss must be finite, got {found[-1]} at step {done}. Lower the rate.")
        if done in checks:
            least, judged[done] = min(judged.values()), judge()
            best = [parameter.detach().clone() for parameter in learned] if judged[done] < least else best
        progress("fine-tune", done, steps)
    student.requires_grad_(False)
    for parameter, value in zip(learned, best, strict=True):
        parameter.copy_(value)
    halves = {"hidden": found[:hidden], "output": found[hidden:]}
    return {name: _ends(part) for name, part in halves.items() if part}, judged


@torch.no_grad()
def _judge(student: Graph, teacher: Graph, data: Data, held: list[Tensor]) -> float:
    """Loss of the output on the samples that are held out, mean over them."""
    losses = [(float(_output(student, teacher, inputs)), int(rows.sum())) for inputs, rows in _masked(data, held)]
    return sum(loss * count for loss, count in losses) / _count(held)


def _batches(data: Data, rows: list[Tensor], seed: int) -> Iterator[dict[str, Tensor]]:
    """Those rows of the batches, all batches in a new order in every pass, for ever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(rows), generator=generator).tolist()
        yield from (inputs for inputs, _ in _masked(data, rows, order))


def _masked(data: Data, rows: list[Tensor], order: Sequence[int] | None = None,
            ) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """The batches of which there are rows, without the others, in that order."""
    starts = (0, *data.cuts)
    for place in range(len(rows)) if order is None else order:
        if rows[place].any():
            inputs = data.collate(data.order[starts[place]:starts[place + 1]].tolist())
            yield {name: value[rows[place]] for name, value in inputs.items()}, rows[place]


def _hidden(student: FakeQuantised, teacher: Graph, inputs: dict[str, Tensor]) -> Tensor:
    """Residual sums are compared, or coded values where there are none."""
    sums = [wire.name for wire in student.wires if isinstance(wire.layer, Add)]
    watched = sums or [name for name in student.sites if name not in student.inputs] or [student.output]
    expected: dict[str, Tensor] = {}
    got: dict[str, Tensor] = {}
    with torch.no_grad():
        teacher(inputs, watch=expected.__setitem__)
    student(inputs, watch=got.__setitem__)
    mask = inputs.get("attention_mask")
    return torch.stack([_relative(_real(got[name], mask), _real(expected[name], mask)) for name in watched]).mean()


def _output(student: FakeQuantised, teacher: Graph, inputs: dict[str, Tensor]) -> Tensor:
    mask = inputs.get("attention_mask")
    with torch.no_grad():
        expected = _real(teacher(inputs), mask)
    loss = _logits if isinstance(student[student.output], nn.Linear) else _embedding
    return loss(_real(student(inputs), mask), expected)


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
    return divergence + (y - target).square().sum() / target.square().sum().clamp(min=1e-12)


def _unseen(data: Data, evaluation: Data | None) -> list[Tensor]:
    """Which samples of each batch may be learned from: those that are not among the evaluation data."""
    known = set() if evaluation is None else {
        digest for batch in evaluation for digest in sample_digests(batch.inputs)}
    found = [torch.tensor([digest not in known for digest in sample_digests(batch.inputs)]) for batch in data]
    shared = data.items - _count(found)
    if evaluation is not None and (data.sha256 == evaluation.sha256 or shared > MOST_SHARED * data.items):
        raise ValueError(f"finetune: the data must not be the evaluation data, got {data.source} of which {shared} of "
                         f"{data.items} samples are in {evaluation.source}. Tune on other data.")
    return found


def _split(rows: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Samples to learn from, and evenly spread ones that are held out.

    >>> [part[0].long().tolist() for part in _split([torch.tensor([True, False, True, True, True, True, True])])]
    [[1, 0, 1, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0]]
    """
    count = _count(rows)
    if count < HELD:
        raise ValueError(f"finetune: there must be at least {HELD} samples to learn from, got {count}. Give more data.")
    every = max(HELD, -(-count // MOST_HELD))
    place = torch.cat(rows).cumsum(0).split([len(some) for some in rows])  # 1, 2, ... among those that may be used
    held = [some & (at % every == (every + 1) // 2) for some, at in zip(rows, place, strict=True)]
    return [some & ~out for some, out in zip(rows, held, strict=True)], held


def _count(rows: list[Tensor]) -> int:
    return sum(int(some.sum()) for some in rows)


def _ends(losses: list[float]) -> tuple[float, float]:
    some = max(1, len(losses) // 10)
    return sum(losses[:some]) / some, sum(losses[-some:]) / some
