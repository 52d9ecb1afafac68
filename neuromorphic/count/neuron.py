"""Neurons, from the cost that they declare, whatever operations their code runs.

    for each element and step
    charge     1 ADD                          leak     none, 1 SHIFT (decay a power of two) or 1 MUL
    fire       1 CMP for each threshold       reset    none, hard: 1 AND (gate), soft: 1 ADD
    memory     `state_words` membrane words read and written
"""

import numpy as np
import torch
from torch import Tensor, nn

from neuromorphic.count.call import Call, Counter, measure, power_of_two, units
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


def emission(scope: str, neuron: str, alphabet: str, spikes: Tensor, timed: bool, batch: int) -> Emission:
    """What a neuron layer sent: spikes (T, B, ...) where `timed`, else (B, ...)."""
    steps = spikes.shape[0] if timed else 1
    by_step = spikes.reshape(steps, -1)
    fired = (spikes != 0).reshape(steps * batch, -1)  # one row for each step of each sample
    positive, negative = (torch.count_nonzero(sign, 1).tolist() for sign in (by_step > 0, by_step < 0))
    seen = measure(spikes, where=scope)
    levels = [units(step, seen, p + n) for step, p, n in zip(by_step, positive, negative, strict=True)]
    return Emission(
        scope=scope,
        neuron=neuron,
        alphabet=alphabet,
        units=fired.shape[1],
        numel=spikes.numel(),
        positive=tuple(positive),
        negative=tuple(negative),
        levels=tuple(levels),
        fired=_bits(fired.any(0)),
        always=_bits(fired.all(0)),
    )


def _bits(flags: Tensor) -> int:
    """A row of flags as an integer: flag i is bit i."""
    return int.from_bytes(np.packbits(flags.cpu().numpy(), bitorder="little").tobytes(), "little")


def _count_lif(call: Call) -> list[Row]:
    """`spikeattn.ops.lif` called outside of a neuron module: the same declaration, from its arguments."""
    beta, updates = call["beta"], call["current"].numel()
    leak = "none" if beta == 1 else "shift" if power_of_two(beta) else "mul"
    cost = NeuronCost(leak=leak, compares=2 if call["ternary"] else 1, reset=call["reset"])
    return [neuron_row(call.scope, per_update(cost), cost.state_words, updates, call.facts.steps(call["current"]))]


COUNTERS: dict[str, Counter] = {"spikeattn::lif": _count_lif}
