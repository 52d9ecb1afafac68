"""What every neuron is: a pure step over explicit state, and the loop that runs it over time."""

import inspect
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from spikeattn.scan import scan
from spikeattn.surrogate import Surrogate
from spikeattn.types import Alphabet, NeuronCost, State


class Neuron(nn.Module, ABC):
    """A layer of spiking neurons: `spikes, state = neuron(current, state=None)`.

    current: (T, ...), any shape behind the time axis; spikes: the same shape, values in `alphabet`.
    state: a NamedTuple, or None to begin at rest. A subclass gives `init_state` and `step`; it keeps every
    constructor argument under its own name, so that `options` and `clone` need no further code.
    """

    citation: ClassVar[str | tuple[str, ...]] = ()  # whom to cite: see citations.py
    alphabet: ClassVar[Alphabet]
    signed_form: ClassVar["type[Neuron] | None"] = None  # set by the file of the signed neuron

    @abstractmethod
    def init_state(self, x_t: Tensor) -> State:
        """The state at rest for inputs like x_t (one step, without the time axis)."""

    @abstractmethod
    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step: (spikes, state after the reset)."""

    @property
    @abstractmethod
    def cost(self) -> NeuronCost:
        """Operations for one element and one step."""

    @property
    @abstractmethod
    def threshold_current(self) -> float:
        """The input that brings a neuron at rest to its threshold within one step."""

    @property
    def spike_step(self) -> float:
        """What one level of a spike is worth; a factor that folds into the weights behind it."""
        return 1.0

    def signed(self) -> "Neuron":
        """The neuron of the same dynamics that also sends -1; itself if it does already."""
        if self.alphabet in ("ternary", "signed_graded"):
            return self.clone()
        if self.signed_form is not None:
            return self.signed_form(**{name: getattr(self, name) for name in inspect.signature(type(self)).parameters})
        raise ValueError(
            f"{type(self).__name__}: has no signed form, which bipolar attention needs for its queries and keys. "
            "Use LIF, PLIF, IF or ILIF, or pass a signed neuron yourself."
        )

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        check_current(self, x)
        return scan(self.step, x, self.init_state(x[0]) if state is None else state)

    def options(self) -> dict:
        """The constructor arguments as plain data (what `config.json` stores)."""
        names = inspect.signature(type(self)).parameters
        return {name: _plain(getattr(self, name)) for name in names}

    def clone(self, **changes) -> Self:
        """A new neuron of the same kind, with some constructor arguments changed."""
        names = inspect.signature(type(self)).parameters
        unknown = sorted(changes.keys() - names.keys())
        if unknown:
            raise ValueError(
                f"{type(self).__name__}.clone: arguments must be among {list(names)}, got {unknown}. "
                "Leave out what this neuron does not have."
            )
        return type(self)(**{name: getattr(self, name) for name in names} | changes)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.options().items())


def _plain(value):
    if isinstance(value, Surrogate):
        return {"name": value.name, "alpha": value.alpha}
    return value


def check_current(layer: nn.Module, x: Tensor) -> None:
    """Refuse what is not a floating-point current over at least one time step."""
    name = type(layer).__name__
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: the current must be a tensor (T, ...), got {type(x).__name__}. Convert it first.")
    if x.ndim < 2 or x.shape[0] == 0:
        raise ValueError(
            f"{name}: the current must have shape (T, B, ...) with T >= 1, got {tuple(x.shape)}. "
            "Add the time axis in front: x.unsqueeze(0) for a single step."
        )
    if not x.is_floating_point():
        raise TypeError(f"{name}: the current must be floating point, got {x.dtype}. Use x.float().")


def check_positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{owner}: {name} must be positive, got {value}. Choose a number above 0.")


def is_power_of_two(value: float) -> bool:
    """True where multiplying by `value` is a shift."""
    return value > 0 and torch.frexp(torch.tensor(value, dtype=torch.float64)).mantissa.item() == 0.5
