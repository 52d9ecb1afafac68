"""Runs a model and writes down what it executed.

    ledger = trace(model, images)                       one batch
    ledger = trace(model, loader, batches=10)           the first ten batches of anything that can be iterated
    ledger = trace(bert, {"input_ids": ids, "attention_mask": mask})      arguments by name
    ledger = trace(decoder, [(target, memory)], positional=True)          several arguments in order

The model runs in evaluation mode without gradients; everything that running it disturbs is put back, also when
it raises: training flags, buffers (statistics of norms), hidden membranes, random states, global switches.
"""

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from neuromorphic.count.facts import Facts
from neuromorphic.count.foreign import forget
from neuromorphic.count.loops import in_time
from neuromorphic.count.operation import tensors_in
from neuromorphic.count.recorder import Recorder
from neuromorphic.ledger import Ledger, ModelInfo

Inputs = Tensor | tuple | Mapping[str, Any] | Iterable
LABELS = ("labels", "label")  # names under which a mapping holds what is to be predicted, not an input


def trace(
    model: nn.Module | Callable,
    inputs: Inputs,
    *,
    batches: int | None = None,
    per_sample: bool = False,
    timesteps: int | None = None,
    batch_axis: int | None = None,
    positional: bool = False,
) -> Ledger:
    """Count every operation of a model on real inputs.

    model: a module, a method of one, or a compiled or scripted function; weights that a function hides are not
        known to be weights, so pass the module where there is one.
    inputs: one batch or an iterable of batches (a DataLoader, a list). A batch is a tensor x, a pair (x, labels)
        or a mapping {argument: value}, whose "labels" are kept back. With labels the ledger knows the accuracy.
    batches: the most to take from an iterable.
    per_sample: run the samples one at a time and keep a ledger for each in `ledger.per_sample`.
    timesteps: T, where the model does not say it itself by `config.timesteps`, `T`, inputs (T, B, C, Y, X) or a loop
        in which it steps neurons of SpikingJelly or snnTorch one by one. What modules did in T turns of a loop is put
        together into rows of T steps.
    batch_axis: axis of x that counts samples; by default 0, and 1 where a model of ours gets (T, B, C, Y, X).
    positional: a tuple holds the arguments of the model in order instead of (x, labels).

    >>> ledger = trace(nn.Linear(8, 4, bias=False), torch.eye(8)[:2])
    >>> row = ledger.rows[0]
    >>> ledger.samples, row.left.kind, row.dense, row.left_events
    (2, 'binary', 64, 8)
    """
    model = _module(model, batches)
    total, parts = None, []
    with undisturbed(model):
        for ledger in _ledgers(model, inputs, batches, per_sample, timesteps, batch_axis, positional):
            parts += [ledger] if per_sample else []
            total = ledger if total is None else total + ledger
    if total is None:
        raise ValueError("trace: inputs must hold at least one batch, got none. Pass a tensor or a non-empty iterable.")
    parts = tuple(sorted(parts, key=Ledger.to_json))
    return replace(total, per_sample=parts)


def trace_each(
    model: nn.Module | Callable,
    inputs: Inputs,
    *,
    batches: int | None = None,
    timesteps: int | None = None,
    batch_axis: int | None = None,
    positional: bool = False,
) -> tuple[Ledger, ...]:
    """One ledger for each sample, in the order of the inputs: what pairs two models sample by sample.

    (`trace(..., per_sample=True)` keeps the same ledgers in an order of their own, so that ledgers can be added up.)

    >>> [ledger.rows[0].left_events for ledger in trace_each(nn.Linear(3, 4), torch.eye(3).cumsum(0))]
    [4, 8, 12]
    """
    model = _module(model, batches)
    with undisturbed(model):
        return tuple(_ledgers(model, inputs, batches, True, timesteps, batch_axis, positional))


