"""The training run: `result = fit(model, splits, recipe)`.

    x, y    = augment(batch)                      random numbers from (seed, epoch, step) alone
    loss    = cross_entropy(model(x), y)          soft targets, label smoothing
    g       = clip(d loss / d weights)            stop here if loss or g is not finite
    weights = AdamW(weights, g, lr(step))

A run that was stopped at any moment continues from its last checkpoint with the same numbers bit for bit.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeattn.data import augment
from spikeattn.data.batches import derived_seed, steps_per_epoch, training_batches
from spikeattn.data.dataset import Dataset, Splits
from spikeattn.files import write_text
from spikeattn.models import create_model
from spikeattn.models.pretrained import WEIGHTS, load_state, read_safetensors, write_safetensors
from spikeattn.train import checkpoint
from spikeattn.train.config import Recipe
from spikeattn.train.evaluation import Evaluation, checked_logits, evaluate
from spikeattn.train.guard import (
    FiringRate,
    NonFiniteError,
    firing_complaints,
    first_non_finite,
    measured_rates,
    warn_firing,
)
from spikeattn.train.optimiser import adamw, learning_rate
from spikeattn.train.record import Log, environment, weights_hash

RECIPE, LOG, CHECKPOINT, BEST, LAST = "recipe.json", "log.jsonl", "checkpoint", "best", "last"


@dataclass(frozen=True)
class Progress:
    """Where a run stands; given to the `progress` function after every step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Result:
    """A run that ended. `finished` is False where `limit_minutes` stopped it; `epochs` are the log's records.

    validation and test belong to the weights left in the model: the best ones on the validation set where
    there is one, else the last.
    """

    recipe: Recipe
    epochs: tuple[dict[str, Any], ...]
    validation: Evaluation | None
    test: Evaluation | None
    firing_rates: dict[str, FiringRate]
    complaints: dict[str, str]
    weights_hash: str
    seconds: float
    finished: bool
    directory: Path | None


def build_model(recipe: Recipe, splits: Splits) -> nn.Module:
    """The recipe's model, sized for the data, with weights that follow from the recipe's seed."""
    section, data = recipe.model, splits.train
    parts = tuple(section.attention.split(",")) if section.attention else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return create_model(
            section.name, attention=parts, neuron=section.neuron, timesteps=section.timesteps,
            num_classes=len(data.classes), in_channels=data.images.shape[1], image_size=data.image_size,
            **section.sizes,
        )


def fit(model: nn.Module, splits: Splits, recipe: Recipe, *, out: str | Path | None = None, resume: bool = False,
        progress: Callable[[Progress], None] | None = None) -> Result:
    """Train `model` in place. With `out`, log, checkpoints and the resulting model are written there.

    splits.validation, or else a share `recipe.data.validation` of the training set, chooses the best epoch.
    The test set is looked at once, after the last step. resume: continue the run in `out` if there is one.
    """
    device = pick_device(recipe.device)
    with _reproducible(recipe, device):
        return _Run(model, splits, recipe, device, Path(out) if out else None, resume, progress).go()


def pick_device(name: str) -> torch.device:
    """cuda where there is one, for "auto"; else the device of that name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: must be present, got 'cuda' on a machine without one. Use auto or cpu.")
    return device


@contextmanager
def _reproducible(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Seeded random numbers, and on a GPU deterministic kernels; both are as before afterwards."""
    cuda = device.type == "cuda"
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[device.index or 0] if cuda else []):
        torch.manual_seed(derived_seed(recipe.seed, "layers"))
        if cuda and recipe.precision.deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


