"""What is known about a tensor without looking at its values, carried from operation to operation.

    constant      follows from weights and literals alone: worked out once, before any input arrives
    reads_input   holds the model's input, at most copied, cast or repeated
    declared      value kind its producer guarantees ("pow2" after Shiftmax, "real" after a softmax)
    step          what one level of a spike is worth (1 / D after a normalised I-LIF neuron)
    affine        output of a weight layer (possibly after a folded norm): a batch norm behind it folds
    product       index of the row whose sums these are: a constant added at the same place is the layer's bias
    timed         its leading axis runs over the T time steps (T, ...) or (T * B, ...)
    seen          evidence of its values, kept until the next write: spikes that a neuron emits are read once

Facts belong to storages, so that views share them and a write through any view ends them; `timed` belongs to
single views. A tensor nobody has seen has no facts, which is the safe side everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef  # keeps an address unique, not the memory

from neuromorphic.count.measure import dense, joined, measure_steps, time_outermost
from neuromorphic.ledger import Kind, Operand

LIKE = frozenset(
    f"aten::{name}" for name in (
        "empty_like", "full_like", "new_empty", "new_empty_strided", "new_full", "new_ones", "new_zeros",
        "ones_like", "zeros_like",
    )
)  # fmt: skip
COPIES = frozenset(
    f"aten::{name}" for name in (
        "_to_copy", "cat", "clone", "contiguous", "copy", "expand_copy", "flip", "gather", "index", "index_select",
        "nan_to_num", "permute_copy", "repeat", "roll", "stack", "view_copy",
    )
)  # fmt: skip
REPEATS = frozenset({"aten::expand", "aten::repeat", "aten::stack", "aten::cat"})
ALONG_DIM = frozenset(
    f"aten::{name}" for name in (
        "amax", "amin", "argmax", "argmin", "chunk", "index_select", "max", "mean", "median", "min", "prod",
        "select", "slice", "split", "split_with_sizes", "std", "sum", "unbind", "var",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """What an operation is called and does to its arguments, read from its schema once.

    name: without the underscore of the in-place form, which costs what the other does; arguments: (name, default);
    tensors: arguments that hold tensors or lists of them;
    written: arguments that it writes to; view: its result lies in the storage of an argument;
    random: its result is not given by its arguments;
    composite: made of others, which reach us one by one where tensors were made outside of inference mode.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...]
    tensors: tuple[str, ...]
    written: tuple[str, ...]
    view: bool
    random: bool
    composite: bool

    def named(self, args: tuple, kwargs: dict) -> dict[str, Any]:
        """The arguments of a call by name, defaults filled in."""
        named = {name: kwargs.get(name, default) for name, default in self.arguments[len(args):]}
        return {name: value for (name, _), value in zip(self.arguments, args, strict=False)} | named


@cache
def operation_of(func: Any) -> Operation:
    """
    >>> operation_of(torch.ops.aten.add_.Tensor).name, operation_of(torch.ops.aten.__and__.Tensor).name
    ('aten::add', 'aten::__and__')
    """
    schema = func._schema
    name = schema.name
    return Operation(
        name=name[:-1] if name.endswith("_") and not name.endswith("__") else name,
        arguments=tuple((argument.name, argument.default_value) for argument in schema.arguments),
        tensors=tuple(argument.name for argument in schema.arguments if "Tensor" in str(argument.type)),
        written=tuple(a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write),
        view=any(a.alias_info and not a.alias_info.is_write for a in schema.returns),
        random=torch.Tag.nondeterministic_seeded in func.tags,
        composite=func._can_decompose(),
    )


@dataclass
class Storage:
    """Facts of one storage; `ref` keeps its address from being given to another while the facts live."""

    ref: StorageWeakRef
    constant: bool = False
    reads_input: bool = False
    declared: Kind | None = None
    step: float = 1.0
    affine: bool = False
    product: int | None = None
    timed: set[tuple] = field(default_factory=set)
    seen: dict[tuple, tuple[tuple[Operand, ...], Operand]] = field(default_factory=dict)


