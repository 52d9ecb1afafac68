"""Runs a model and writes down what it executed.

    ledger = trace(model, images)                       one batch
    ledger = trace(model, loader, batches=10)           the first ten batches of anything that can be iterated

The model runs in evaluation mode without gradients; everything that running it disturbs is put back, also when
it raises: training flags, buffers (statistics of norms), hidden membranes, random states, global switches.
"""

import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from neuromorphic.count.facts import Facts, tensors_in
from neuromorphic.count.foreign import forget
from neuromorphic.count.recorder import Recorder
from neuromorphic.ledger import Ledger, ModelInfo

Batch = tuple[Tensor, Tensor | None]


def trace(
    model: nn.Module,
    inputs: Tensor | tuple[Tensor, Tensor] | Iterable,
    *,
    batches: int | None = None,
    per_sample: bool = False,
    timesteps: int | None = None,
    batch_axis: int | None = None,
) -> Ledger:
    """Count every operation of a model on real inputs.

    inputs: one batch x, one pair (x, labels), or an iterable of either (a DataLoader, a list of batches). With
        labels the ledger also knows the accuracy.
    batches: the most to take from an iterable.
    per_sample: run the samples one at a time and keep a ledger for each in `ledger.per_sample`.
    timesteps: T, where the model does not say it itself by `config.timesteps` or by inputs (T, B, C, Y, X).
    batch_axis: axis of x that counts samples; by default 0, and 1 where a model of ours gets (T, B, C, Y, X).

    >>> ledger = trace(nn.Linear(8, 4, bias=False), torch.eye(8)[:2])
    >>> row = ledger.rows[0]
    >>> ledger.samples, row.left.kind, row.dense, row.left_events
    (2, 'binary', 64, 8)
    """
    _check(model, batches)
    total, parts = None, []
    with undisturbed(model):
        for ledger in _ledgers(model, inputs, batches, per_sample, timesteps, batch_axis):
            parts += [ledger] if per_sample else []
            total = ledger if total is None else total + ledger
    if total is None:
        raise ValueError("trace: inputs must hold at least one batch, got none. Pass a tensor or a non-empty iterable.")
    parts = tuple(sorted(parts, key=Ledger.to_json))
    return Ledger(total.model, total.samples, total.rows, total.emissions, total.coverage, parts)


def trace_each(
    model: nn.Module,
    inputs: Tensor | tuple[Tensor, Tensor] | Iterable,
    *,
    batches: int | None = None,
    timesteps: int | None = None,
    batch_axis: int | None = None,
) -> tuple[Ledger, ...]:
    """One ledger for each sample, in the order of the inputs: what pairs two models sample by sample.

    (`trace(..., per_sample=True)` keeps the same ledgers in an order of their own, so that ledgers can be added up.)

    >>> [ledger.rows[0].left_events for ledger in trace_each(nn.Linear(3, 4), torch.eye(3).cumsum(0))]
    [4, 8, 12]
    """
    _check(model, batches)
    with undisturbed(model):
        return tuple(_ledgers(model, inputs, batches, True, timesteps, batch_axis))


def _check(model: Any, batches: int | None) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"trace: model must be a torch.nn.Module, got {type(model).__name__}. "
            "Put the function into the forward of a module."
        )
    if batches is not None and batches < 1:
        raise ValueError(f"trace: batches must be at least 1, got {batches}. Leave it out to take all of them.")


def _ledgers(
    model: nn.Module, inputs: Any, batches: int | None, per_sample: bool, timesteps: int | None, batch_axis: int | None
) -> Iterator[Ledger]:
    """A ledger for each batch or for each sample, in order; the caller keeps the model undisturbed."""
    for x, labels in islice(each_batch(inputs), batches):
        check_input(x, labels)
        axis = _batch_axis(model, x) if batch_axis is None else batch_axis
        for one in _samples(x, labels, axis) if per_sample else [(x, labels)]:
            yield _run(model, *one, axis, timesteps)


def _run(model: nn.Module, x: Tensor, labels: Tensor | None, axis: int, timesteps: int | None) -> Ledger:
    """One forward pass."""
    samples = x.shape[axis]
    T = timesteps or (x.shape[0] if axis == 1 else getattr(getattr(model, "config", None), "timesteps", 1))
    facts = Facts(T, samples)
    for tensor in (*model.parameters(), *model.buffers()):
        facts.note(tensor, constant=True)
    facts.note(x, reads_input=True)
    if axis == 1:
        facts.note_time(x)
    forget(model)
    recorder = Recorder(facts)
    with torch.inference_mode(False), torch.no_grad(), recorder.listening(model), recorder:
        out = model(x)
    return Ledger(
        model=_describe(model, x, T, axis, out, labels),
        samples=samples,
        rows=tuple(recorder.rows),
        emissions=tuple(recorder.emissions),
        coverage=recorder.coverage,
    )


