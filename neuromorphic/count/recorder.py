"""Listens to one forward pass: every operation that PyTorch dispatches, and every module that is entered.

Operations become rows at the scope of the innermost module. Inside a neuron, the neuron's own declaration
stands in place of the operations that its code runs; products with weights are counted even there.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from neuromorphic.count import COUNTERS, FREE, conv, matmul
from neuromorphic.count.call import Call
from neuromorphic.count.facts import Facts, tensors_in
from neuromorphic.count.foreign import foreign_neuron
from neuromorphic.count.neuron import declared_cost, emission, neuron_row, per_update
from neuromorphic.ledger import Coverage, Emission, Row, Touch

PRODUCTS = matmul.COUNTERS.keys() | conv.COUNTERS.keys()


@dataclass(frozen=True)
class Region:
    """A module whose declaration replaces what its code runs; per_element None: nobody declared its cost."""

    neuron: str
    alphabet: str
    per_element: dict[str, int] | None
    state_words: int
    timed: bool


def region_of(module: nn.Module) -> Region | None:
    name, cost = type(module).__name__, declared_cost(module)
    if cost is not None:
        return Region(name, module.alphabet, per_update(cost), cost.state_words, timed=True)
    foreign = foreign_neuron(module)
    return Region(name, "binary", foreign.per_element, foreign.state_words, foreign.timed) if foreign else None


class Recorder(TorchDispatchMode):
    """Collects the rows, emissions and coverage of one forward pass."""

    def __init__(self, facts: Facts):
        super().__init__()
        self.facts = facts
        self.rows: list[Row] = []
        self.emissions: list[Emission] = []
        self.touched: dict[str, Tally] = {"counted": Tally(), "free": Tally(), "uncovered": Tally()}
        self.calls: Tally = Tally()
        self._path: list[str] = [""]
        self._regions: list[Region] = []
        self._measuring = False

    @property
    def scope(self) -> str:
        return self._path[-1]

    @property
    def coverage(self) -> Coverage:
        return Coverage(**{
            state: tuple(Touch(op, scope, self.calls[state, op, scope], n) for (op, scope), n in sorted(tally.items()))
            for state, tally in self.touched.items()
        })  # fmt: skip

    @contextmanager
    def listening(self, model: nn.Module) -> Iterator[None]:
        """Follow the modules of a model as they are entered and left."""
        handles = []
        try:
            for name, module in model.named_modules():
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # cannot be hooked: its operations are counted at the scope around it
                path = ".".join(part for part in name.split(".") if part != "_orig_mod")
                region = region_of(module)
                handles.append(module.register_forward_pre_hook(partial(self._enter, path, region), prepend=True))
                handles.append(module.register_forward_hook(partial(self._leave, region), always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, path: str, region: Region | None, module: nn.Module, args: tuple) -> None:
        self._path.append(path)
        if region:
            self._regions.append(region)

    def _leave(self, region: Region | None, module: nn.Module, args: tuple, output: Any) -> None:
        tensors = tensors_in(output)
        if region:
            self._regions.pop()
            if tensors and not self._regions:
                self._measuring = True  # what we run ourselves is no work of the model
                self._declare(region, tensors[0])
                self._measuring = False
        self._path.pop()

    def _declare(self, region: Region, spikes: Tensor) -> None:
        if region.timed:
            self.facts.note_time(spikes)
        batch = spikes.shape[1] if region.timed else spikes.shape[0]
        if region.per_element is None:
            self._touch("uncovered", f"neuron:{region.neuron}", spikes.numel())
            return
        steps = spikes.shape[0] if region.timed else 1
        self._add(neuron_row(self.scope, region.per_element, region.state_words, spikes.numel(), steps))
        self._touch("counted", f"neuron:{region.neuron}", spikes.numel())
        sent = emission(self.scope, region.neuron, region.alphabet, spikes, region.timed, batch)
        self.emissions.append(replace(sent, call=self.rows[-1].call, order=self.rows[-1].order))

    def _add(self, row: Row) -> None:
        call = self.calls["row", row.scope, row.op]
        self.calls["row", row.scope, row.op] += 1
        self.rows.append(replace(row, call=call, order=len(self.rows)))

    def _touch(self, state: str, op: str, numel: int) -> None:
        self.calls[state, op, self.scope] += 1
        self.touched[state][op, self.scope] += numel

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._measuring:
            return func(*args, **kwargs)
        if func._can_decompose():  # composite: reaches us whole where tensors were made in inference mode
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        named = arguments(func, args, kwargs)
        out = func(*args, **kwargs)
        self._record(func, named, out)
        return out

    def _record(self, func, named: dict[str, Any], out: Any) -> None:
        inputs, outputs = tensors_in(list(named.values())), tensors_in(out)
        name = canonical(func._schema.name)
        constant = self.facts.settle(name, func, named, inputs, outputs)
        if self._regions and name not in PRODUCTS:
            return
        numel = outputs[0].numel() if outputs else 0
        if constant or name in FREE:
            self._touch("free", name, numel)
            return
        rows = COUNTERS[name](Call(name, named, out, self.scope, self.facts)) if name in COUNTERS else None
        state = "uncovered" if rows is None else "counted" if rows else "free"
        self._touch(state, name, numel)
        for row in rows or ():
            self._add(row)


def arguments(func, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of a call by name, defaults filled in."""
    named = {}
    for position, argument in enumerate(func._schema.arguments):
        given = args[position] if position < len(args) else kwargs.get(argument.name, argument.default_value)
        named[argument.name] = given
    return named


def canonical(name: str) -> str:
    """In-place operations cost what the others do: aten::add_ is aten::add.

    >>> canonical("aten::add_"), canonical("aten::__and__")
    ('aten::add', 'aten::__and__')
    """
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
