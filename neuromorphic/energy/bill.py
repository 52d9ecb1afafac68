"""The records of pricing: a price, a profile, a rule, a line and the bill.

    energy of a line [pJ] = count * price [pJ]
    total [mJ per sample] = sum over lines / samples * 1e-9

A class of operation without a price leaves its lines unpriced: the total is then a lower bound.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import fsum
from typing import Literal

from neuromorphic.ledger import Ledger

CLASSES = (
    "MAC", "AC", "ADD", "MUL", "SHIFT", "CMP", "AND", "XOR", "POPCNT", "LOD", "LOOKUP",
    "EXP", "ERF", "LOG", "SIN", "DIV", "SQRT", "BUTTERFLY", "SYNOP", "NEURON_UPDATE",
    "READ_INPUT", "READ_WEIGHT", "READ_BIAS", "READ_PARTIAL_SUM", "WRITE_PARTIAL_SUM", "READ_MEMBRANE",
    "WRITE_MEMBRANE", "READ_ATTENTION", "WRITE_ATTENTION", "WRITE_OUTPUT", "LEAKAGE",
)  # fmt: skip
MEANING = {
    "MAC": "multiply and accumulate",
    "AC": "accumulate of a weight or value, caused by a spike",
    "ADD": "addition or subtraction",
    "MUL": "multiplication",
    "SHIFT": "shift by a power of two",
    "CMP": "comparison or maximum",
    "AND": "gate (masking, hard reset)",
    "XOR": "sign product",
    "POPCNT": "population count",
    "LOD": "leading-one detection",
    "LOOKUP": "entry read from a table that stands for a function",
    "EXP": "exponential",
    "ERF": "error function (GELU)",
    "LOG": "logarithm",
    "SIN": "sine or cosine",
    "DIV": "division or reciprocal",
    "SQRT": "square root",
    "BUTTERFLY": "radix-2 FFT butterfly (4 MUL + 6 ADD)",
    "SYNOP": "one synapse served on a neuromorphic chip, its memory included",
    "NEURON_UPDATE": "one neuron advanced by one time step, as a whole",
    "READ_INPUT": "word of input read from memory",
    "READ_WEIGHT": "word of weights read from memory",
    "READ_BIAS": "word of biases read from memory",
    "READ_PARTIAL_SUM": "partial sum read from memory",
    "WRITE_PARTIAL_SUM": "partial sum written to memory",
    "READ_MEMBRANE": "membrane word read from memory",
    "WRITE_MEMBRANE": "membrane word written to memory",
    "READ_ATTENTION": "score or weight of an attention map read from memory",
    "WRITE_ATTENTION": "score or weight of an attention map written to memory",
    "WRITE_OUTPUT": "word of output written to memory",
    "LEAKAGE": "leakage of the whole chip while it works on one sample",
}


@dataclass(frozen=True)
class Price:
    """Energy of one operation. strategy names the way it is computed where there are several (EXP)."""

    pj: float
    source: str
    verified: bool
    strategy: str | None = None


@dataclass(frozen=True)
class Constant:
    """A number that an energy model needs beside prices per operation, such as the capacity of a buffer."""

    value: float
    unit: str
    source: str
    verified: bool


@dataclass(frozen=True)
class Level:
    """One memory: what 64 bits cost on their way in or out. capacity_bytes None: large enough for everything."""

    name: str
    pj_per_64bit: float
    source: str
    verified: bool
    capacity_bytes: int | None = None


@dataclass(frozen=True)
class Memory:
    """The memories of one technology, smallest first."""

    name: str
    title: str
    node_nm: int
    date: str
    source: str
    verified: bool
    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        levels = (level if isinstance(level, Level) else Level(**level) for level in self.levels)
        object.__setattr__(self, "levels", tuple(levels))


@dataclass(frozen=True)
class Profile:
    """Prices of one technology and number format; `verified` speaks of its additions and multiplications.

    model: which energy model turns a ledger into priced lines (energy.models); constants: what that model needs.
    physical: hardware could work so; where not, `source` says why and no interval takes the profile in.
    memory, word_bits: the memories that a reuse model may charge (energy.reuse), and the widths of a "weight", an
    "activation" and an "accumulator" in them; None where the source of the profile gives no memory.
    """

    name: str
    title: str
    node_nm: int
    date: str
    source: str
    verified: bool
    prices: Mapping[str, Price]
    model: str = "operations"
    constants: Mapping[str, Constant] = field(default_factory=dict)
    physical: bool = True
    memory: Memory | None = None
    word_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.memory, Mapping):  # as a JSON report brings it back
            object.__setattr__(self, "memory", Memory(**self.memory))

    def pj(self, operation: str) -> float | None:
        """Price of a class of operation, None where the profile has none."""
        price = self.prices.get(operation)
        return price.pj if price else None


@dataclass(frozen=True)
class Rule:
    """How evidence becomes classes of operation; the defaults are the headline setting.

    spike_spike: two spike operands cost the smaller of the two one-sided counts ("one_sided"), the terms where
        both fire ("coincidence"), or all terms ("dense").
    graded: an integer of several levels times a weight is one multiply-accumulate per non-zero ("mac"),
        or as many accumulates as it has levels ("unit_ac", the integer unrolled into unit spikes).
    first_conv: layers that read the model's input are charged at every step ("times_T") or, where the input
        repeats, a single time ("once").
    shift_accounting: power-of-two weight times value is a shift and an addition ("shift_add") or the shift
        alone ("shift_only", the accounting of the BSA paper).
    taps: convolution terms on real pixels only ("valid") or also on padding ("padded"; dense products only).
    row_maximum: Shiftmax also subtracts the row maximum (one CMP less than keys, and one ADD per key, more).
    reuse: the reuse model by which memory is charged (energy.reuse), None: arithmetic alone.
    latency_ms: time that one sample takes, charged with the leakage of the chip (constant `leakage_mw`); 0: none.
    """

    spike_spike: Literal["one_sided", "coincidence", "dense"] = "one_sided"
    graded: Literal["mac", "unit_ac"] = "mac"
    first_conv: Literal["times_T", "once"] = "times_T"
    shift_accounting: Literal["shift_add", "shift_only"] = "shift_add"
    taps: Literal["valid", "padded"] = "valid"
    row_maximum: bool = False
    reuse: Literal["none", "weight_stationary", "output_stationary", "T_parallel", "ideal"] | None = None
    latency_ms: float = 0.0


@dataclass(frozen=True)
class Line:
    """Operations of one class in one family of one layer: count over all samples, price per operation.

    The count is an exact integer where a model was traced; a published rate times FLOPs need not be whole.
    level: the memory that the words of a line move to or from, "" where no level is known or it is arithmetic.
    """

    layer: str
    op: str
    operation: str
    count: float
    pj: float | None
    level: str = ""

    @property
    def total_pj(self) -> float:
        return self.count * self.pj if self.pj is not None else 0.0

    @property
    def part(self) -> str:
        """What the energy is spent on: "memory", "leakage", "neuron" (its arithmetic) or "compute" (all other).

        >>> Line("fc", "linear", "AC", 10, 0.9).part, Line("fc", "linear", "READ_WEIGHT", 10, 5.0, "sram_8KiB").part
        ('compute', 'memory')
        """
        if self.operation == "LEAKAGE":
            return "leakage"
        if self.operation.startswith(("READ_", "WRITE_")):
            return "memory"
        return "neuron" if self.op == "neuron" else "compute"


@dataclass(frozen=True)
class Bill:
    """A priced ledger. Energies are in mJ per sample, counts are over all samples.

    lines: the model as it ran. ann_lines: the products of the same network run once as an ANN: all terms
    multiplied and accumulated, one step (neurons, norms and normalisers left out, as in the literature).
    alternatives: total_mj under each single change of the rule, such as {"shift_accounting=shift_only": ...}.
    """

    ledger: Ledger
    profile: Profile
    rule: Rule
    lines: tuple[Line, ...]
    ann_lines: tuple[Line, ...] = ()
    alternatives: Mapping[str, float] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return self.ledger.samples

    @property
    def total_mj(self) -> float:
        return self._mj(self.lines)

    @property
    def by_class(self) -> dict[str, float]:
        """mJ per sample of each class of operation (MAC, AC, ADD, ...)."""
        return self._group(self.lines, lambda line: line.operation)

    @property
    def by_layer(self) -> dict[str, float]:
        """mJ per sample of each module path, in order of execution."""
        return self._group(self.lines, lambda line: line.layer)

    @property
    def by_layer_class(self) -> dict[tuple[str, str], float]:
        """mJ per sample of each (module path, class of operation)."""
        return self._group(self.lines, lambda line: (line.layer, line.operation))

    @property
    def by_part(self) -> dict[str, float]:
        """mJ per sample of arithmetic ("compute"), of neurons, of memory and of leakage."""
        return self._group(self.lines, lambda line: line.part)

    @property
    def by_layer_part(self) -> dict[tuple[str, str], float]:
        """mJ per sample of each (module path, part)."""
        return self._group(self.lines, lambda line: (line.layer, line.part))

    @property
    def by_level(self) -> dict[str, float]:
        """mJ per sample of the traffic with each memory; "" where the energy model names no level."""
        return self._group((line for line in self.lines if line.part == "memory"), lambda line: line.level)

    @property
    def by_op(self) -> dict[str, float]:
        """mJ per sample of each family (linear, conv, matmul, score_value, shiftmax, softmax, neuron, ...)."""
        return self._group(self.lines, lambda line: line.op)

    @property
    def counts(self) -> dict[str, float]:
        """Operations of each class over all samples."""
        return _counts(self.lines)

    @property
    def unpriced(self) -> dict[str, float]:
        """Classes that occurred without a price, with their counts; non-empty means total_mj is a lower bound."""
        return {name: n for name, n in _counts(line for line in self.lines if line.pj is None).items() if n}

    @property
    def lower_bound(self) -> bool:
        """Something that ran is not in the total: a class without a price, or an uncovered operation."""
        return bool(self.unpriced) or bool(self.ledger.coverage.uncovered)

    @property
    def unverified(self) -> dict[str, float]:
        """mJ per sample of the classes whose price is not verified against its source."""
        levels = self.profile.memory.levels if self.profile.memory else ()
        doubtful = {level.name for level in levels if not level.verified}
        return {
            name: mj for name, mj in self._group(
                (line for line in self.lines if line.level in doubtful or self._unverified(line.operation)),
                lambda line: line.operation).items()
            if mj
        }  # fmt: skip

    def _unverified(self, operation: str) -> bool:
        return operation in self.profile.prices and not self.profile.prices[operation].verified

    @property
    def ann_mj(self) -> float:
        """mJ per sample of the same topology as a dense ANN at one step, at the same prices."""
        return self._mj(self.ann_lines)

    @property
    def ratio(self) -> float | None:
        """total_mj over ann_mj: below 1 the model is cheaper than its dense ANN. None without products."""
        return self.total_mj / self.ann_mj if self.ann_mj else None

    @property
    def shiftmax_mj(self) -> float:
        """Shiftmax alone (shifts, additions, leading ones), without Score times V."""
        return self.by_op.get("shiftmax", 0.0)

    @property
    def score_value_mj(self) -> float:
        """Product of the power-of-two weights with V, under the rule's shift accounting."""
        return self.by_op.get("score_value", 0.0)

    def _mj(self, lines: Iterable[Line]) -> float:
        return fsum(line.total_pj for line in lines) / self.samples * 1e-9

    def _group(self, lines: Iterable[Line], name: Callable) -> dict:
        groups: dict = {}
        for line in lines:
            groups.setdefault(name(line), []).append(line)
        return {key: self._mj(group) for key, group in groups.items()}


def _counts(lines: Iterable[Line]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for line in lines:
        counts[line.operation] = counts.get(line.operation, 0) + line.count
    return counts