class _Run:
    """The moving parts of one call of `fit`."""

    def __init__(self, model: nn.Module, splits: Splits, recipe: Recipe, device: torch.device, out: Path | None,
                 resume: bool, progress: Callable[[Progress], None] | None):
        if recipe.data.validation and splits.validation is None:
            splits = splits.hold_out(recipe.data.validation)
        self.model, self.recipe, self.device, self.out, self.progress = model.to(device), recipe, device, out, progress
        self.splits, self.train = splits, _on(splits.train, device)
        self.batch_size = min(recipe.data.batch_size, len(self.train))
        self.steps = steps_per_epoch(len(self.train), self.batch_size)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = adamw(model, recipe.optimiser)
        self.generator = torch.Generator(device)
        self.epoch = self.step = 0
        self.sums = [0.0, 0.0, 0.0]  # loss, correct pictures, gradient norm, of this epoch so far
        self.history: list[dict[str, Any]] = []
        self.best, self.best_state = -1.0, None
        self.rates: dict[str, FiringRate] = {}
        self.complaints: dict[str, str] = {}
        self.seconds, self.began = 0.0, time.perf_counter()
        self.log = Log(None)
        if out is not None:
            self._open(out, resume)

    def go(self) -> Result:
        finished = self._train()
        if not finished:
            return self._result(None, None, finished)
        if self.best_state is not None:
            self.model.load_state_dict(self.best_state)
        batch = self.recipe.data.evaluation_batch_size
        parts = (self.splits.validation, self.splits.test)
        validation, test = (evaluate(self.model, part, batch, self.device) if part else None for part in parts)
        self.model.eval()
        result = self._result(validation, test, finished)
        self.log.write("end", test_accuracy=test.accuracy, test_correct=test.correct, test_count=test.count,
                       validation_accuracy=validation.accuracy if validation else None,
                       weights_hash=result.weights_hash, seconds=result.seconds)
        return result

    def _train(self) -> bool:
        """True when all epochs are done, False when the time limit came first."""
        epochs = self.recipe.schedule.epochs
        while self.epoch < epochs:
            began, first = time.perf_counter(), self.step
            batches = training_batches(self.train, self.batch_size, seed=self.recipe.seed, epoch=self.epoch,
                                       start=first)
            self.model.train()
            for images, labels in batches:
                self._train_step(images, labels)
                if self._out_of_time() and (self.epoch, self.step) != (epochs - 1, self.steps):
                    self._checkpoint()
                    return False
                if self.recipe.save_every and self.step % self.recipe.save_every == 0 and self.step < self.steps:
                    self._checkpoint()
            self._end_epoch((self.step - first) * self.batch_size, time.perf_counter() - began)
        return True

    def _train_step(self, images: Tensor, labels: Tensor) -> None:
        images, targets = self._augmented(images, labels)
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        last = self.step == self.steps - 1
        with measured_rates(self.model) if last else nullcontext(self.rates) as rates:
            logits = self._forward(images)
        self.rates = rates
        loss = torch.nn.functional.cross_entropy(checked_logits(logits, *targets.shape).float(), targets,
                                                 label_smoothing=self.recipe.optimiser.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        correct = (logits.argmax(1) == targets.argmax(1)).sum()
        # a neuron turns NaN into silence, so loss and gradients can stay finite while a norm's statistics do not
        statistics = torch.nn.utils.get_total_norm([b for b in self.model.buffers() if b.is_floating_point()])
        *values, spoilt = torch.stack([loss.detach(), correct, norm, statistics.to(self.device)]).double().tolist()
        if not all(map(_is_finite, (*values, spoilt))):
            self._stop(images, buffers, values)
        if self.recipe.optimiser.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.recipe.optimiser.clip_norm, norm)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.optimiser.step()
        self.sums = [total + value for total, value in zip(self.sums, values, strict=True)]
        self.step += 1
        if self.progress is not None:
            seen = self.step * self.batch_size
            self.progress(Progress(self.epoch + 1, self.recipe.schedule.epochs, self.step, self.steps,
                                   self.sums[0] / self.step, self.sums[1] / seen))

    def _augmented(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        options, data = self.recipe.augment, self.train
        mixing = self.epoch < options.mix_until * self.recipe.schedule.epochs
        transforms = augment.pipeline(
            crop_padding=options.crop, flip_probability=options.flip, erase_probability=options.erase, fill=data.mean,
            mixup_alpha=options.mixup * mixing, cutmix_alpha=options.cutmix * mixing,
        )
        self.generator.manual_seed(derived_seed(self.recipe.seed, "augment", self.epoch, self.step))
        targets = torch.nn.functional.one_hot(labels, len(data.classes)).float()
        images, targets = augment.apply(transforms, data.scale(images), targets, self.generator)
        return data.normalise(images), targets

    def _forward(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision.autocast == "bfloat16"):
            return self.model(images)

    def _learning_rate(self) -> float:
        step = self.epoch * self.steps + self.step
        return learning_rate(step, self.steps, self.recipe.optimiser.lr, self.recipe.schedule)

    def _stop(self, images: Tensor, buffers: list[Tensor], values: list[float]) -> None:
        """Put the buffers back as they were before the step, find the layer, and raise."""
        _restore(self.model, buffers)
        layer = first_non_finite(self.model, images, self._forward)
        _restore(self.model, buffers)
        self.optimiser.zero_grad(set_to_none=True)
        what = f"loss {values[0]}, gradient norm {values[2]}, or a norm's statistics"
        step = self.epoch * self.steps + self.step
        self.log.write("stopped", layer=layer, what=what, step=step)
        raise NonFiniteError(layer, what, step)

    def _end_epoch(self, images: int, seconds: float) -> None:
        loss, correct, norm = (total / self.steps for total in self.sums)
        record = {
            "epoch": self.epoch + 1, "loss": loss, "accuracy": correct / self.batch_size,
            "gradient_norm": norm, "lr": self.optimiser.param_groups[0]["lr"],
            "images_per_second": round(images / seconds, 1),
            "firing_rates": {name: [rate.positive, rate.negative] for name, rate in self.rates.items()},
        }
        if self.splits.validation:
            found = evaluate(self.model, self.splits.validation, self.recipe.data.evaluation_batch_size, self.device)
            record["validation_accuracy"] = found.accuracy
            if found.accuracy > self.best:
                self.best = found.accuracy
                self.best_state = {name: value.clone() for name, value in self.model.state_dict().items()}
                self._export(BEST)
        self.history.append(record)
        self.log.write("epoch", **record)
        self._complain()
        self.epoch, self.step, self.sums = self.epoch + 1, 0, [0.0, 0.0, 0.0]
        if self.epoch == self.recipe.schedule.epochs:
            self._export(LAST)
        self._checkpoint()

    def _complain(self) -> None:
        guard = self.recipe.guard
        found = firing_complaints(self.rates, guard.silent, guard.saturated)
        new = {name: text for name, text in found.items() if name not in self.complaints}
        for name, text in new.items():
            self.log.write("warning", epoch=self.epoch + 1, layer=name, text=text)
        warn_firing(new)
        self.complaints = found

    def _export(self, name: str) -> None:
        """The model as a directory of its own; for a foreign nn.Module, its weights alone."""
        if self.out is None:
            return
        if hasattr(self.model, "save_pretrained"):
            self.model.save_pretrained(self.out / name)
        else:
            write_safetensors(self.model, self.out / name / WEIGHTS)

    def _checkpoint(self) -> None:
        if self.out is None:
            return
        state = {
            "recipe": _identity(self.recipe), "epoch": self.epoch, "step": self.step, "sums": self.sums,
            "history": self.history, "best": self.best, "complaints": self.complaints, "log_size": self.log.size,
            "rates": {name: [rate.positive, rate.negative] for name, rate in self.rates.items()},
            "optimiser": self.optimiser.state_dict(), "random": checkpoint.random_state(self.device),
            "seconds": self._elapsed(),
        }
        checkpoint.save(self.out / CHECKPOINT, self.model, state, self.epoch * self.steps + self.step)

    def _open(self, out: Path, resume: bool) -> None:
        """Start a run directory, or continue the one that is there."""
        directory = out / CHECKPOINT
        if not resume and (directory / checkpoint.STATE).exists():
            raise ValueError(f"fit: {out} must not hold a run already, it does. Resume it, or name another.")
        state = checkpoint.load(directory, self.model) if resume else None
        if state is None:
            self.log = Log(out / LOG)
            write_text(out / RECIPE, json.dumps(self.recipe.to_dict(), indent=2) + "\n")
            self.log.write(
                "start", recipe=self.recipe.to_dict(), environment=environment(self.device),
                parameters=sum(p.numel() for p in self.model.parameters()), steps_per_epoch=self.steps,
                data={part: data.content_hash() for part, data in vars(self.splits).items() if data},
            )
            return
        if state["recipe"] != _identity(self.recipe):
            raise ValueError(f"fit: the run in {out} must be resumed with its own recipe, got another. "
                             f"Use {out / RECIPE}, or choose another directory.")
        self.optimiser.load_state_dict(state["optimiser"])
        checkpoint.set_random_state(state["random"], self.device)
        for name in ("epoch", "step", "sums", "history", "best", "complaints", "seconds"):
            setattr(self, name, state[name])
        self.rates = {name: FiringRate(*rate) for name, rate in state["rates"].items()}
        if self.best >= 0:
            load_state(self.model, read_safetensors(out / BEST / WEIGHTS), source=str(out / BEST))
            self.best_state = {name: value.clone() for name, value in self.model.state_dict().items()}
            checkpoint.load(directory, self.model)
        self.log = Log(out / LOG, keep=state["log_size"])

    def _elapsed(self) -> float:
        return self.seconds + time.perf_counter() - self.began

    def _out_of_time(self) -> bool:
        limit = self.recipe.limit_minutes
        return bool(limit) and time.perf_counter() - self.began > 60 * limit

    def _result(self, validation: Evaluation | None, test: Evaluation | None, finished: bool) -> Result:
        return Result(
            recipe=self.recipe, epochs=tuple(self.history), validation=validation, test=test, firing_rates=self.rates,
            complaints=self.complaints, weights_hash=weights_hash(self.model), seconds=self._elapsed(),
            finished=finished, directory=self.out,
        )


def _identity(recipe: Recipe) -> str:
    """The fields that decide the numbers: not where and how long."""
    data = asdict(replace(recipe, device="auto", save_every=0, limit_minutes=0.0))
    data["data"]["root"] = None
    return json.dumps(data, sort_keys=True)


def _on(dataset: Dataset, device: torch.device) -> Dataset:
    return replace(dataset, images=dataset.images.to(device), labels=dataset.labels.to(device))


def _restore(model: nn.Module, buffers: list[Tensor]) -> None:
    with torch.no_grad():
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)


def _is_finite(value: float) -> bool:
    return value - value == 0
