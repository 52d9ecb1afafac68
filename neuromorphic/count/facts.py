"""What is known about a tensor without looking at its values, carried from operation to operation.

    constant      follows from weights and literals alone: worked out once, before any input arrives
    reads_input   holds the model's input, at most copied, cast or repeated
    declared      value kind its producer guarantees ("pow2" after Shiftmax, "real" after a softmax)
    affine        output of a weight layer (possibly after a folded norm): a batch norm behind it folds
    timed         its leading axis runs over the T time steps (T, ...) or (T * B, ...)

Facts belong to storages, so that views share them and a write through any view ends them; `timed` belongs to
single views. A tensor nobody has seen has no facts, which is the safe side everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef  # keeps an address unique, not the memory

from neuromorphic.ledger import Kind

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


@dataclass
class Storage:
    """Facts of one storage; `ref` keeps its address from being given to another while the facts live."""

    ref: StorageWeakRef
    constant: bool = False
    reads_input: bool = False
    declared: Kind | None = None
    affine: bool = False
    timed: set[tuple] = field(default_factory=set)


NOTHING = Storage(ref=None)


def _address(tensor: Tensor) -> int | None:
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else None


def _view(tensor: Tensor) -> tuple:
    return tensor.storage_offset(), tuple(tensor.shape)


class Facts:
    """The facts of one forward pass over `batch` samples and `timesteps` steps."""

    def __init__(self, timesteps: int, batch: int):
        self.timesteps, self.batch = timesteps, batch
        self._storages: dict[int, Storage] = {}

    def of(self, tensor: Tensor) -> Storage:
        return self._storages.get(_address(tensor), NOTHING)

    def note(self, tensor: Tensor, **facts: Any) -> None:
        """Begin the record of a tensor's storage, with these facts."""
        address = _address(tensor)
        if address is not None:
            self._storages[address] = Storage(StorageWeakRef(tensor.untyped_storage()), **facts)

    def declare(self, tensor: Tensor, **facts: Any) -> None:
        """Add facts that a counter knows about the output of its operation."""
        address = _address(tensor)
        if address in self._storages:
            self._storages[address] = replace(self._storages[address], **facts)

    def note_time(self, tensor: Tensor) -> None:
        """Say that the tensor's leading axis runs over time."""
        if self.of(tensor) is NOTHING:
            self.note(tensor)
        if self.of(tensor) is not NOTHING:
            self.of(tensor).timed.add(_view(tensor))

    def steps(self, tensor: Tensor) -> int:
        """T where the leading axis runs over time, else 1."""
        return self.timesteps if _view(tensor) in self.of(tensor).timed else 1

    def settle(self, name: str, func: Any, named: dict[str, Any], inputs: Sequence[Tensor],
               outputs: Sequence[Tensor]) -> bool:
        """Carry the facts over one operation that has just run; True where its result is constant."""
        random = torch.Tag.nondeterministic_seeded in func.tags
        constant = not random and (name in LIKE or all(self.of(t).constant for t in inputs))
        timed = [t for t in inputs if self.steps(t) > 1] if self.timesteps > 1 else []
        biased = name == "aten::add" and self._adds_bias(inputs)
        addresses = {_address(t) for t in inputs}
        for argument in func._schema.arguments:
            if argument.alias_info and argument.alias_info.is_write and not constant:
                for tensor in tensors_in(named.get(argument.name)):
                    self.declare(tensor, constant=False, reads_input=False, declared=None, affine=False)
        for out in outputs:
            if _address(out) not in addresses:
                self.note(out, constant=constant, **(self._shared(inputs) if name in COPIES else {}))
            if timed and self._keeps_time(name, named, timed[0], out) or self._begins_time(name, inputs, out):
                self.note_time(out)
            if biased:
                self.declare(out, affine=True)
        return constant

    def _adds_bias(self, inputs: Sequence[Tensor]) -> bool:
        """A weight layer's output plus a constant is still one."""
        moving = [self.of(t) for t in inputs if not self.of(t).constant]
        return len(moving) == 1 and moving[0].affine

    def _shared(self, inputs: Sequence[Tensor]) -> dict[str, Any]:
        first, *others = [self.of(t) for t in inputs] or [NOTHING]
        names = ("reads_input", "declared", "affine")
        return {n: getattr(first, n) for n in names if all(getattr(o, n) == getattr(first, n) for o in others)}

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
    """Every tensor in a nest of lists and tuples."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []
