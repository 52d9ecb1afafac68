"""The ledger: a frozen, addable record of what a model executed. Counts only, never joules.

A row is raw evidence for one executed operation site, that is one module path, one family of operations and
one call index within a forward pass. Whether a product is an accumulate or a multiply-accumulate is *not*
stored: it follows from the values that were seen over the whole data set, so it is decided on read, from the
sum of all batches (`neuromorphic.energy.rule`). Every number in a row is an exact Python integer, summed over
all samples; the two magnitudes of an operand are the exact extremes seen.

    ledger_a + ledger_b       associative and commutative: batches may come in any order and any split
    Ledger.from_json(text)    the exact inverse of `ledger.to_json()`

Steps: `steps` is T where the leading axis of the operation ran over T time steps, else 1.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

SCHEMA = "neuromorphic.ledger/1"
Kind = Literal["silent", "binary", "ternary", "scaled", "graded", "pow2", "real"]
SPIKES: tuple[Kind, ...] = ("silent", "binary", "ternary", "scaled")


def _add_steps(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Step-wise sum; () where the two do not have the same steps (absorbing, hence associative)."""
    return tuple(x + y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else ()


def _add_counts(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in sorted(a.keys() | b.keys())}


@dataclass(frozen=True)
class Operand:
    """What was seen of one operand over every sample.

    numel, positive, negative: elements, how many were > 0 and < 0.
    nonzero_per_step: non-zeros at each time step; () where the operand has no time axis.
    smallest, largest: extremes of the non-zero magnitudes (0.0 where there was none).
    integers, powers_of_two: every value was an integer; every non-zero magnitude was a power of two.
    repeats: every time step held the same values (a static picture shown T times).
    declared: what its producer guarantees ("pow2" after Shiftmax, "real" after a softmax); wins over what was seen.

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

    @property
    def nonzero(self) -> int:
        return self.positive + self.negative

    @property
    def rate(self) -> float:
        """Non-zero share of all elements, in [0, 1]."""
        return self.nonzero / self.numel if self.numel else 0.0

    @property
    def kind(self) -> Kind:
        """Place on the lattice silent < binary < ternary < scaled < graded < pow2 < real."""
        if self.declared:
            return self.declared
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
        seen = [m for m in (self.smallest, other.smallest) if m > 0]
        declared = {self.declared, other.declared} - {None}
        return Operand(
            numel=self.numel + other.numel,
            positive=self.positive + other.positive,
            negative=self.negative + other.negative,
            nonzero_per_step=_add_steps(self.nonzero_per_step, other.nonzero_per_step),
            smallest=min(seen, default=0.0),
            largest=max(self.largest, other.largest),
            integers=self.integers and other.integers,
            powers_of_two=self.powers_of_two and other.powers_of_two,
            repeats=self.repeats and other.repeats,
            declared=declared.pop() if len(declared) == 1 else ("real" if declared else None),
        )


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

    def __add__(self, other: "Row") -> "Row":
        summed = ("dense", "padding", "bias", "left_events", "right_events", "coincidence", "left_units", "right_units")
        return replace(
            self,
            order=min(self.order, other.order),
            left=_add_optional(self.left, other.left),
            right=_add_optional(self.right, other.right),
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
    positive, negative: emissions > 0 and < 0 at each time step; levels: sum of |emission| at each step.
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
        return replace(
            self,
            order=min(self.order, other.order),
            numel=self.numel + other.numel,
            positive=_add_steps(self.positive, other.positive),
            negative=_add_steps(self.negative, other.negative),
            levels=_add_steps(self.levels, other.levels),
            fired=self.fired | other.fired,
            always=self.always & other.always,
        )


@dataclass(frozen=True)
class Touch:
    """How often an operation ran at a scope, and how many elements it gave."""

    op: str
    scope: str
    calls: int
    numel: int

    @property
    def key(self) -> tuple:
        return self.op, self.scope

    def __add__(self, other: "Touch") -> "Touch":
        return replace(self, calls=self.calls + other.calls, numel=self.numel + other.numel)


@dataclass(frozen=True)
class Coverage:
    """Every executed operation is in exactly one of the three lists.

    counted: it is in a row. free: on the list of views, copies, casts and folded norms, or input-free.
    uncovered: it ran, and nobody has said what it costs.
    """

    counted: tuple[Touch, ...] = ()
    free: tuple[Touch, ...] = ()
    uncovered: tuple[Touch, ...] = ()

    @property
    def fraction(self) -> float:
        """Counted share of the elements given by operations that are not free; 1.0 is full coverage."""
        counted = sum(t.numel for t in self.counted)
        uncovered = sum(t.numel for t in self.uncovered)
        return counted / (counted + uncovered) if counted + uncovered else 1.0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(*(_merge(getattr(self, f.name), getattr(other, f.name)) for f in fields(Coverage)))


@dataclass(frozen=True)
class ModelInfo:
    """The model that ran. labelled, correct: samples that came with a label, and how many were classified right."""

    name: str
    class_name: str
    parameters: int
    timesteps: int
    input_shape: tuple[int, ...]
    attention: str | None = None
    labelled: int = 0
    correct: int = 0

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.labelled if self.labelled else None

    def __add__(self, other: "ModelInfo") -> "ModelInfo":
        if replace(self, labelled=0, correct=0) != replace(other, labelled=0, correct=0):
            raise ValueError(
                f"Ledger: both sides of + must come from the same model, got {self} and {other}. "
                "Trace the same model on inputs of the same shape, or keep the ledgers apart."
            )
        labelled, correct = self.labelled + other.labelled, self.correct + other.correct
        return replace(self, labelled=labelled, correct=correct)


@dataclass(frozen=True)
class Ledger:
    """What a model executed on `samples` samples.

    per_sample holds one ledger for each sample where `trace(..., per_sample=True)` was asked for; their sum
    is this ledger. They are kept in a canonical order, so that `+` stays commutative.
    """

    model: ModelInfo
    samples: int
    rows: tuple[Row, ...] = ()
    emissions: tuple[Emission, ...] = ()
    coverage: Coverage = Coverage()
    per_sample: tuple["Ledger", ...] = ()

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(
            model=self.model + other.model,
            samples=self.samples + other.samples,
            rows=_merge(self.rows, other.rows),
            emissions=_merge(self.emissions, other.emissions),
            coverage=self.coverage + other.coverage,
            per_sample=tuple(sorted(self.per_sample + other.per_sample, key=Ledger.to_json)),
        )

    def layer(self, scope: str) -> tuple[Row, ...]:
        """The rows of one module and of everything inside it."""
        return tuple(r for r in self.rows if scope == "" or r.scope == scope or r.scope.startswith(scope + "."))

    def to_json(self, indent: int | None = None) -> str:
        return json.dumps({"schema": SCHEMA, **_to_plain(self)}, indent=indent, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Ledger":
        try:
            plain = json.loads(text)
            if plain["schema"] != SCHEMA:
                raise ValueError(f"schema {plain['schema']!r}")
            return _from_plain(plain)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"Ledger.from_json: text must be a ledger of schema {SCHEMA!r}, got {type(error).__name__}: {error}. "
                "Write it with Ledger.to_json and pass the whole file."
            ) from error


def _merge(a: Iterable[Any], b: Iterable[Any]) -> tuple:
    """Both sides, records of equal key added up, in order of execution."""
    merged: dict[tuple, Any] = {}
    for record in (*a, *b):
        merged[record.key] = merged[record.key] + record if record.key in merged else record
    return tuple(sorted(merged.values(), key=lambda r: (getattr(r, "order", 0), r.key)))


def _to_plain(ledger: Ledger) -> dict:
    plain = asdict(replace(ledger, per_sample=()))
    for row in plain["rows"]:
        row["geometry"] = dict(row["geometry"])
    for emission in plain["emissions"]:
        emission["fired"], emission["always"] = f"{emission['fired']:x}", f"{emission['always']:x}"
    plain["per_sample"] = [_to_plain(part) for part in ledger.per_sample]
    return plain


def _from_plain(plain: dict) -> Ledger:
    return Ledger(
        model=_record(ModelInfo, plain["model"], input_shape=tuple),
        samples=plain["samples"],
        rows=tuple(_record(Row, row, geometry=_pairs, left=_operand, right=_operand) for row in plain["rows"]),
        emissions=tuple(
            _record(Emission, e, positive=tuple, negative=tuple, levels=tuple, fired=_bits, always=_bits)
            for e in plain["emissions"]
        ),
        coverage=Coverage(
            **{name: tuple(Touch(**touch) for touch in touches) for name, touches in plain["coverage"].items()}
        ),
        per_sample=tuple(_from_plain(part) for part in plain["per_sample"]),
    )


def _record(cls: type, plain: dict, **readers: Callable) -> Any:
    return cls(**{name: readers.get(name, lambda v: v)(value) for name, value in plain.items()})


def _pairs(mapping: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(mapping.items()))


def _operand(plain: dict | None) -> Operand | None:
    return _record(Operand, plain, nonzero_per_step=tuple) if plain else None


def _bits(text: str) -> int:
    return int(text, 16)
