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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef  # keeps an address unique, not the memory

from neuromorphic.count.measure import Seen, dense, measure_steps, time_outermost
from neuromorphic.count.operation import Run, address_of, tensors_in
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


@dataclass(slots=True)
class Storage:
    """Facts of one storage; `ref` keeps its address from being given to another while the facts live."""

    ref: StorageWeakRef | torch.UntypedStorage | None
    constant: bool = False
    reads_input: bool = False
    declared: Kind | None = None
    step: float = 1.0
    affine: bool = False
    product: int | None = None
    timed: frozenset[tuple] = frozenset()
    seen: dict[tuple, Seen] = field(default_factory=dict)


NOTHING = Storage(ref=None)


class Storages(dict[int, Storage]):
    """Records by address; those of weights begin when they are first asked for, as most weights are read once."""

    def __init__(self, weights: Iterable[Tensor]):
        self._weights = {address_of(t): t.untyped_storage() for t in weights if t.layout is torch.strided}

    def __missing__(self, address: int | None) -> Storage:
        if address not in self._weights:
            return NOTHING
        found = self[address] = Storage(self._weights[address], constant=True)
        return found


FORGOTTEN = {"constant": False, "reads_input": False, "declared": None, "step": 1.0, "affine": False,
             "product": None}  # by a write


def _view(tensor: Tensor) -> tuple:
    return tensor.storage_offset(), tensor.shape


def _place(tensor: Tensor, steps: int) -> tuple:
    """Views of equal place hold the same elements, each step by itself: the order within a step is left out."""
    whole = time_outermost(tensor) if steps > 1 else dense(tensor)
    layout = (tensor.numel(),) if whole else (tensor.shape, tensor.stride())
    return tensor.dtype, tensor.storage_offset(), *layout


