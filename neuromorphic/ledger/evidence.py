"""The rows of a ledger: evidence of an operation site, and what a neuron layer emitted."""

from dataclasses import dataclass, field, replace

from neuromorphic.ledger.operand import Operand, add_steps


@dataclass(frozen=True)
class Row:
    """Evidence for one operation site.

    scope: module path ("" is the model itself); op: family ("linear", "conv", "matmul", "neuron", "softmax", ...);
    call: how many operations of this family this scope had already run in the forward pass.
    order: position in the forward pass (rows are listed in this order); geometry: batch-free sizes.

    Products (linear, conv, matmul). `right` is None where the right operand is the weights.
        dense           multiply-accumulates if nothing is skipped, padding excluded
        padding         further taps that fall on zero padding
        bias            bias additions
        left_events     sum over the non-zeros of left of their fan-out;  right_events  likewise
        coincidence     terms in which both operands are non-zero (== left_events against weights)
        left_units      sum over left of |value| * fan-out where all values are integers;  right_units  likewise
    Everything else: `counts` by class of operation (ADD, MUL, SHIFT, CMP, AND, LOD, EXP, DIV, ...).
    words: memory words touched ("membrane_read", "membrane_write", "input", "output").
    reads_input: the operand is the model's input itself (first convolution).
    """

    scope: str
    op: str
    call: int = 0
    order: int = 0
    steps: int = 1
    geometry: tuple[tuple[str, int], ...] = ()
    left: Operand | None = None
    right: Operand | None = None
    dense: int = 0
    padding: int = 0
    bias: int = 0
    left_events: int = 0
    right_events: int = 0
    coincidence: int = 0
    left_units: int = 0
    right_units: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    reads_input: bool = False

    @property
    def key(self) -> tuple:
        return self.scope, self.op, self.call, self.steps, self.geometry

    def at(self, call: int, order: int) -> "Row":
        """The same row in its place; dataclasses.replace, which sets every field anew, takes ten times as long."""
        placed = object.__new__(Row)
        placed.__dict__.update(self.__dict__, call=call, order=order)
        return placed

    def __add__(self, other: "Row") -> "Row":
        left, right = _add_optional(self.left, other.left), _add_optional(self.right, other.right)
        summed = ("dense", "padding", "bias", "left_events", "right_events", "coincidence")
        sides = {"left_units": left, "right_units": right}  # 0 where any value seen is no integer
        units = {name: getattr(self, name) + getattr(other, name) if side and side.integers else 0
                 for name, side in sides.items()}
        return replace(
            self,
            order=min(self.order, other.order),
            left=left,
            right=right,
            **units,
            counts=_add_counts(self.counts, other.counts),
            words=_add_counts(self.words, other.words),
            reads_input=self.reads_input or other.reads_input,
            **{name: getattr(self, name) + getattr(other, name) for name in summed},
        )


def _add_optional(a: Operand | None, b: Operand | None) -> Operand | None:
    return a + b if a and b else a or b


@dataclass(frozen=True)
class Emission:
    """What one neuron layer emitted.

    units: neurons of one sample; numel: updates = units * steps * samples.
    positive, negative: emissions > 0 and < 0 at each time step.
    levels: sum of |emission| at each step where all are integers, else 0; integers: they were.
    fired: bit i is set if unit i emitted at least once; always: if it emitted at every step of every sample.
    """

    scope: str
    neuron: str
    alphabet: str
    units: int
    numel: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    levels: tuple[int, ...]
    fired: int
    always: int
    call: int = 0
    order: int = 0
    integers: bool = True

    @property
    def key(self) -> tuple:
        return self.scope, self.neuron, self.alphabet, self.call, self.units, len(self.positive)

    @property
    def steps(self) -> int:
        return len(self.positive)

    @property
    def rate(self) -> float:
        """Emissions of either sign per neuron and step."""
        return (sum(self.positive) + sum(self.negative)) / self.numel if self.numel else 0.0

    @property
    def positive_rates(self) -> tuple[float, ...]:
        return tuple(n * self.steps / self.numel if self.numel else 0.0 for n in self.positive)

    @property
    def negative_rates(self) -> tuple[float, ...]:
        return tuple(n * self.steps / self.numel if self.numel else 0.0 for n in self.negative)

    @property
    def silent_units(self) -> int:
        """Neurons that never emitted, on any sample at any step."""
        return self.units - self.fired.bit_count()

    @property
    def saturated_units(self) -> int:
        """Neurons that emitted on every sample at every step."""
        return self.always.bit_count()

    def __add__(self, other: "Emission") -> "Emission":
        integers, levels = self.integers and other.integers, add_steps(self.levels, other.levels)
        return replace(
            self,
            order=min(self.order, other.order),
            numel=self.numel + other.numel,
            positive=add_steps(self.positive, other.positive),
            negative=add_steps(self.negative, other.negative),
            levels=levels if integers else (0,) * len(levels),
            integers=integers,
            fired=self.fired | other.fired,
            always=self.always & other.always,
        )


def _add_counts(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in sorted(a.keys() | b.keys())}
