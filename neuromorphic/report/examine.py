"""From a model and its inputs to an entry of a report: count, price, vary, and say how sure the numbers are.

    entry = examine(model, images)                   any nn.Module, any inputs that `trace` takes
    report.write(Report((entry,)), "energy")

Samples are traced one at a time until the energy is settled: looked at after 32, 64, 128, ... samples, half of the
95 % bootstrap interval of the mean is under 1 % of it; or until the samples run out. A dense network costs the same
for every sample, so two of them are enough. The accuracy is that on all samples that were offered.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neuromorphic import energy
from neuromorphic.energy import Profile, Rule
from neuromorphic.energy.sensitivity import Variation
from neuromorphic.energy.statistics import FEWEST
from neuromorphic.ledger import Ledger
from neuromorphic.trace import Batch, check_labels, classified, each_call, sample_axis, trace, trace_each, undisturbed

from .record import Checkpoint, Data, Entry, Role, Spread

PROFILES = ("horowitz45_fp32", "horowitz45_int8_acc32")
FIRST_LOOK = 32
T_SAMPLES = 4  # samples of the runs at other T
Step = Callable[[int, int, str], None]  # samples done, samples offered, what to say beside it


def examine(
    model: nn.Module,
    inputs: Any,
    *,
    label: str | None = None,
    profiles: Sequence[Profile | str | Path] = PROFILES,
    rule: Rule = Rule(),  # noqa: B008 - a frozen record
    training: str | None = None,
    role: Role = "model",
    twin_of: str | None = None,
    statistics: bool = True,
    sensitivity: bool = True,
    timesteps: int | None = None,
    positional: bool = False,
    data: Data | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Step = lambda done, total, beside: None,
) -> Entry:
    """One model as an entry.

    statistics: trace sample by sample, by the stopping rule; else in the batches given, all of them.
    sensitivity: also firing rate, T, profile, reuse and accounting, one at a time.
    timesteps, positional: as in `trace`.

    >>> entry = examine(nn.Linear(8, 4, bias=False), torch.eye(8), label="fc", sensitivity=False)
    >>> entry.bills[0].counts, entry.spreads[0].constant, entry.data.count       # each unit vector drives 4 weights
    ({'AC': 8}, True, 8)
    """
    batches = list(each_call(inputs, positional))
    if not batches:
        raise ValueError("examine: inputs must hold at least one batch, got none. Pass a tensor or a loader.")
    if not profiles:
        raise ValueError("examine: there must be one price profile or more, got none. Leave profiles out for ours.")
    for batch in batches:
        check_labels(batch, sample_axis(model, batch.x))
    data = data or Data("given by the caller", None, _offered(model, batches), digest(batches))
    singles = _settled(model, batches, profiles[0], rule, role, timesteps, progress) if statistics else ()
    ledger = reduce(add, singles) if singles else _whole(model, batches, timesteps, progress)
    right, of = _accuracy(model, batches, ledger)
    return Entry(
        label or ledger.model.name,
        tuple(energy.price(ledger, profile, rule) for profile in profiles),
        right / of if of else None,
        training,
        role,
        twin_of,
        of or None,
        _variations(model, batches, ledger, profiles[0], rule, timesteps) if sensitivity else (),
        _spreads(singles, profiles, rule),
        data,
        checkpoint,
    )


def digest(batches: Iterable[Batch]) -> str:
    """SHA-256 of the inputs, their shapes and labels, in their order."""
    found = hashlib.sha256()
    for batch in batches:
        for tensor in (*batch.tensors, *(() if batch.labels is None else (batch.labels,))):
            found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _settled(model: nn.Module, batches: Sequence[Batch], profile: Any, rule: Rule, role: Role, timesteps: int | None,
             progress: Step) -> tuple[Ledger, ...]:
    """Ledgers of the first samples, each by itself, as many as the stopping rule asks for."""
    offered = _offered(model, batches)
    found: list[Ledger] = []
    look = 2 if role != "zero-skipping ann" else FIRST_LOOK
    for sample in _one_by_one(model, batches):
        found += trace_each(model, sample, timesteps=timesteps)
        if len(found) < offered:
            progress(len(found), offered, f"{len(found)} samples")
        if len(found) < look:
            continue
        look = FIRST_LOOK if look < FIRST_LOOK else 2 * look
        if _enough(found, profile, rule, role):
            break
    progress(offered, offered, f"{len(found)} of {offered} samples")
    return tuple(found)


def _enough(ledgers: Sequence[Ledger], profile: Any, rule: Rule, role: Role) -> bool:
    spread = Spread("", energy.sample_energies(ledgers, profile, rule))
    dense = spread.constant and not ledgers[0].emissions and role != "zero-skipping ann"
    return dense or len(ledgers) >= FEWEST and spread.settled


def _one_by_one(model: nn.Module, batches: Sequence[Batch]) -> Iterable[Batch]:
    for batch in batches:
        axis = sample_axis(model, batch.x)
        yield from (batch.sample(index, axis) for index in range(batch.x.shape[axis]))


def _offered(model: nn.Module, batches: Sequence[Batch]) -> int:
    return sum(batch.x.shape[sample_axis(model, batch.x)] for batch in batches)


def _whole(model: nn.Module, batches: Sequence[Batch], timesteps: int | None, progress: Step) -> Ledger:
    """The ledger of all batches as they came."""
    ledger, offered = None, _offered(model, batches)
    for batch in batches:
        part = trace(model, batch, timesteps=timesteps)
        ledger = part if ledger is None else ledger + part
        progress(ledger.samples, offered, f"{ledger.samples} samples")
    return ledger


def _accuracy(model: nn.Module, batches: Sequence[Batch], ledger: Ledger) -> tuple[int, int]:
    """(right, labelled) over all batches: from the ledger where they were all traced, else the model runs plainly."""
    labelled = sum(len(batch.labels) for batch in batches if batch.labels is not None)
    if ledger.model.labelled in (0, labelled):
        return ledger.model.correct, ledger.model.labelled
    found = [0, 0]
    with undisturbed(model), torch.no_grad():
        for batch in batches:
            of, right = classified(model(*batch.args, **batch.kwargs), batch.labels)
            found = [found[0] + right, found[1] + of]
    return found[0], found[1]


def _spreads(singles: Sequence[Ledger], profiles: Sequence, rule: Rule) -> tuple[Spread, ...]:
    if len(singles) < 2:
        return ()
    return tuple(Spread(energy.load_profile(profile).name, energy.sample_energies(singles, profile, rule))
                 for profile in profiles)


def _variations(model: nn.Module, batches: Sequence, ledger: Ledger, profile: Any, rule: Rule,
                timesteps: int | None) -> tuple[Variation, ...]:
    """Where the caller says how many steps there were, the model cannot be asked for others."""
    if timesteps is not None or not ledger.emissions:
        return energy.vary(ledger, profile, rule)
    return energy.vary(ledger, profile, rule, model=model, inputs=_few(model, batches[0]))


def _few(model: nn.Module, batch: Batch) -> list[Batch]:
    axis = sample_axis(model, batch.x)
    return [batch.sample(index, axis) for index in range(min(T_SAMPLES, batch.x.shape[axis]))]