class Facts:
    """The facts of one forward pass over `batch` samples and `timesteps` steps; weights are constant."""

    def __init__(self, timesteps: int, batch: int, weights: Iterable[Tensor] = ()):
        self.timesteps, self.batch = timesteps, batch
        self._storages = Storages(weights)

    def of(self, tensor: Tensor) -> Storage:
        return self._storages[address_of(tensor)]

    def unknown(self, tensor: Tensor) -> bool:
        """Nothing is known about its storage: it was made before we listened, or where we cannot."""
        return self.of(tensor) is NOTHING and tensor.layout is torch.strided

    def known(self, run: Run) -> list[Storage]:
        """What is known of the inputs of an operation."""
        return [self._storages[address] for address in run.addresses]

    def source(self, run: Run) -> tuple:
        """The memory that an operation read, weights apart."""
        pairs = zip(run.addresses, run.inputs, strict=True)
        return tuple((address, *_view(t), t.stride()) for address, t in pairs if not self._storages[address].constant)

    def note(self, tensor: Tensor, **facts: Any) -> Storage:
        """Begin the record of a tensor's storage, with these facts."""
        address = address_of(tensor)
        if address is None:
            return NOTHING
        found = self._storages[address] = Storage(StorageWeakRef(tensor.untyped_storage()), **facts)
        return found

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
        found = self.of(tensor)
        if found is not NOTHING:
            for name, value in facts.items():
                setattr(found, name, value)

    def evidence(self, tensor: Tensor, steps: int, where: str) -> Seen:
        """What the values of each step are, and of all of them; `where` names the layer in an error."""
        found = self.of(tensor)
        kept, place = found.seen if found is not NOTHING else {}, _place(tensor, steps)
        if steps == 1 and (place, 1) not in kept and (place, self.timesteps) in kept:
            kept[place, 1] = _without_steps(kept[place, self.timesteps])
        if (place, steps) not in kept:
            kept[place, steps] = measure_steps(self.levels(tensor), steps, where)
        return kept[place, steps]

    def levels(self, tensor: Tensor) -> Tensor:
        """The values in steps of the neuron that sent them: the step folds into the weights that they meet."""
        step = self.of(tensor).step
        return tensor if step == 1 else (tensor / step).round()

    def note_time(self, tensor: Tensor) -> None:
        """Say that the tensor's leading axis runs over time."""
        if tensor.ndim == 0 or tensor.shape[0] % self.timesteps:
            return
        found = self.of(tensor)
        if found is NOTHING:
            found = self.note(tensor)
        if found is not NOTHING:
            found.timed |= {_view(tensor)}

    def steps(self, tensor: Tensor) -> int:
        """T where the leading axis runs over time, else 1."""
        return self.timesteps if self._timed(self.of(tensor), tensor) else 1

    def _timed(self, found: Storage, tensor: Tensor) -> bool:
        return len(found.timed) > 0 and _view(tensor) in found.timed

    def settle(self, run: Run, known: Sequence[Storage]) -> bool:
        """Carry the facts over one operation that has just run; True where its result is constant."""
        if run.operation.view and known:
            timed = [run.inputs[0]] if self._timed(known[0], run.inputs[0]) else []
            if known[0] is not NOTHING and (timed or run.name in REPEATS):
                known[0].timed |= {_view(out) for out in run.outputs if self._runs_over_time(run, timed, out)}
            return known[0].constant
        timed = [t for found, t in zip(known, run.inputs, strict=True) if self._timed(found, t)]
        constant = not run.operation.random and (run.name in LIKE or all([found.constant for found in known]))
        for argument in run.operation.written:
            for tensor in tensors_in(run.named.get(argument)):
                self.of(tensor).seen.clear()
                if not constant:
                    self.declare(tensor, **FORGOTTEN)
        biased = run.name == "aten::add" and self._adds_bias(known)
        for out in run.outputs:
            address = address_of(out)
            if address in run.addresses:
                found = self._storages[address]
            else:
                found = self.note(out, constant=constant, **(_shared(known) if run.name in COPIES else {}))
                if run.name == "aten::clone" and known[0].seen:
                    found.seen.update(self._copied(run.inputs[0], out))
            if biased and found is not NOTHING:
                found.affine = True
            if self._runs_over_time(run, timed, out):
                self.note_time(out)
        return constant

    def _runs_over_time(self, run: Run, timed: list[Tensor], out: Tensor) -> bool:
        """The leading axis of a result is time, as that of the first of the timed inputs is, or begins to be."""
        return bool(timed) and self._keeps_time(run, timed[0], out) or self._begins_time(run, out)

    def _adds_bias(self, known: Sequence[Storage]) -> bool:
        """A weight layer's output plus a constant is still one."""
        moving = [found for found in known if not found.constant]
        return len(moving) == 1 and moving[0].affine

    def biased(self, run: Run, known: Sequence[Storage]) -> int | None:
        """Index of the product to whose sums a constant is being added, as a linear layer does with its bias."""
        if run.name != "aten::add" or len(run.inputs) != 2 or run.named["alpha"] != 1:
            return None
        first, second = known
        return first.product if second.constant else second.product if first.constant else None

    def _copied(self, source: Tensor, copy: Tensor) -> dict[tuple, Seen]:
        """Evidence of a source that holds for its copy, which may lie in another order."""
        kept, counts = self.of(source).seen, {1, self.steps(source)}
        found = {steps: kept.get((_place(source, steps), steps)) for steps in counts}
        return {(_place(copy, steps), steps): seen for steps, seen in found.items() if seen}

    def _keeps_time(self, run: Run, timed: Tensor, out: Tensor) -> bool:
        name = run.name
        if out.ndim == 0 or out.shape[0] % self.timesteps or out.shape[0] == 0:
            return False
        if name in ALONG_DIM:
            dims = run.named.get("dim")
            dims = list(dims) if isinstance(dims, (list, tuple)) else [] if dims is None else [dims]
            whole = not dims and name not in ("aten::slice", "aten::select", "aten::split", "aten::unbind")
            return not whole and 0 not in [d % timed.ndim for d in (dims or [0])]
        if name in ("aten::transpose", "aten::t"):
            return 0 not in [run.named.get(d, 0) % timed.ndim for d in ("dim0", "dim1")]
        if name == "aten::permute":
            return run.named["dims"][0] % timed.ndim == 0
        return True

    def _begins_time(self, run: Run, out: Tensor) -> bool:
        """A static picture repeated T times in front."""
        T = self.timesteps
        return (
            run.name in REPEATS and T > 1 and len(run.inputs) > 0 and out.ndim > 0
            and out.shape[0] in (T, T * self.batch) and out.numel() == T * run.inputs[0].numel()
        )  # fmt: skip


def _without_steps(seen: Seen) -> Seen:
    whole = seen.whole
    return Seen(replace(whole, nonzero_per_step=()), (whole.positive,), (whole.negative,), (whole.magnitude,))


def _shared(known: Sequence[Storage]) -> dict[str, Any]:
    """What holds of all of them."""
    first, *others = known or [NOTHING]
    names = ("reads_input", "declared", "step", "affine")
    return {n: getattr(first, n) for n in names if all(getattr(o, n) == getattr(first, n) for o in others)}
