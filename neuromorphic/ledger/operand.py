"""What was seen of one operand, and the kind of its values: a lattice that evidence climbs and never descends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["silent", "binary", "ternary", "scaled", "graded", "pow2", "real"]
KINDS: tuple[Kind, ...] = ("silent", "binary", "ternary", "scaled", "graded", "pow2", "real")
SPIKES: tuple[Kind, ...] = KINDS[:4]


def add_steps(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Step-wise sum; () where the two do not have the same steps (absorbing, hence associative)."""
    return tuple(x + y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else ()


@dataclass(frozen=True)
class Operand:
    """What was seen of one operand over every sample.

    numel, positive, negative: elements, how many were > 0 and < 0.
    nonzero_per_step: non-zeros at each time step; () where the operand has no time axis.
    smallest, largest: extremes of the non-zero magnitudes (0.0 where there was none).
    integers, powers_of_two: every value was an integer; every non-zero magnitude was a power of two.
    repeats: every time step held the same values (a static picture shown T times).
    declared: what its producer says it may hold ("pow2" after Shiftmax, "real" after a softmax), seen or not.
    sum, magnitude: sums of the values and of their magnitudes where all are integers, else 0.

    >>> from dataclasses import replace
    >>> spikes = Operand(numel=4, positive=1, negative=1, smallest=1.0, largest=1.0)
    >>> spikes.kind, spikes.nonzero, (spikes + replace(spikes, negative=0, largest=2.0)).kind
    ('ternary', 2, 'graded')
    """

    numel: int
    positive: int
    negative: int
    nonzero_per_step: tuple[int, ...] = ()
    smallest: float = 0.0
    largest: float = 0.0
    integers: bool = True
    powers_of_two: bool = True
    repeats: bool = False
    declared: Kind | None = None
    sum: int = 0
    magnitude: int = 0

    @property
    def nonzero(self) -> int:
        return self.positive + self.negative

    @property
    def rate(self) -> float:
        """Non-zero share of all elements, in [0, 1]."""
        return self.nonzero / self.numel if self.numel else 0.0

    @property
    def kind(self) -> Kind:
        """Place on the chain silent < binary < ternary < scaled < graded < pow2 < real.

        Each kind asks less of the values than the one before, and costs more: one magnitude folds into the weights,
        integers are repeated spikes, powers of two need a shift, the rest a multiplier. Integers that are powers of
        two are graded; what holds both integers and other powers of two is pow2 if all are powers of two, else real.
        Evidence only grows under +, so the kind of a sum is never below the kind of a part.
        """
        return max(self.declared or "silent", self._seen, key=KINDS.index)

    @property
    def _seen(self) -> Kind:
        if self.nonzero == 0:
            return "silent"
        if self.smallest == self.largest == 1.0:
            return "ternary" if self.negative else "binary"
        if self.smallest == self.largest:
            return "scaled"
        if self.integers:
            return "graded"
        return "pow2" if self.powers_of_two else "real"

    def __add__(self, other: "Operand") -> "Operand":
        return Operand.total((self, other))

    @staticmethod
    def total(parts: Sequence["Operand"]) -> "Operand":
        """Evidence of all parts together, in whatever order."""
        first, *others = parts
        if not others:
            return first
        per_step = first.nonzero_per_step
        for part in others:
            per_step = add_steps(per_step, part.nonzero_per_step)
        integers = all([part.integers for part in parts])
        declared = [part.declared for part in parts if part.declared]
        return Operand(
            numel=sum([part.numel for part in parts]),
            positive=sum([part.positive for part in parts]),
            negative=sum([part.negative for part in parts]),
            nonzero_per_step=per_step,
            smallest=min([part.smallest for part in parts if part.smallest > 0], default=0.0),
            largest=max([part.largest for part in parts]),
            integers=integers,
            powers_of_two=all([part.powers_of_two for part in parts]),
            repeats=all([part.repeats for part in parts]),
            declared=max(declared, key=KINDS.index, default=None),
            sum=sum([part.sum for part in parts]) if integers else 0,
            magnitude=sum([part.magnitude for part in parts]) if integers else 0,
        )