def _describe(model: nn.Module, x: Tensor, timesteps: int, axis: int, out: Any, labels: Tensor | None) -> ModelInfo:
    model = getattr(model, "_orig_mod", model)  # what torch.compile wrapped
    config = getattr(model, "config", None)
    attention = getattr(config, "attention", None)
    labelled, correct = _classified(out, labels)
    return ModelInfo(
        name=str(getattr(config, "name", None) or type(model).__name__),
        class_name=type(model).__name__,
        parameters=sum(p.numel() for p in model.parameters()),
        timesteps=timesteps,
        input_shape=tuple(size for a, size in enumerate(x.shape) if a != axis),
        attention=attention if attention is None or isinstance(attention, str) else _attention_name(attention),
        labelled=labelled,
        correct=correct,
    )


def _attention_name(attention: Any) -> str:
    parts = attention if isinstance(attention, (list, tuple)) else [attention]
    return "+".join(dict.fromkeys(str(getattr(part, "name", part)) for part in parts))


def _classified(out: Any, labels: Tensor | None) -> tuple[int, int]:
    """(samples with a label, samples whose largest logit is at the label); (0, 0) where the output is no (B, K)."""
    logits = next(iter(tensors_in(getattr(out, "logits", out))), None)
    if labels is None or logits is None or logits.ndim != 2 or labels.shape != logits.shape[:1]:
        return 0, 0
    return len(labels), int((logits.argmax(1).cpu() == labels.cpu()).sum())


def each_batch(inputs: Any) -> Iterator[Batch]:
    """(x, labels or None) for each batch: a tuple is one pair, a list or loader is several batches."""
    if isinstance(inputs, Tensor):
        yield inputs, None
    elif isinstance(inputs, tuple) and len(inputs) == 2 and isinstance(inputs[0], Tensor):
        yield inputs
    elif isinstance(inputs, Iterable) and not isinstance(inputs, (str, bytes, dict)):
        for item in inputs:
            if isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], Tensor):
                yield item[0], item[1]
            elif isinstance(item, Tensor):
                yield item, None
            else:
                raise _not_inputs(item)
    else:
        raise _not_inputs(inputs)


def _not_inputs(got: Any) -> TypeError:
    return TypeError(
        f"trace: a batch must be a tensor or a pair (x, labels), got {type(got).__name__}. "
        "Pass x, (x, labels), or a list or loader of such batches."
    )


def check_input(x: Tensor, labels: Any) -> None:
    if x.ndim == 0 or x.numel() == 0:
        raise ValueError(f"trace: a batch must hold samples, got shape {tuple(x.shape)}. Leave empty batches out.")
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        bad = x.numel() - int(torch.isfinite(x).sum())
        raise ValueError(
            f"trace: inputs must be finite, got {bad} NaN or infinite values of {x.numel()}. "
            "Clean the data, or look for a division by zero in its normalisation."
        )
    if labels is not None and not isinstance(labels, Tensor):
        raise TypeError(f"trace: labels must be a tensor, got {type(labels).__name__}. Pass (x, labels) or x alone.")


def _batch_axis(model: nn.Module, x: Tensor) -> int:
    """Models of ours take (T, B, C, Y, X), time first."""
    return 1 if x.ndim == 5 and hasattr(getattr(model, "config", None), "timesteps") else 0


def _samples(x: Tensor, labels: Tensor | None, axis: int) -> Iterator[Batch]:
    for index in range(x.shape[axis]):
        yield x.narrow(axis, index, 1), None if labels is None else labels[index : index + 1]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run in evaluation mode, and put back everything that running a model changes."""
    flags = [(module, module.training) for module in model.modules()]
    with ExitStack() as stack:
        stack.enter_context(_random_states())
        stack.enter_context(_buffers(model))
        stack.enter_context(_fast_paths_off())
        if "torch._dynamo" in sys.modules:  # a compiled module runs eagerly, so that its operations are seen
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
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
def _buffers(model: nn.Module) -> Iterator[None]:
    """Buffers of every module, and the membranes that foreign neurons keep between calls."""
    modules = list(model.modules())
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
