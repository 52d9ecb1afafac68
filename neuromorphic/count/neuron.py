"""Neurons, from the cost that they declare, whatever operations their code runs.

    for each element and step
    charge     1 ADD                          leak     none, 1 SHIFT (decay a power of two) or 1 MUL
    fire       1 CMP for each threshold       reset    none, hard: 1 AND (gate), soft: 1 ADD
    memory     `state_words` membrane words read and written
"""

import numpy as np
from torch import Tensor, nn

from neuromorphic.count.call import Call, Counter
from neuromorphic.count.measure import Seen, power_of_two
from neuromorphic.ledger import Emission, Row
from spikeattn.types import NeuronCost

LEAK = {"none": {}, "shift": {"SHIFT": 1}, "mul": {"MUL": 1}}
RESET = {"none": {}, "hard": {"AND": 1}, "soft": {"ADD": 1}}


def per_update(cost: NeuronCost) -> dict[str, int]:
    """Operations of one neuron in one step.

    >>> per_update(NeuronCost(leak="shift", compares=1, reset="soft"))
    {'ADD': 2, 'SHIFT': 1, 'CMP': 1}
    """
    counts = {"ADD": 1}
    for part in (LEAK[cost.leak], {"CMP": cost.compares}, RESET[cost.reset]):
        for name, n in part.items():
            counts[name] = counts.get(name, 0) + n
    return counts


def declared_cost(module: nn.Module) -> NeuronCost | None:
    """The cost of a neuron of ours (anything with `cost` and `alphabet`), None for other modules."""
    if not hasattr(type(module), "cost") and "cost" not in vars(module):
        return None  # without asking the module itself, which is slow to say no
    cost, alphabet = getattr(module, "cost", None), getattr(module, "alphabet", None)
    known = all(hasattr(cost, name) for name in ("leak", "compares", "reset", "state_words"))
    return cost if known and alphabet else None


def neuron_row(scope: str, per_element: dict[str, int], state_words: int, updates: int, steps: int) -> Row:
    return Row(
        scope=scope,
        op="neuron",
        steps=steps,
        counts={name: n * updates for name, n in per_element.items()},
        words={"membrane_read": state_words * updates, "membrane_write": state_words * updates},
    )


def emission(row: Row, neuron: str, alphabet: str, spikes: Tensor, batch: int, seen: Seen) -> Emission:
    """What a neuron layer sent: spikes (T, B, ...) or (B, ...), their evidence; row is that of its updates."""
    fired = spikes.reshape(len(seen.positive) * batch, -1).bool().numpy(force=True)  # (steps and samples, units)
    return Emission(
        scope=row.scope,
        neuron=neuron,
        alphabet=alphabet,
        units=fired.shape[1],
        numel=spikes.numel(),
        positive=seen.positive,
        negative=seen.negative,
        levels=seen.levels,
        fired=_bits(np.bitwise_or.reduce(fired)),
        always=_bits(np.bitwise_and.reduce(fired)),
        call=row.call,
        order=row.order,
        integers=seen.whole.integers,
    )


def _bits(flags: np.ndarray) -> int:
    """A row of flags as an integer: flag i is bit i."""
    if not flags.any():
        return 0
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def _count_lif(call: Call) -> list[Row]:
    """`spikeattn.ops.lif` called outside of a neuron module: the same declaration, from its arguments."""
    beta, updates = call["beta"], call["current"].numel()
    leak = "none" if beta == 1 else "shift" if power_of_two(beta) else "mul"
    cost = NeuronCost(leak=leak, compares=2 if call["ternary"] else 1, reset=call["reset"])
    return [neuron_row(call.scope, per_update(cost), cost.state_words, updates, call.facts.steps(call["current"]))]


COUNTERS: dict[str, Counter] = {"spikeattn::lif": _count_lif}