class Function(nn.Module):
    """A compiled or scripted function, or a method of a module, whose weights are then known, as a module."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function
        owner = getattr(function, "__self__", None)
        self.owner = owner if isinstance(owner, nn.Module) else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _module(model: Any, batches: int | None) -> nn.Module:
    if batches is not None and batches < 1:
        raise ValueError(f"trace: batches must be at least 1, got {batches}. Leave it out to take all of them.")
    if isinstance(model, nn.Module):
        return model
    compiled = isinstance(model, torch.jit.ScriptFunction) or hasattr(model, "_torchdynamo_orig_callable")
    if compiled or isinstance(getattr(model, "__self__", None), nn.Module):
        return Function(model)
    raise TypeError(
        f"trace: model must be a torch.nn.Module or a method of one, or a compiled or scripted function, "
        f"got {type(model).__name__}. Put the function into the forward of a module, which tells weights from data."
    )


@dataclass(frozen=True)
class Batch:
    """Arguments of one call of a model, and the labels of its samples."""

    args: tuple = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    labels: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        return tensors_in([*self.args, *self.kwargs.values()])

    @property
    def x(self) -> Tensor:
        """The first tensor: what is counted as input and says how many samples there are."""
        return self.tensors[0]

    def sample(self, index: int, axis: int) -> "Batch":
        """One sample; arguments that do not hold as many samples (a mask of all) stay as they are."""
        count = self.x.shape[axis]

        def cut(value: Any) -> Any:
            if not isinstance(value, Tensor) or value.ndim <= axis or value.shape[axis] != count:
                return value
            return value.narrow(axis, index, 1)

        labels = None if self.labels is None else self.labels[index : index + 1]
        return Batch(tuple(map(cut, self.args)), {name: cut(v) for name, v in self.kwargs.items()}, labels)


def _ledgers(model: nn.Module, inputs: Any, batches: int | None, per_sample: bool, timesteps: int | None,
             batch_axis: int | None, positional: bool) -> Iterator[Ledger]:  # fmt: skip
    """A ledger for each batch or for each sample, in order; the caller keeps the model undisturbed."""
    for batch in islice(each_call(inputs, positional), batches):
        check_input(batch)
        axis = sample_axis(model, batch.x) if batch_axis is None else batch_axis
        check_labels(batch, axis)
        for index in range(batch.x.shape[axis]) if per_sample else [None]:
            yield _run(model, batch if index is None else batch.sample(index, axis), axis, timesteps)


def _run(model: nn.Module, batch: Batch, axis: int, timesteps: int | None) -> Ledger:
    """One forward pass."""
    x = batch.x
    T = timesteps or (x.shape[0] if axis == 1 else _own_timesteps(model))
    modules = dict(model.named_modules())
    facts = Facts(T, x.shape[axis], _weights(modules.values()))
    for tensor in batch.tensors:
        facts.note(tensor, reads_input=not getattr(model, "reads_input_once", False))
    if axis == 1:
        facts.note_time(x)
    forget(modules.values())
    recorder = Recorder(facts)
    with torch.inference_mode(False), torch.no_grad(), recorder.listening(modules.items()), recorder:
        out = model(*batch.args, **batch.kwargs)
    recorder.strangers(tensors_in(out))
    _check_output(out)
    T = recorder.steps if T == 1 and timesteps is None else T
    rows, emissions = in_time(recorder.rows, recorder.emissions, recorder.visits, recorder.entered, T)
    return Ledger(
        model=_describe(model, batch, T, axis, out),
        samples=x.shape[axis],
        rows=rows,
        emissions=emissions,
        coverage=recorder.coverage,
    )


def _weights(modules: Iterable[nn.Module]) -> list[Tensor]:
    held = (holder for module in modules for holder in (module._parameters, module._buffers) if holder)
    return [tensor for holder in held for tensor in holder.values() if tensor is not None]


def _check_output(out: Any) -> None:
    wrong = sum(int(torch.isnan(tensor).sum()) for tensor in tensors_in(out))
    if wrong:
        raise ValueError(
            f"trace: the output of the model must hold numbers, got {wrong} times NaN. "
            "Look for a division by zero or a row that attends to nothing, and check the weights."
        )


def _own_timesteps(model: nn.Module) -> int:
    """T as our models name it, or as SpikingJelly's do."""
    own = getattr(getattr(model, "config", None), "timesteps", None) or getattr(model, "T", None)
    return own if isinstance(own, int) else 1


