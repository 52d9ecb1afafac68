"""One executed operation as a counter sees it, and the exact measurement of an operand.

A counter is `count(call) -> rows`: a non-empty list is what the operation costs, an empty list says that it is
free here (a folded norm), None that the counter cannot price this use (it becomes uncovered).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuromorphic.count.facts import Facts
from neuromorphic.ledger import Kind, Operand, Row


@dataclass(frozen=True)
class Call:
    """name: "aten::addmm"; arguments: by schema name, defaults filled in; out: what it returned."""

    name: str
    arguments: dict[str, Any]
    out: Any
    scope: str
    facts: Facts

    def __getitem__(self, argument: str) -> Any:
        return self.arguments.get(argument)

    @property
    def result(self) -> Tensor:
        """The (first) output tensor."""
        return self.out[0] if isinstance(self.out, (list, tuple)) else self.out

    def constant(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and self.facts.of(tensor).constant

    def operand(self, tensor: Tensor) -> Operand:
        facts = self.facts.of(tensor)
        return measure(tensor, self.facts.steps(tensor), facts.declared, facts.reads_input, self.scope)

    def row(self, op: str, *, steps: int | None = None, **evidence: Any) -> Row:
        """A row at this scope; geometry given as a dict, steps from the result unless given."""
        geometry = tuple(sorted(evidence.pop("geometry", {}).items()))
        steps = steps or self.facts.steps(self.result)
        return Row(scope=self.scope, op=op, steps=steps, geometry=geometry, **evidence)


Counter = Callable[[Call], list[Row] | None]


def measure(x: Tensor, steps: int = 1, declared: Kind | None = None, repeats: bool = False,
            where: str = "") -> Operand:
    """Exact evidence of a tensor's values; `repeats` asks to compare the time steps with each other.

    >>> measure(torch.tensor([1., -1., 0., 1.])).kind
    'ternary'
    """
    if x.dtype == torch.bool:
        x = x.to(torch.uint8)
    positive, negative = int(torch.count_nonzero(x > 0)), int(torch.count_nonzero(x < 0))
    smallest, largest = _extremes(x, where) if positive + negative else (0.0, 0.0)
    by_step = x.reshape(steps, -1) if steps > 1 else None
    single = smallest == largest
    return Operand(
        numel=x.numel(),
        positive=positive,
        negative=negative,
        nonzero_per_step=tuple(torch.count_nonzero(by_step, 1).tolist()) if steps > 1 else (),
        smallest=smallest,
        largest=largest,
        integers=largest.is_integer() if single else integral(x),
        powers_of_two=power_of_two(largest) or largest == 0 if single else _powers_of_two(x),
        repeats=repeats and steps > 1 and bool((by_step == by_step[0]).all()),
        declared=declared,
    )


def _extremes(x: Tensor, where: str) -> tuple[float, float]:
    magnitude = x.abs()
    largest = float(magnitude.max())
    if not math.isfinite(largest):
        raise ValueError(
            f"trace: every value that an operation reads must be finite, got {largest} in {where or 'the model'!r}. "
            "The network overflows on this input: check its weights and the scale of the input."
        )
    return float(torch.where(magnitude > 0, magnitude, magnitude.max()).min()), largest


def integral(x: Tensor) -> bool:
    return not x.is_floating_point() or bool((x == x.round()).all())


def power_of_two(value: float) -> bool:
    """True where a multiplication by the value is a shift.

    >>> power_of_two(0.125), power_of_two(-2.0), power_of_two(3.0)
    (True, True, False)
    """
    return math.frexp(abs(value))[0] == 0.5


def _powers_of_two(x: Tensor) -> bool:
    mantissa = torch.frexp(x.abs() if x.is_floating_point() else x.abs().double()).mantissa
    return bool(((mantissa == 0.5) | (mantissa == 0)).all())


def units(x: Tensor, seen: Operand, events: int, taps: Tensor | int = 1) -> int:
    """Sum of |x| * taps as an exact integer, 0 where x is not integral; events is the same sum over non-zeros."""
    if not seen.integers:
        return 0
    if seen.smallest == seen.largest:
        return int(seen.largest) * events
    return int((x.abs().to(torch.int64) * taps).sum())


def scaling(factor: float, count: int) -> dict[str, int]:
    """`count` multiplications by one known factor: shifts where it is a power of two, nothing where it is 1."""
    if abs(factor) == 1:
        return {}
    return {"SHIFT" if power_of_two(factor) else "MUL": count}