NOTHING = Storage(ref=None)
FORGOTTEN = {"constant": False, "reads_input": False, "declared": None, "step": 1.0, "affine": False,
             "product": None}  # by a write


def _address(tensor: Tensor) -> int | None:
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else None


def _view(tensor: Tensor) -> tuple:
    return tensor.storage_offset(), tuple(tensor.shape)


def _place(tensor: Tensor, steps: int) -> tuple:
    """Views of equal place hold the same elements, each step by itself: the order within a step is left out."""
    whole = time_outermost(tensor) if steps > 1 else dense(tensor)
    layout = (tensor.numel(),) if whole else (tensor.shape, tensor.stride())
    return tensor.dtype, tensor.storage_offset(), *layout


class Facts:
    """The facts of one forward pass over `batch` samples and `timesteps` steps."""

    def __init__(self, timesteps: int, batch: int):
        self.timesteps, self.batch = timesteps, batch
        self._storages: dict[int, Storage] = {}

    def of(self, tensor: Tensor) -> Storage:
        return self._storages.get(_address(tensor), NOTHING)

    def unknown(self, tensor: Tensor) -> bool:
        """Nothing is known about its storage: it was made before we listened, or where we cannot."""
        return _address(tensor) not in self._storages and tensor.layout is torch.strided

    def note(self, tensor: Tensor, **facts: Any) -> None:
        """Begin the record of a tensor's storage, with these facts."""
        address = _address(tensor)
        if address is not None:
            self._storages[address] = Storage(StorageWeakRef(tensor.untyped_storage()), **facts)

    def twin(self, tensor: Tensor) -> Tensor:
        """A copy of which the same is known."""
        copy, facts = tensor.clone(), self.of(tensor)
        known = ("constant", "reads_input", "declared", "step", "affine")
        self.note(copy, **{name: getattr(facts, name) for name in known})
        if self.steps(tensor) > 1:
            self.note_time(copy)
        return copy

    def declare(self, tensor: Tensor, **facts: Any) -> None:
        """Add facts that a counter knows about the output of its operation."""
        address = _address(tensor)
        if address in self._storages:
            for name, value in facts.items():
                setattr(self._storages[address], name, value)

    def evidence(self, tensor: Tensor, steps: int, where: str) -> tuple[tuple[Operand, ...], Operand]:
        """What the values of each step are, and of all of them; `where` names the layer in an error."""
        facts = self.of(tensor)
        kept = facts.seen if facts is not NOTHING else {}
        place = _place(tensor, steps)
        if (place, steps) not in kept:
            found = measure_steps(self.levels(tensor), steps, where)
            kept[place, steps] = found, (whole := joined(found))
            if steps > 1:
                whole = replace(whole, nonzero_per_step=())
                kept[place, 1] = (whole,), whole
        return kept[place, steps]

    def levels(self, tensor: Tensor) -> Tensor:
        """The values in steps of the neuron that sent them: the step folds into the weights that they meet."""
        step = self.of(tensor).step
        return tensor if step == 1 else (tensor / step).round()

    def note_time(self, tensor: Tensor) -> None:
        """Say that the tensor's leading axis runs over time."""
        if tensor.ndim == 0 or tensor.shape[0] % self.timesteps:
            return
        if self.of(tensor) is NOTHING:
            self.note(tensor)
        if self.of(tensor) is not NOTHING:
            self.of(tensor).timed.add(_view(tensor))

    def steps(self, tensor: Tensor) -> int:
        """T where the leading axis runs over time, else 1."""
        timed = self.of(tensor).timed
        return self.timesteps if timed and _view(tensor) in timed else 1

    def settle(self, operation: Operation, named: dict[str, Any], inputs: Sequence[Tensor],
               outputs: Sequence[Tensor]) -> bool:
        """Carry the facts over one operation that has just run; True where its result is constant."""
        name, known = operation.name, [self.of(t) for t in inputs]
        if operation.view and known:
            for out in outputs:
                if (self.steps(inputs[0]) > 1 and self._keeps_time(name, named, inputs[0], out)
                        or self._begins_time(name, inputs, out)):  # fmt: skip
                    self.note_time(out)
            return known[0].constant
        constant = not operation.random and (name in LIKE or all(facts.constant for facts in known))
        timed = next((t for t, facts in zip(inputs, known, strict=True) if facts.timed and self.steps(t) > 1), None)
        biased = name == "aten::add" and self._adds_bias(inputs)
        for argument in operation.written:
            for tensor in tensors_in(named.get(argument)):
                self.of(tensor).seen.clear()
                if not constant:
                    self.declare(tensor, **FORGOTTEN)
        addresses = [_address(t) for t in inputs]
        for out in outputs:
            if _address(out) not in addresses:
                self.note(out, constant=constant, **(self._shared(inputs) if name in COPIES else {}))
                if name == "aten::clone":
                    self.of(out).seen.update(self._copied(inputs[0], out))
            if timed is not None and self._keeps_time(name, named, timed, out) or self._begins_time(name, inputs, out):
                self.note_time(out)
            if biased:
                self.declare(out, affine=True)
        return constant

    def _adds_bias(self, inputs: Sequence[Tensor]) -> bool:
        """A weight layer's output plus a constant is still one."""
        moving = [self.of(t) for t in inputs if not self.of(t).constant]
        return len(moving) == 1 and moving[0].affine

    def biased(self, name: str, named: dict[str, Any]) -> int | None:
        """Index of the product to whose sums a constant is being added, as a linear layer does with its bias."""
        sides = [named.get("self"), named.get("other")]
        if name != "aten::add" or named["alpha"] != 1 or not all(isinstance(side, Tensor) for side in sides):
            return None
        first, second = map(self.of, sides)
        return first.product if second.constant else second.product if first.constant else None

    def _shared(self, inputs: Sequence[Tensor]) -> dict[str, Any]:
        first, *others = [self.of(t) for t in inputs] or [NOTHING]
        names = ("reads_input", "declared", "step", "affine")
        return {n: getattr(first, n) for n in names if all(getattr(o, n) == getattr(first, n) for o in others)}

    def _copied(self, source: Tensor, copy: Tensor) -> dict[tuple, tuple[tuple[Operand, ...], Operand]]:
        """Evidence of a source that holds for its copy, which may lie in another order."""
        kept, counts = self.of(source).seen, {1, self.steps(source)}
        found = {steps: kept.get((_place(source, steps), steps)) for steps in counts}
        return {(_place(copy, steps), steps): seen for steps, seen in found.items() if seen}

    def _keeps_time(self, name: str, named: dict[str, Any], timed: Tensor, out: Tensor) -> bool:
        if out.ndim == 0 or out.shape[0] % self.timesteps or out.shape[0] == 0:
            return False
        if name in ALONG_DIM:
            dims = named.get("dim")
            dims = list(dims) if isinstance(dims, (list, tuple)) else [] if dims is None else [dims]
            whole = not dims and name not in ("aten::slice", "aten::select", "aten::split", "aten::unbind")
            return not whole and 0 not in [d % timed.ndim for d in (dims or [0])]
        if name in ("aten::transpose", "aten::t"):
            return 0 not in [named.get(d, 0) % timed.ndim for d in ("dim0", "dim1")]
        if name == "aten::permute":
            return named["dims"][0] % timed.ndim == 0
        return True

    def _begins_time(self, name: str, inputs: Sequence[Tensor], out: Tensor) -> bool:
        """A static picture repeated T times in front."""
        T = self.timesteps
        return (
            T > 1 and name in REPEATS and len(inputs) > 0 and out.ndim > 0
            and out.shape[0] in (T, T * self.batch) and out.numel() == T * inputs[0].numel()
        )  # fmt: skip


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in a nest of lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return []
    found = []
    for item in value:
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, (list, tuple, dict)):
            found += tensors_in(item)
    return found