def _describe(model: nn.Module, batch: Batch, timesteps: int, axis: int, out: Any) -> ModelInfo:
    model = getattr(model, "_orig_mod", model)  # what torch.compile wrapped
    config = getattr(model, "config", None)
    attention = getattr(config, "attention", None)
    labelled, correct = classified(out, batch.labels)
    named = getattr(model, "function", model) if isinstance(model, Function) else type(model)
    return ModelInfo(
        name=str(getattr(config, "name", None) or getattr(named, "__name__", type(model).__name__)),
        class_name=type(model).__name__,
        parameters=getattr(model, "parameter_count", None) or sum(p.numel() for p in model.parameters()),
        timesteps=timesteps,
        input_shape=tuple(size for a, size in enumerate(batch.x.shape) if a != axis),
        attention=attention if attention is None or isinstance(attention, str) else _attention_name(attention),
        labelled=labelled,
        correct=correct,
        unfed_norms=unfed_norms(model),
    )


def unfed_norms(model: nn.Module) -> tuple[str, ...]:
    """Norms with running statistics that never saw a batch: still mean 0 and variance 1, and no batch counted.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    >>> unfed_norms(net), net(torch.rand(8, 4)).shape, unfed_norms(net)
    (('1',), torch.Size([8, 3]), ())
    """
    return tuple(name for name, module in model.named_modules() if _unfed(module))


def _unfed(module: nn.Module) -> bool:
    if "running_mean" not in module._buffers:
        return False
    mean, variance = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return False
    counted = getattr(module, "num_batches_tracked", None)
    return not counted and not mean.count_nonzero() and bool((variance == 1).all())


def _attention_name(attention: Any) -> str:
    parts = attention if isinstance(attention, (list, tuple)) else [attention]
    return "+".join(dict.fromkeys(str(getattr(part, "name", part)) for part in parts))


def classified(out: Any, labels: Tensor | None) -> tuple[int, int]:
    """(samples with a label, samples whose largest logit is at the label); (0, 0) where the output is no (B, K)."""
    logits = next(iter(tensors_in(getattr(out, "logits", out))), None)
    if labels is None or logits is None or logits.ndim != 2 or labels.shape != logits.shape[:1]:
        return 0, 0
    return len(labels), int((logits.argmax(1).cpu() == labels.cpu()).sum())


def each_call(inputs: Any, positional: bool = False) -> Iterator[Batch]:
    """Every batch of the inputs: a tuple or mapping is one batch, a list or loader is several."""
    several = isinstance(inputs, Iterable) and not isinstance(inputs, (Tensor, tuple, Mapping, str, bytes))
    for item in inputs if several else [inputs]:
        yield _call_of(item, positional)


def _call_of(item: Any, positional: bool) -> Batch:
    if isinstance(item, Batch):
        return item
    if isinstance(item, Mapping) and tensors_in(list(item.values())):
        labels = next((item[name] for name in LABELS if item.get(name) is not None), None)
        return Batch((), {name: value for name, value in item.items() if name not in LABELS}, labels)
    if isinstance(item, (tuple, list)) and positional and tensors_in(item):
        return Batch(tuple(item))
    if isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], (Tensor, Mapping)):
        return replace(_call_of(item[0], positional), labels=item[1])
    if isinstance(item, Tensor):
        return Batch((item,))
    raise TypeError(
        f"trace: a batch must be a tensor or a pair (x, labels), or a mapping of tensors, got {type(item).__name__}. "
        "Pass one of these, a list or loader of them, or tuples of arguments with positional=True."
    )


