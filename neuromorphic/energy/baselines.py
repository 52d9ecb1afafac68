"""The baselines that a spiking network owes its reader: its own layers as a dense ANN, at several precisions.

    E_ann = MAC * E_MAC + biases * E_ADD        all terms of all products, once, one time step

    fp32, fp16, int8     prices of the 45 nm profiles; int8 adds up in int32, as deployed networks do
    quantised            b = ceil(log2(T + 1)) bits: as many levels as T binary steps can tell apart
                         E_MAC = 0.2 pJ * (b / 8)^2 + 0.1 pJ: an int8 multiplication whose energy goes with the square
                         of the width, and an int32 addition. The prices are ours, verified against nothing

Activations, norms and softmax are left out, as in the literature: that favours the ANN. Under a reuse model their
memory is in, at the width of each baseline: what one says of the network holds for its rivals.
"""

from dataclasses import dataclass
from math import fsum

from neuromorphic.energy.bill import Price, Profile, Rule
from neuromorphic.energy.price import ann_lines
from neuromorphic.energy.profile import load_profile
from neuromorphic.ledger import Ledger

PRECISIONS = {"fp32": "horowitz45_fp32", "fp16": "horowitz45_fp16", "int8": "horowitz45_int8_acc32"}


@dataclass(frozen=True)
class Baseline:
    """The products of a network as a dense ANN. name: "fp32", "fp16", "int8" or "3-bit"; total_mj: per sample."""

    name: str
    profile: Profile
    total_mj: float

    @property
    def title(self) -> str:
        ours = "" if self.profile.verified else " (prices ours, not verified)"
        return f"same layers as a dense ANN, {self.name}{ours}"


def bits_for(timesteps: int) -> int:
    """Bits of a quantised activation with as many levels as T binary steps give spike counts: ceil(log2(T + 1)).

    >>> [bits_for(T) for T in (1, 2, 3, 4, 8)]
    [1, 2, 2, 3, 4]
    """
    if timesteps < 1:
        raise ValueError(f"bits_for: timesteps must be at least 1, got {timesteps}. T = 1 is a single step.")
    return timesteps.bit_length()


def quantised_profile(bits: int) -> Profile:
    """Our prices for a quantised ANN at 45 nm.

    >>> [round(quantised_profile(bits).pj("MAC"), 3) for bits in (8, 4)]
    [0.3, 0.15]
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"quantised_profile: bits must lie in 1 to 8, got {bits}. Use a profile of int32 or fp16.")
    int8 = load_profile(PRECISIONS["int8"])
    multiplication, addition = int8.pj("MUL") * (bits / 8) ** 2, int8.pj("ADD")
    source = f"our estimate: int8 multiplication of {int8.name} times (bits / 8)^2, plus its int32 addition"
    prices = {
        "MAC": Price(multiplication + addition, source, verified=False),
        "ADD": Price(addition, int8.prices["ADD"].source, int8.prices["ADD"].verified),
    }
    return Profile(f"quantised45_{bits}bit", f"45 nm, {bits}-bit operands with int32 accumulators", 45, int8.date,
                   source, False, prices, memory=int8.memory,
                   word_bits={**int8.word_bits, "weight": bits, "activation": bits})  # fmt: skip


def baselines(ledger: Ledger, reuse: str | None = None) -> tuple[Baseline, ...]:
    """The same layers as a dense ANN in fp32, fp16, int8 and quantised to the levels of T steps.

    reuse: the reuse model by which all of them are charged for memory; None: arithmetic alone.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> spikes = Operand(32, 8, 0, smallest=1.0, largest=1.0)
    >>> row = Row("fc", "linear", steps=4, left=spikes, dense=4000, left_events=1000)
    >>> found = baselines(Ledger(ModelInfo("net", "Net", 1000, 4, (8,)), 1, (row,)))
    >>> {baseline.name: round(baseline.total_mj * 1e9, 3) for baseline in found}
    {'fp32': 4600.0, 'fp16': 1500.0, 'int8': 300.0, '3-bit': 128.125}
    """
    bits = bits_for(ledger.model.timesteps)
    chosen = {name: load_profile(profile) for name, profile in PRECISIONS.items()}
    if bits <= 8:  # T above 255 needs more than int8: no baseline that anyone would build
        chosen[f"{bits}-bit"] = quantised_profile(bits)
    rule = Rule(reuse=reuse)
    return tuple(Baseline(name, profile, _ann_mj(ledger, profile, rule)) for name, profile in chosen.items())


def _ann_mj(ledger: Ledger, profile: Profile, rule: Rule) -> float:
    return fsum(line.total_pj for line in ann_lines(ledger, profile, rule)) / ledger.samples * 1e-9
