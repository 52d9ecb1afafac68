"""What watches a run: the first layer that stops being finite, and neuron layers that are silent or saturated."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class NonFiniteError(RuntimeError):
    """Training stopped before a step that would have spoilt the weights; `layer` is where it began."""

    def __init__(self, layer: str, what: str, step: int):
        self.layer, self.what, self.step = layer, what, step
        super().__init__(
            f"fit: loss and gradients must be finite, got {what} at step {step}, first in {layer!r}. "
            "The weights are those before the step. Lower optimiser.lr, or set precision.autocast to off."
        )


class FiringWarning(UserWarning):
    """A neuron layer that hardly fires, or hardly stops."""


@dataclass(frozen=True)
class FiringRate:
    """Share of (neuron, step) pairs of one layer that sent a positive and a negative spike."""

    positive: float
    negative: float = 0.0

    @property
    def total(self) -> float:
        return self.positive + self.negative


def tensors_of(value) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_of(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)


@contextmanager
def hooked(model: nn.Module, hook: Callable[[str, tuple, object], None],
           wanted: Callable[[nn.Module], bool] = lambda module: True) -> Iterator[None]:
    """While inside, `hook(name, inputs, outputs)` runs after every wanted module."""
    handles = [
        module.register_forward_hook(lambda _, inputs, outputs, name=name: hook(name, inputs, outputs))
        for name, module in model.named_modules() if wanted(module)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def measured_rates(model: nn.Module) -> Iterator[dict[str, FiringRate]]:
    """While inside, the dictionary fills with the firing rate of every layer that declares a spike alphabet."""
    counts: dict[str, Tensor] = {}

    def record(name: str, _, outputs) -> None:
        spikes = next(tensors_of(outputs)).detach()
        seen = torch.stack([(spikes > 0).sum(), (spikes < 0).sum(), spikes.new_tensor(spikes.numel()).long()])
        counts[name] = counts[name] + seen if name in counts else seen

    rates: dict[str, FiringRate] = {}
    with hooked(model, record, lambda module: getattr(module, "alphabet", "real") != "real"):
        yield rates
    for name, (positive, negative, total) in ((name, seen.tolist()) for name, seen in counts.items()):
        rates[name] = FiringRate(positive / total, negative / total)


def firing_complaints(rates: dict[str, FiringRate], silent: float, saturated: float) -> dict[str, str]:
    """{layer: what is wrong with it}, empty when every layer fires in between.

    >>> firing_complaints({"a": FiringRate(0.001), "b": FiringRate(0.5, 0.45), "c": FiringRate(0.2)}, 0.01, 0.9)
    {'a': 'silent: fires in 0.10 % of steps', 'b': 'saturated: fires in 95.00 % of steps'}
    """
    return {
        name: f"{'silent' if rate.total < silent else 'saturated'}: fires in {100 * rate.total:.2f} % of steps"
        for name, rate in rates.items() if not silent <= rate.total <= saturated
    }


def warn_firing(complaints: dict[str, str]) -> None:
    for name, complaint in complaints.items():
        warnings.warn(f"layer {name!r} is {complaint}", FiringWarning, stacklevel=3)


def first_non_finite(model: nn.Module, images: Tensor, forward: Callable[[Tensor], Tensor]) -> str:
    """The name of the layer where a forward pass, or else the gradients left by backward, stop being finite.

    Layers report as they finish, so the innermost one at fault is named. Gradients are searched from the output
    back, as they were computed.
    """
    if not _finite([images]):
        return "input"
    order: list[str] = []
    guilty: list[str] = []

    def inspect(name: str, inputs, outputs) -> None:
        order.append(name)
        if not guilty and not _finite(tensors_of(outputs)):
            guilty.append(name if _finite(tensors_of(inputs)) else f"input of {name}")

    with torch.no_grad(), hooked(model, inspect):
        forward(images)
    if guilty:
        return guilty[0] or type(model).__name__
    modules = dict(model.named_modules())
    for name in reversed(order):
        gradients = [p.grad for p in modules[name].parameters(recurse=False) if p.grad is not None]
        if not _finite(gradients):
            return name
    return "loss"


def _finite(tensors) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors if t.is_floating_point())
