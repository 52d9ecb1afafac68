"""The words every room shares: axis letters, states over time, and the cost a neuron declares.

Axis letters, in every comment and docstring of this project:

    T time step   B batch   N token (query)   M token (key)   D channel   H head   d = D/H head width
    C picture channel   Y picture row   X picture column   K class

Time is axis 0 and batch axis 1 everywhere: tokens are (T, B, N, D), pictures (T, B, C, Y, X).

A *state* carries what a layer remembers from one step to the next. It is a NamedTuple whose fields are
tensors, other states, plain tuples of states, or None (not begun, or nothing to remember).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

State = Any  # a NamedTuple as described above; Python's type system cannot say "any NamedTuple"
Alphabet = Literal["binary", "ternary", "graded", "signed_graded", "real"]


@dataclass(frozen=True)
class NeuronCost:
    """Operations of one neuron for one element and one time step, as declared by the neuron itself.

    leak: how the old membrane decays: "none" (integrate), "shift" (decay is a power of two) or "mul".
    compares: threshold comparisons (2 for a ternary neuron).
    reset: "none", "hard" (the membrane is gated by the spike) or "soft" (the threshold is subtracted).
    state_words: membrane words read and written back each step.
    """

    leak: Literal["none", "shift", "mul"]
    compares: int
    reset: Literal["none", "hard", "soft"]
    state_words: int = 1


def _fields(state: State) -> Iterator[tuple[str, State]]:
    names = getattr(state, "_fields", None) or map(str, range(len(state)))
    return zip(names, state, strict=True)


def _rebuild(state: State, values: list) -> State:
    return type(state)(*values) if hasattr(state, "_fields") else tuple(values)


def map_state(function, state: State) -> State:
    """The same state with `function` applied to every tensor.

    >>> import torch
    >>> map_state(lambda v: v + 1, (torch.zeros(2), None))
    (tensor([1., 1.]), None)
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return function(state)
    return _rebuild(state, [map_state(function, value) for _, value in _fields(state)])


def detach_state(state: State) -> State:
    """The same state cut from the autograd graph: truncated back-propagation through time."""
    return map_state(Tensor.detach, state)


def flatten_state(state: State, prefix: str = "") -> dict[str, Tensor]:
    """Every tensor of a state under its dotted name, such as `blocks.0.attn.q.v`.

    >>> import torch
    >>> list(flatten_state((torch.zeros(1), (torch.zeros(1), None))))
    ['0', '1.0']
    """
    if state is None:
        return {}
    if isinstance(state, Tensor):
        return {prefix: state}
    flat: dict[str, Tensor] = {}
    for name, value in _fields(state):
        flat |= flatten_state(value, f"{prefix}.{name}" if prefix else name)
    return flat


def unflatten_state(like: State, flat: dict[str, Tensor]) -> State:
    """The state of the form of `like` whose tensors are taken from `flat` (inverse of `flatten_state`).

    Raises ValueError when `flat` has a name that `like` lacks, or the reverse.
    """
    expected = flatten_state(like)
    missing, unexpected = sorted(expected.keys() - flat.keys()), sorted(flat.keys() - expected.keys())
    if missing or unexpected:
        raise ValueError(
            f"unflatten_state: names must equal those of the state, missing {missing}, unexpected {unexpected}. "
            "Pass the dictionary that flatten_state gave for a state of the same model."
        )
    return _take(like, flat, "")


def _take(like: State, flat: dict[str, Tensor], prefix: str) -> State:
    if like is None:
        return None
    if isinstance(like, Tensor):
        return flat[prefix]
    values = [_take(value, flat, f"{prefix}.{name}" if prefix else name) for name, value in _fields(like)]
    return _rebuild(like, values)
