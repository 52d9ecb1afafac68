"""A whole ledger: what a model is, its rows and emissions, what was covered; sums and JSON."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from neuromorphic.ledger.evidence import Emission, Row
from neuromorphic.ledger.operand import Operand

SCHEMA = "neuromorphic.ledger/1"


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
    """The model that ran. labelled, correct: samples that came with a label, and how many were classified right.

    unfed_norms: paths of the norms whose running statistics never saw a batch, as in an untrained network.
    """

    name: str
    class_name: str
    parameters: int
    timesteps: int
    input_shape: tuple[int, ...]
    attention: str | None = None
    labelled: int = 0
    correct: int = 0
    unfed_norms: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.labelled if self.labelled else None

    def __add__(self, other: "ModelInfo") -> "ModelInfo":
        differ = [
            f"{f.name} {getattr(self, f.name)} and {getattr(other, f.name)}"
            for f in fields(self)
            if f.name not in ("labelled", "correct") and getattr(self, f.name) != getattr(other, f.name)
        ]
        if differ:
            raise ValueError(
                f"Ledger: both sides of + must come from the same model, got {', '.join(differ)}. "
                "Trace the same model on inputs of the same shape, or keep the ledgers apart."
            )
        labelled, correct = self.labelled + other.labelled, self.correct + other.correct
        return replace(self, labelled=labelled, correct=correct)


@dataclass(frozen=True)
class Ledger:
    """What a model executed on `samples` samples.

    per_sample holds one ledger for each sample where `trace(..., per_sample=True)` was asked for; their sum
    is this ledger. They are kept in a canonical order, so that `+` stays commutative.
    passes: forward passes that are added up here, that is batches.
    """

    model: ModelInfo
    samples: int
    rows: tuple[Row, ...] = ()
    emissions: tuple[Emission, ...] = ()
    coverage: Coverage = Coverage()
    per_sample: tuple["Ledger", ...] = ()
    passes: int = 1

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(
            model=self.model + other.model,
            samples=self.samples + other.samples,
            rows=_merge(self.rows, other.rows),
            emissions=_merge(self.emissions, other.emissions),
            coverage=self.coverage + other.coverage,
            per_sample=tuple(sorted(self.per_sample + other.per_sample, key=Ledger.to_json)),
            passes=self.passes + other.passes,
        )

    @property
    def changed_shapes(self) -> tuple[str, ...]:
        """Layers whose operations did not have the same sizes in every pass; their rows stand apart."""
        first: dict[tuple, tuple] = {}
        for row in self.rows:
            first.setdefault((row.scope, row.op, row.call), row.key)
        changed = [row.scope for row in self.rows if first[row.scope, row.op, row.call] != row.key]
        return tuple(dict.fromkeys(changed))

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
        model=_record(ModelInfo, plain["model"], input_shape=tuple, unfed_norms=tuple),
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
        passes=plain.get("passes", 1),
    )


def _record(cls: type, plain: dict, **readers: Callable) -> Any:
    return cls(**{name: readers.get(name, lambda v: v)(value) for name, value in plain.items()})


def _pairs(mapping: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(mapping.items()))


def _operand(plain: dict | None) -> Operand | None:
    return _record(Operand, plain, nonzero_per_step=tuple) if plain else None


def _bits(text: str) -> int:
    return int(text, 16)