def each_batch(inputs: Any) -> Iterator[tuple[Any, Any]]:
    """(x, labels or None) for each batch, as they were given; x is a tensor or a mapping."""
    for batch in each_call(inputs):
        yield batch.args[0] if batch.args else dict(batch.kwargs), batch.labels


def check_input(batch: Batch) -> None:
    for x in batch.tensors:
        wrong = int(torch.isnan(x).sum()) if x is not batch.x else x.numel() - int(torch.isfinite(x).sum())
        if wrong:  # a mask may well hold minus infinity
            raise ValueError(
                f"trace: inputs must be finite, got {wrong} NaN or infinite values of {x.numel()}. "
                "Clean the data, or look for a division by zero in its normalisation."
            )
    if batch.x.ndim == 0 or batch.x.numel() == 0:
        raise ValueError(
            f"trace: a batch must hold samples, got shape {tuple(batch.x.shape)}. Leave empty batches out."
        )
    if batch.labels is not None and not isinstance(batch.labels, Tensor):
        raise TypeError(
            f"trace: labels must be a tensor, got {type(batch.labels).__name__}. "
            "Pass (x, labels) or x alone, or several arguments with positional=True."
        )


def check_labels(batch: Batch, axis: int) -> None:
    samples = batch.x.shape[axis]
    if batch.labels is not None and tuple(batch.labels.shape[:1]) != (samples,):
        raise ValueError(
            f"trace: a batch must have a label for each of its {samples} samples, got labels of shape "
            f"{tuple(batch.labels.shape)}. Pair each batch with its own labels."
        )


def sample_axis(model: nn.Module, x: Tensor) -> int:
    """The axis that counts samples: 0, but 1 where a model of ours gets (T, B, C, Y, X), time first."""
    return 1 if x.ndim == 5 and hasattr(getattr(model, "config", None), "timesteps") else 0


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run in evaluation mode, and put back everything that running a model changes."""
    modules = list(model.modules())
    flags = [(module, module.training) for module in modules if hasattr(module, "training")]
    with ExitStack() as stack:
        stack.enter_context(_random_states())
        stack.enter_context(_buffers(modules))
        stack.enter_context(_fast_paths_off())
        if "torch._dynamo" in sys.modules:  # a compiled module runs eagerly, so that its operations are seen
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            if any(training for _, training in flags):
                with suppress(NotImplementedError, AttributeError):  # exported and frozen models keep their mode
                    model.eval()
            yield
        finally:
            for module, training in flags:
                module.training = training


@contextmanager
def _random_states() -> Iterator[None]:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    numpy_random = sys.modules.get("numpy.random")
    python, numpy = random.getstate(), numpy_random.get_state() if numpy_random else None
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        if numpy_random:
            numpy_random.set_state(numpy)


@contextmanager
def _fast_paths_off() -> Iterator[None]:
    """nn.MultiheadAttention's fused inference path is one opaque operation."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _buffers(modules: list[nn.Module]) -> Iterator[None]:
    """Buffers of every module, and the membranes that foreign neurons keep between calls."""
    kept = [(m, dict(m._buffers), {n: b.clone() for n, b in m._buffers.items() if b is not None}) for m in modules]
    memories = [(m, dict(m._memories)) for m in modules if isinstance(getattr(m, "_memories", None), dict)]
    try:
        yield
    finally:
        for module, buffers, values in kept:
            if not isinstance(module, torch.jit.ScriptModule):  # which cannot put another tensor in a buffer's place
                module._buffers.clear()
                module._buffers.update(buffers)
            with torch.no_grad():
                for name, value in values.items():
                    if not torch.equal(buffers[name], value):
                        buffers[name].copy_(value)
        for module, memory in memories:
            module._memories.clear()
            module._memories.update(memory)
