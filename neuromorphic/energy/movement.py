"""Memory traffic of a ledger: words of each layer, by kind of data and by memory, under one reuse model.

    energy = words * bits / 64 * price of the memory that holds the tensor

    product     operands, partial sums, results and biases as the reuse model says (energy.reuse)
    neuron      each step reads its input and its membranes and writes both its membranes and its spikes;
                in the dense ANN beside it, an activation reads its input and writes its value, once
    Shiftmax, softmax       scores read and weights written once: the attention map
    all other   each element read once, each result written once (residuals among them)

Widths: a spike 1 bit, with a sign 2, a sum of spikes as many as its largest value needs, a power of two 8 (its
exponent), all else by the profile: weights, activations, and accumulators for sums, membranes and scores. Words of
additions count as activations, since a ledger does not keep their values.
A tensor lies in the smallest memory that holds it: the weights of a layer, else what one sample needs at one step.
Weights are fetched anew for every sample, for an ANN as for an SNN.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from neuromorphic.energy.bill import Line, Profile, Rule
from neuromorphic.energy.memory import REGISTER, level_for
from neuromorphic.energy.profile import load_profile
from neuromorphic.energy.reuse import REUSE, Product, Traffic
from neuromorphic.energy.rule import at_rule, work
from neuromorphic.ledger import SPIKES, Emission, Ledger, Operand, Row
from spikeattn.errors import nearest

NOWHERE = "no memory is large enough"
EXPONENT_BITS = 8  # a Shiftmax weight 2**-n is kept as n
CLASSES_OF = {  # data: class of a read, class of a write
    "weight": ("READ_WEIGHT", ""), "bias": ("READ_BIAS", ""), "input": ("READ_INPUT", ""),
    "attention": ("READ_ATTENTION", "WRITE_ATTENTION"), "partial_sum": ("READ_PARTIAL_SUM", "WRITE_PARTIAL_SUM"),
    "membrane": ("READ_MEMBRANE", "WRITE_MEMBRANE"), "output": ("", "WRITE_OUTPUT"),
}  # fmt: skip


@dataclass(frozen=True)
class Moved:
    """Words of one kind of data that a layer reads and writes at one memory, over all samples.

    data: "weight", "bias", "input", "attention", "partial_sum", "membrane" or "output"; bits: width of a word;
    held: words that the memory must hold at a time, which decides the level.
    """

    layer: str
    op: str
    data: str
    level: str
    reads: int
    writes: int
    bits: int
    held: float


@dataclass(frozen=True)
class Place:
    """What a kind of data is called, how wide its words are, how many a memory must hold."""

    data: str
    bits: int
    held: float


def traffic(ledger: Ledger, profile: Profile | str | Path, rule: Rule) -> tuple[Moved, ...]:
    """Every movement of a ledger under `rule.reuse`, registers included.

    >>> from neuromorphic.ledger import ModelInfo
    >>> spikes = Operand(16, 4, 0, smallest=1.0, largest=1.0)
    >>> row = Row("fc", "linear", geometry=(("in", 8), ("out", 4)), left=spikes, dense=64, left_events=16)
    >>> moved = traffic(Ledger(ModelInfo("net", "Net", 32, 1, (8,)), 2, (row,)), "horowitz45_fp32", Rule(reuse="ideal"))
    >>> [(m.data, m.level, m.reads, m.writes, m.bits) for m in moved if m.level != "register"]
    [('input', 'sram_8KiB', 16, 0, 1), ('weight', 'sram_8KiB', 64, 0, 32), ('output', 'sram_8KiB', 0, 8, 32)]
    """
    profile = _with_memory(load_profile(profile), rule)
    emissions = {(emission.scope, emission.call): emission for emission in ledger.emissions}
    found: list[Moved] = []
    for row in ledger.rows:
        emission = emissions.get((row.scope, row.call)) if row.op == "neuron" else None
        found += _of_row(at_rule(row, rule, ledger.model.timesteps), emission, ledger.samples, profile, rule)
    return tuple(found)


def ann_traffic(ledger: Ledger, profile: Profile, rule: Rule) -> tuple[Moved, ...]:
    """The same network as a dense ANN, run once, under the same reuse model: an activation in place of each neuron."""
    profile = _with_memory(profile, rule)
    emissions = {(emission.scope, emission.call): emission for emission in ledger.emissions}
    found: list[Moved] = []
    for row in ledger.rows:
        if row.dense:
            product, places = _dense_product(row, ledger.samples, profile)
            found += _placed(row, REUSE[rule.reuse].product(product).values(), places, profile)
        elif row.op == "neuron":
            found += _activation(row, emissions.get((row.scope, row.call)), ledger.samples, profile)
        elif any(row.counts.values()):
            words = {name: n // row.steps for name, n in row.words.items()}
            found += _element_wise(replace(row, steps=1, words=words, left=None, right=None), ledger.samples, profile)
    return tuple(found)


def lines(moved: Iterable[Moved], profile: Profile) -> tuple[Line, ...]:
    """Priced words. What registers serve for nothing makes no line."""
    prices = {level.name: level.pj_per_64bit for level in profile.memory.levels}
    found = []
    for one in moved:
        pj = one.bits / 64 * prices[one.level] if one.level in prices else None
        if one.level == REGISTER and not pj:
            continue
        classes = zip(CLASSES_OF[one.data], (one.reads, one.writes), strict=True)
        found += [Line(one.layer, one.op, name, n, pj, one.level) for name, n in classes if n]
    return tuple(found)


def _with_memory(profile: Profile, rule: Rule) -> Profile:
    if rule.reuse not in REUSE:
        raise ValueError(f"energy: the reuse model must be one of {', '.join(REUSE)}, got {rule.reuse!r}. "
                         f"{nearest(str(rule.reuse), REUSE)}")
    if profile.model != "operations" or profile.memory is None:
        why = "has no memory" if profile.model == "operations" else f"prices memory by its own model {profile.model!r}"
        raise ValueError(f"energy: a profile under a reuse model must have a memory, got {profile.name}, which {why}. "
                         "Take horowitz45_fp32 or use energy.with_memory.")
    return profile


def _of_row(row: Row, emission: Emission | None, samples: int, profile: Profile, rule: Rule) -> list[Moved]:
    if row.dense:
        product, places = _product(row, samples, profile, rule)
        return _placed(row, REUSE[rule.reuse].product(product).values(), places, profile)
    if row.op == "neuron":
        return _neuron(row, emission, samples, profile, rule)
    if not any(row.counts.values()):
        return []
    return _element_wise(row, samples, profile)


def _product(row: Row, samples: int, profile: Profile, rule: Rule) -> tuple[Product, dict[str, Place]]:
    """Sizes of a product as it ran, and where its data lie."""
    done, stored, passes = work(row, rule), row.right is None, samples * row.steps
    weights, results = _weights(row) if stored else 0, _results(row)
    right = weights * passes if stored else row.right.numel
    product = Product(
        pairs=done.pairs,
        terms=row.dense,
        left=row.left.numel,
        right=right,
        results=results,
        left_zeros=row.left.numel - row.left.nonzero if done.left_skips else 0,
        right_zeros=row.right.numel - row.right.nonzero if done.right_skips and not stored else 0,
        left_skips=done.left_skips,
        right_skips=done.right_skips and not stored,
        bias=row.bias,
        bias_words=min(row.bias, dict(row.geometry).get("out", row.bias) * passes),
        steps=row.steps if stored else 1,
    )
    stored_bits = profile.word_bits["weight"]
    bits = (operand_bits(row.left, profile), stored_bits if stored else operand_bits(row.right, profile))
    return product, _places(row, bits, samples, profile)


def _dense_product(row: Row, samples: int, profile: Profile) -> tuple[Product, dict[str, Place]]:
    stored, steps, bits = row.right is None, row.steps, profile.word_bits
    weights, results = _weights(row) if stored else 0, _results(row) // steps
    bias = row.bias // steps
    product = Product(
        pairs=row.dense // steps,
        terms=row.dense // steps,
        left=row.left.numel // steps,
        right=weights * samples if stored else row.right.numel // steps,
        results=results,
        bias=bias,
        bias_words=min(bias, dict(row.geometry).get("out", bias) * samples),
    )
    widths = (bits["activation"], bits["weight"] if stored else bits["activation"])
    return product, _places(row, widths, samples, profile)


def _places(row: Row, bits: tuple[int, int], samples: int, profile: Profile) -> dict[str, Place]:
    """bits: of the left and of the right operand; a memory holds what one sample needs at one step."""
    accumulator, at_once = profile.word_bits["accumulator"], samples * row.steps
    mapped = row.right is not None and row.left.declared in ("pow2", "real")  # weights of Shiftmax or softmax
    held, results = _weights(row) if row.right is None else row.right.numel / at_once, _results(row) / at_once
    return {
        "left": Place("attention" if mapped else "input", bits[0], row.left.numel / at_once),
        "right": Place("weight" if row.right is None else "input", bits[1], held),
        "bias": Place("bias", accumulator, dict(row.geometry).get("out", 0)),
        "partial_sum": Place("partial_sum", accumulator, results),
        "result": Place("output", accumulator, results),
    }


def _weights(row: Row) -> int:
    """Weights of a layer: one for each input, tap and output."""
    sizes = dict(row.geometry)
    if "in" not in sizes or "out" not in sizes or (row.op == "conv" and "taps" not in sizes):
        raise ValueError(f"energy: the {row.op} {row.scope!r} must say its sizes for a reuse model, got none. "
                         "Trace the model again.")
    return sizes["in"] // sizes.get("groups", 1) * sizes.get("taps", 1) * sizes["out"]


def _results(row: Row) -> int:
    """Results of a product: as a convolution says, else all terms, padding included, over the terms of one result."""
    sizes = dict(row.geometry)
    if row.words.get("output"):
        return row.words["output"]
    fan_in = sizes["k"] if "k" in sizes else _weights(row) // sizes["out"]
    return (row.dense + row.padding) // fan_in


def _neuron(row: Row, emission: Emission | None, samples: int, profile: Profile, rule: Rule) -> list[Moved]:
    """Membranes stay in registers where the model works all steps of a neuron together."""
    bits = profile.word_bits
    reads, writes = row.words.get("membrane_read", 0), row.words.get("membrane_write", 0)
    updates = emission.numel if emission else reads
    spike = {"binary": 1, "ternary": 2}.get(emission.alphabet if emission else "ternary", bits["activation"])
    at_once = samples * row.steps
    places = {
        "current": Place("input", bits["accumulator"], updates / at_once),
        "membrane": Place("membrane", bits["accumulator"], reads / at_once),
        "spikes": Place("output", spike, updates / at_once),
    }
    membrane = (Traffic("membrane", register_reads=reads, register_writes=writes) if REUSE[rule.reuse].keeps_membranes
                else Traffic("membrane", reads=reads, writes=writes))
    moved = (Traffic("current", reads=updates), membrane, Traffic("spikes", writes=updates))
    return _placed(row, moved, places, profile)


def _activation(row: Row, emission: Emission | None, samples: int, profile: Profile) -> list[Moved]:
    """What stands in an ANN where the neuron is: a sum read and an activation written, once."""
    elements = (emission.numel if emission else row.words.get("membrane_read", 0)) // row.steps
    bits = profile.word_bits
    places = {"current": Place("input", bits["accumulator"], elements / samples),
              "value": Place("output", bits["activation"], elements / samples)}
    return _placed(row, (Traffic("current", reads=elements), Traffic("value", writes=elements)), places, profile)


def _element_wise(row: Row, samples: int, profile: Profile) -> list[Moved]:
    """Each element read and each result written once; products of a table of rates have no sizes to go by."""
    if not {"input", "output"} <= row.words.keys():
        raise ValueError(f"energy: the {row.op} {row.scope!r} must say the words that it reads and writes for a reuse "
                         "model, got none. Trace the model again; a table of rates has arithmetic only.")
    bits, at_once = profile.word_bits, samples * row.steps
    read, written, names = bits["activation"], bits["activation"], ("input", "output")
    if row.op in ("shiftmax", "softmax"):
        read, names = bits["accumulator"], ("attention", "attention")
        written = EXPONENT_BITS if row.op == "shiftmax" else written
    seen = [(o.numel, operand_bits(o, profile)) for o in (row.left, row.right) if o] or [(row.words["input"], read)]
    moved = [_placed(row, (Traffic("input", reads=n),), {"input": Place(names[0], width, n / at_once)}, profile)
             for n, width in seen]
    result = Place(names[1], written, row.words["output"] / at_once)
    moved.append(_placed(row, (Traffic("output", writes=row.words["output"]),), {"output": result}, profile))
    return [one for part in moved for one in part]


def _placed(row: Row, moved: Iterable[Traffic], places: dict[str, Place], profile: Profile) -> list[Moved]:
    found = []
    for one in moved:
        place = places[one.data]
        level = level_for(profile.memory, place.held * place.bits / 8)
        for name, reads, writes in ((level.name if level else NOWHERE, one.reads, one.writes),
                                    (REGISTER, one.register_reads, one.register_writes)):
            if reads or writes:
                found.append(Moved(row.scope, row.op, place.data, name, reads, writes, place.bits, place.held))
    return found


def operand_bits(operand: Operand, profile: Profile) -> int:
    """Bits of a word of an operand, by what was seen of its values.

    >>> spikes, sums = Operand(8, 2, 1, smallest=1.0, largest=1.0), Operand(8, 4, 0, smallest=1.0, largest=5.0)
    >>> [operand_bits(operand, load_profile("horowitz45_fp32")) for operand in (spikes, sums)]
    [2, 3]
    """
    sign, kind = 1 if operand.negative else 0, operand.kind
    if kind in SPIKES:
        return 2 if kind == "ternary" else 1 + sign
    if kind == "graded":
        return int(operand.largest).bit_length() + sign
    return EXPONENT_BITS if kind == "pow2" else profile.word_bits["activation"]
