"""Energy models written as formulas over layers and neurons (Lemaire et al. and its kin): sizes, terms, prices.

    energy of a term = count * pj(class), or count * pj(one access to a memory of so many words)

Rows that are neither a product with weights nor a neuron have no formula: they stay unpriced.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neuromorphic.energy.bill import Line, Profile, Rule
from neuromorphic.energy.models.model import EnergyModel, Lines, emissions_of
from neuromorphic.energy.models.operations import unpriced_lines
from neuromorphic.ledger import Emission, Ledger, Row

ADDRESSING = "addressing"


@dataclass(frozen=True)
class Term:
    """`count` operations of a class, or accesses to a memory that holds `words` words."""

    operation: str
    count: float
    words: float | None = None
    part: str | None = None


@dataclass(frozen=True)
class Layer:
    """A linear layer or a convolution. Sizes are those of one sample at one step; spikes are sums over everything.

    inputs, outputs: |in|, |out|; taps: K, the product of the kernel's sides (1 if linear); fan_in: weights of one
    output; fan_out: output channels that one input meets at each tap; overlap: most outputs along the picture that
    one input reaches, the product of ceil(k / s); weights, biases: how many the layer holds;
    spikes: non-zeros of the input (theta_in); binary: every input was 0 or 1.
    """

    convolution: bool
    inputs: float
    outputs: float
    channels: int
    taps: int
    fan_in: int
    fan_out: int
    overlap: int
    weights: int
    biases: int
    spikes: int
    binary: bool
    steps: int
    samples: int


def layer_of(row: Row, samples: int) -> Layer | None:
    """The sizes of a row's layer; None for rows that are no product with weights."""
    if row.op not in ("linear", "conv") or row.right is not None or not row.dense:
        return None
    sizes, passes = dict(row.geometry), samples * row.steps
    convolution, groups = row.op == "conv", sizes.get("groups", 1)
    if "out" not in sizes or (convolution and "overlap" not in sizes):
        raise ValueError(
            f"energy: the {row.op} {row.scope!r} must say its sizes and how its taps overlap, "
            "got a ledger of an older version. Trace the model again."
        )
    taps, fan_out = sizes.get("taps", 1), sizes["out"] // groups
    fan_in = sizes["in"] // groups * taps
    return Layer(
        convolution=convolution,
        inputs=row.left.numel / passes,
        outputs=sizes["out"] * sizes["pixels"] if convolution else row.dense / fan_in / passes,
        channels=sizes["out"],
        taps=taps,
        fan_in=fan_in,
        fan_out=fan_out,
        overlap=sizes.get("overlap", 1),
        weights=fan_in * sizes["out"],
        biases=sizes["out"] if row.bias else 0,
        spikes=row.left.nonzero,
        binary=row.left.kind in ("silent", "binary"),
        steps=row.steps,
        samples=samples,
    )


Numbers = dict[str, float]  # the constants of a profile by name


@dataclass(frozen=True)
class Formulas:
    """layer(layer, spiking network, constants); formal(layer): as an ANN, one pass over each sample;
    neuron(emission, leaky, constants); access_pj(words held, constants)."""

    layer: Callable[[Layer, bool, Numbers], list[Term]]
    formal: Callable[[Layer], list[Term]]
    neuron: Callable[[Emission, bool, Numbers], list[Term]]
    access_pj: Callable[[float, Numbers], float]


def numbers(profile: Profile) -> Numbers:
    return {name: constant.value for name, constant in profile.constants.items()}


def energy_model(name: str, formulas: Formulas, constants: tuple[str, ...]) -> EnergyModel:
    """The formulas over the rows of a ledger."""

    def lines(ledger: Ledger, profile: Profile, rule: Rule) -> Lines:
        emissions, found, given = emissions_of(ledger), [], numbers(profile)
        for row in ledger.rows:
            layer, emission = layer_of(row, ledger.samples), emissions.get((row.scope, row.call))
            if layer:
                found += priced(row, formulas.layer(layer, bool(emissions), given), profile)
            elif row.op == "neuron" and emission:
                found += priced(row, formulas.neuron(emission, _leaks(row), given), profile)
            else:
                found += unpriced_lines(row, rule, ledger.model.timesteps)
        return tuple(found)

    def ann_lines(ledger: Ledger, profile: Profile) -> Lines:
        layers = ((row, layer_of(row, ledger.samples)) for row in ledger.rows)
        return tuple(line for row, layer in layers if layer for line in priced(row, formulas.formal(layer), profile))

    def priced(row: Row, terms: Iterable[Term], profile: Profile) -> list[Line]:
        given = numbers(profile)
        return [
            Line(row.scope, term.part or row.op, term.operation, term.count,
                 profile.pj(term.operation) if term.words is None else formulas.access_pj(term.words, given))
            for term in terms if term.count
        ]  # fmt: skip

    return EnergyModel(name, lines, ann_lines, constants)


def _leaks(row: Row) -> bool:
    """The membrane decays, by a shift or a multiplication."""
    return bool(row.counts.get("SHIFT") or row.counts.get("MUL"))
