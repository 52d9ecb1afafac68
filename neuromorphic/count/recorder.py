"""Listens to one forward pass: every operation that PyTorch dispatches, and every module that is entered.

Operations become rows at the scope of the innermost module. Inside a neuron, the neuron's own declaration
stands in place of the operations that its code runs; products with weights are counted even there.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from neuromorphic.count import COUNTERS, FREE, conv, matmul
from neuromorphic.count.call import Call
from neuromorphic.count.facts import NOTHING, Facts
from neuromorphic.count.foreign import foreign_neuron
from neuromorphic.count.loops import Visit
from neuromorphic.count.neuron import declared_cost, emission, neuron_row, per_update
from neuromorphic.count.operation import Operation, Run, operation_of, tensors_in
from neuromorphic.ledger import Coverage, Emission, Row, Touch

PRODUCTS = matmul.COUNTERS.keys() | conv.COUNTERS.keys()
OVERWRITTEN = ("aten::mul",)  # in-place forms of these read what their result replaces


@dataclass(frozen=True)
class Region:
    """A module whose declaration replaces what its code runs; per_element None: nobody declared its cost."""

    neuron: str
    alphabet: str
    per_element: dict[str, int] | None
    state_words: int
    timed: bool
    step: float = 1.0


def region_of(module: nn.Module) -> Region | None:
    name, cost = type(module).__name__, declared_cost(module)
    if cost is not None:
        step = getattr(module, "spike_step", 1.0)
        return Region(name, module.alphabet, per_update(cost), cost.state_words, timed=True, step=step)
    foreign = foreign_neuron(module)
    return Region(name, foreign.alphabet, foreign.per_element, foreign.state_words, foreign.timed) if foreign else None


class Recorder(TorchDispatchMode):
    """Collects the rows, emissions and coverage of one forward pass."""

    def __init__(self, facts: Facts):
        super().__init__()
        self.facts = facts
        self.rows: list[Row] = []
        self.visits: list[Visit] = []  # one for each row
        self.emissions: list[Emission] = []
        self.entered: Tally = Tally()  # how often each module was, by path
        self._neurons: dict[str, bool] = {}  # by path; whether time is an axis of what they take
        self.touched: dict[tuple[str, str, str], list[int]] = {}  # (state, op, scope): [calls, elements]
        self.calls: Tally = Tally()
        self._places: dict[int, tuple[str, Region | None]] = {}  # paths of the modules, and what is known of neurons
        self._path: list[str] = [""]
        self._regions: list[Region] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled while we listen, and guarding against it costs as much as a small operation

    @property
    def scope(self) -> str:
        return self._path[-1]

    @property
    def coverage(self) -> Coverage:
        found: dict[str, list[Touch]] = {"counted": [], "free": [], "uncovered": []}
        for (state, op, scope), (calls, numel) in sorted(self.touched.items()):
            found[state].append(Touch(op, scope, calls, numel))
        return Coverage(**{state: tuple(touches) for state, touches in found.items()})

    @property
    def steps(self) -> int:
        """How often the network stepped its neurons, all of which keep a membrane and take a step at a time; else 1."""
        visits = {self.entered[scope] for scope in self._neurons}
        return visits.pop() if len(visits) == 1 and not any(self._neurons.values()) else 1

    @contextmanager
    def listening(self, modules: Iterable[tuple[str, nn.Module]]) -> Iterator[None]:
        """Follow the named modules of a model as they are entered and left."""
        self._places = {
            id(module): (".".join(part for part in name.split(".") if part != "_orig_mod"), region_of(module))
            for name, module in modules
            if not isinstance(module, torch.jit.ScriptModule)  # its operations are counted at the scope around it
        }
        with ExitStack() as stack:  # two hooks for all modules, for as long as this one runs
            stack.callback(register_module_forward_pre_hook(self._enter).remove)
            stack.callback(register_module_forward_hook(self._leave, always_call=True).remove)
            yield

    def _enter(self, module: nn.Module, args: tuple) -> None:
        if id(module) not in self._places:
            return
        path, region = self._places[id(module)]
        self._path.append(path)
        self.entered[path] += 1
        if region:
            self._regions.append(region)

    def _leave(self, module: nn.Module, args: tuple, output: Any) -> None:
        if id(module) not in self._places:
            return
        _, region = self._places[id(module)]
        if region:
            self._regions.pop()
            tensors = tensors_in(output)
            if tensors and not self._regions:
                with torch._C._DisableTorchDispatch():  # what we run ourselves is no work of the model
                    self._declare(region, tensors[0])
        self._path.pop()

    def _declare(self, region: Region, spikes: Tensor) -> None:
        self._neurons[self.scope] = region.timed
        if region.timed:
            self.facts.note_time(spikes)
        if region.step != 1:
            if self.facts.unknown(spikes):
                self.facts.note(spikes)
            self.facts.declare(spikes, step=region.step)
        batch = spikes.shape[1] if region.timed else spikes.shape[0]
        if region.per_element is None:
            self._touch("uncovered", f"neuron:{region.neuron}", spikes.numel())
            return
        steps = spikes.shape[0] if region.timed else 1
        self._add(neuron_row(self.scope, region.per_element, region.state_words, spikes.numel(), steps))
        self._touch("counted", f"neuron:{region.neuron}", spikes.numel())
        seen = self.facts.evidence(spikes, steps, self.scope)
        self.emissions.append(emission(self.rows[-1], region.neuron, region.alphabet, spikes, batch, seen))

    def strangers(self, tensors: Iterable[Tensor]) -> None:
        """Values that NumPy or another library handed over: what it cost to make them did not pass by here.

        Their memory is not PyTorch's own, which tells them from constants that were made beforehand.
        """
        for tensor in tensors:
            if self.facts.unknown(tensor) and not tensor.untyped_storage().resizable():
                self._touch("uncovered", "outside of PyTorch", tensor.numel())
                self.facts.note(tensor)

    def _add(self, row: Row, source: tuple = ()) -> None:
        call = self.calls[row.scope, row.op]
        self.calls[row.scope, row.op] += 1
        self.visits.append(Visit(self.entered[row.scope] - 1, source))
        self.rows.append(row.at(call, len(self.rows)))

    def _touch(self, state: str, op: str, numel: int) -> None:
        touched = self.touched.setdefault((state, op, self.scope), [0, 0])
        touched[0] += 1
        touched[1] += numel

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, operation = kwargs or {}, operation_of(func)
        if operation.composite:  # reaches us whole where tensors were made in inference mode
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        kept = self._before(operation, args, kwargs) if operation.written else {}
        out = func(*args, **kwargs)
        self._record(Run(operation, args, kwargs, out), kept, out)
        return out

    def _before(self, operation: Operation, args: tuple, kwargs: dict) -> dict[str, Tensor]:
        """What a product held that is written over by its result."""
        if operation.name not in OVERWRITTEN or self._regions:
            return {}
        named = operation.named(args, kwargs)
        return {argument: self.facts.twin(named[argument]) for argument in operation.written}

    def _record(self, run: Run, kept: dict[str, Tensor], out: Any) -> None:
        name, numel = run.name, run.outputs[0].numel() if run.outputs else 0
        known = self.facts.known(run)
        if any([found is NOTHING for found in known]):
            self.strangers(run.inputs)
            known = self.facts.known(run)
        product = self.facts.biased(run, known)
        constant = self.facts.settle(run, known)
        if product is not None and self.rows[product].scope == self.scope:
            self._touch("counted", name, numel)
            self.rows[product] = replace(self.rows[product], bias=self.rows[product].bias + numel)
            return
        if self._regions and name not in PRODUCTS:
            return
        if constant or name in FREE:
            self._touch("free", name, numel)
            return
        call = Call(name, run.named | kept, out, self.scope, self.facts)
        rows = COUNTERS[name](call) if name in COUNTERS else None
        self._touch("uncovered" if rows is None else "counted" if rows else "free", name, numel)
        for row in rows or ():
            self._add(row, self.facts.source(run) if row.reads_input else ())
        if rows and name in PRODUCTS:
            self.facts.declare(run.outputs[0], product=len(self.rows) - 1)
