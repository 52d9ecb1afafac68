"""Convert a stock transformer, training-free, and say exactly what came of it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neuromorphic.convert.build import Built, build
from neuromorphic.convert.costs import disk_bytes, energies, ledgers, peak_memory_bytes
from neuromorphic.convert.finetune import Tuned
from neuromorphic.convert.finetune import finetune as tune
from neuromorphic.convert.metrics import difference, fidelity, score
from neuromorphic.convert.prepare import Prepared, Progress, evaluate, prepare, silent
from neuromorphic.convert.purity import purity
from neuromorphic.convert.record import ConversionReport, Trial, Warning
from neuromorphic.convert.settings import Settings
from neuromorphic.convert.sites import measure_sites
from neuromorphic.convert.warn import warnings
from spikeattn.codings import CODINGS, DEFAULT
from spikeattn.models.converted import ConvertedModel

SITE_BATCHES = 4  # on which coding layers are measured
MIXED = Warning("sweep and ablation", "Their rows are training-free, the model of this report is not.",
                "Compare the rows with each other only.")
ALL_EXACT = {"normaliser": "exact", "norm": "exact", "activation": "exact", "weights": "float"}


def convert(
    model: nn.Module | str | Path, calibration: Any, *, timesteps: int = 4, coding: str = DEFAULT,
    evaluation: Any = None, metric: Any = None, weights: str = "int12", samples: int | None = None,
    finetune: int = 0, finetune_data: Any = None, finetune_weights: bool = False, sweep: Sequence[int] = (),
    ablation: bool = False, progress: Progress = silent, **settings: Any,
) -> tuple[ConvertedModel, ConversionReport]:
    """A converted network and its report.

    model: an nn.Module, the directory or hub id of a checkpoint (neuromorphic.convert.sources). calibration: data of
    the kind that the network will serve (neuromorphic.convert.batches), of which `samples` items are used
    (256, or 2048 rows of text).
    evaluation, metric: other data, and how to judge by it. finetune: steps in which ranges are learned from the ANN,
    on `finetune_data` without labels, else on the calibration data (finetune.py), and with `finetune_weights` the
    weights too. sweep, ablation: T of further conversions, and whether to convert with parts kept exact; the pass over
    the calibration data serves them all. settings: fields of `Settings`.

    >>> _ = torch.manual_seed(0)
    >>> ann = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    >>> snn, report = convert(ann, torch.randn(64, 8), timesteps=5)
    >>> snn(torch.zeros(2, 8)).shape, report.latency_steps, report.purity.label
    (torch.Size([2, 3]), 5, 'spike-driven')
    """
    chosen = Settings(timesteps=timesteps, coding=coding, weights=weights, **settings)
    if finetune_data is not None and not finetune:
        raise ValueError("convert: finetune_data needs finetune, the number of steps, got 0. 200 is a short tuning.")
    prepared = prepare(model, calibration, evaluation=evaluation, metric=metric, samples=samples, progress=progress)
    tuned = tune(prepared, chosen, finetune, finetune_data, weights=finetune_weights,
                 progress=progress) if finetune else None
    built, seconds = _timed(prepared, chosen, tuned, progress)
    found = report(prepared, built, progress, seconds)
    curve = curve_of(prepared, chosen, sweep, progress) if sweep else ()
    parts = tuple(parts_of(prepared, chosen, progress)) if ablation else ()
    mixed = (MIXED,) if tuned is not None and (curve or parts) else ()
    return built.model, replace(found, sweep=curve, ablation=parts, warnings=(*found.warnings, *mixed))


def convert_sweep(
    model: nn.Module | str | Path, calibration: Any, *, timesteps: Sequence[int] = tuple(range(1, 9)),
    coding: str = DEFAULT, evaluation: Any = None, metric: Any = None, weights: str = "int12",
    ablation: bool = True, reported: int = 4, samples: int | None = None, progress: Progress = silent, **settings: Any,
) -> ConversionReport:
    """The report of one conversion with `sweep`: a separate conversion for each T, and `ablation` at `reported` steps.

    One pass over the calibration data serves all of them. A code that can be read at any time is converted once, for
    the largest T, and read after each of the others.
    """
    if not timesteps:
        raise ValueError("convert_sweep: timesteps must hold at least one T, got none. 1 to 8 is usual.")
    return convert(model, calibration, timesteps=reported, coding=coding, evaluation=evaluation, metric=metric,
                   weights=weights, samples=samples, sweep=timesteps, ablation=ablation, progress=progress,
                   **settings)[1]


def curve_of(prepared: Prepared, chosen: Settings, timesteps: Sequence[int],
             progress: Progress = silent) -> tuple[Trial, ...]:
    """A conversion for each T, or the early readings of one."""
    if CODINGS[chosen.coding].anytime:
        return early(prepared, build(prepared, replace(chosen, timesteps=max(timesteps))), timesteps, progress)
    return tuple(trial(prepared, f"T = {T}", replace(chosen, timesteps=T), progress) for T in timesteps)


def parts_of(prepared: Prepared, chosen: Settings, progress: Progress = silent) -> Iterator[Trial]:
    """The ablation. Its control is mostly one of the rows before it, which is not worked out again."""
    known: dict[Settings, Trial] = {}
    for name, one in ablations(chosen):
        if one not in known:
            known[one] = trial(prepared, name, one, progress)
        yield replace(known[one], name=name)


def ablations(settings: Settings) -> list[tuple[str, Settings]]:
    """From the code alone to everything, one part after the other; as a control, integers with exact functions."""
    exact = replace(settings, **ALL_EXACT, biases="kept")
    names = {"biases": "+ corrected biases",
             "weights": "+ integer weights",  # early: behind real weights norms and tables would have no integers
             "normaliser": "+ Shiftmax", "norm": "+ integer norm", "activation": "+ table"}
    chain, found = exact, [("code alone", exact)]
    for field, name in names.items():
        if getattr(chain, field) != getattr(settings, field):
            chain = replace(chain, **{field: getattr(settings, field)})
            found.append((name, chain))
    return [*found, ("control: integer ANN, functions exact", replace(
        exact, weights=settings.weights, biases=settings.biases))]


def trial(prepared: Prepared, name: str, settings: Settings, progress: Progress = silent) -> Trial:
    """One more conversion, evaluated."""
    built = build(prepared, settings, progress=progress)
    model = built.model
    outcome = evaluate(prepared, model.codes, f"evaluate {name}", progress) if prepared.evaluation else None
    _, spikes = measure_sites(built.builder, model, prepared.graph, _some(prepared))
    snn, ann = ledgers(prepared, model)
    return Trial(
        name=name, settings=settings.to_dict(), latency_steps=model.latency_steps, spikes=spikes,
        float_free=purity(snn, model).float_free, energy=energies(snn, ann),
        score=outcome and score(outcome), difference=outcome and difference(prepared.ann, outcome),
        fidelity=outcome and fidelity(prepared.ann, outcome),
    )


def early(prepared: Prepared, built: Built, steps: Sequence[int], progress: Progress = silent) -> tuple[Trial, ...]:
    """One conversion whose words are read after fewer spikes than they have."""
    found = []
    for step in steps:
        name = f"{step} of {built.settings.timesteps} spikes read"
        outcome = prepared.evaluation and evaluate(
            prepared, lambda x, step=step: built.model.anytime(x, [step])[0], f"evaluate {name}", progress)
        found.append(Trial(
            name=name, settings=built.settings.to_dict() | {"read_after": step}, spikes=None,
            latency_steps=built.model.stages * step, score=outcome and score(outcome),
            difference=outcome and difference(prepared.ann, outcome),
            fidelity=outcome and fidelity(prepared.ann, outcome),
        ))
    return tuple(found)


def report(prepared: Prepared, built: Built, progress: Progress = silent,
           seconds: dict[str, float] | None = None) -> ConversionReport:
    """Everything that can be measured about one conversion."""
    model = built.model
    sites, spikes = measure_sites(built.builder, model, prepared.graph, _some(prepared))
    snn, ann = ledgers(prepared, model)
    pure = purity(snn, model)
    outcome = evaluate(prepared, model.codes, "evaluate the SNN", progress) if prepared.evaluation else None
    near = outcome and fidelity(prepared.ann, outcome)
    return ConversionReport(
        source=prepared.source.name, family=prepared.adapted.family, settings=model.config.settings,
        timesteps=built.settings.timesteps, stages=model.stages, latency_steps=model.latency_steps, layers=sites,
        purity=pure, spikes_per_value=spikes, energy=energies(snn, ann),
        metric_ann=outcome and score(prepared.ann), metric_snn=outcome and score(outcome),
        difference=outcome and difference(prepared.ann, outcome),
        fidelity=near,
        calibration=_data(prepared.calibration, prepared.statistics.sha256),
        evaluation=_data(prepared.evaluation) if prepared.evaluation else {},
        adapted_difference=prepared.adapted_difference, same_bits=same_bits(prepared, model),
        disk_bytes=disk_bytes(prepared, model), peak_memory_bytes=peak_memory_bytes(),
        seconds=prepared.seconds | (seconds or {}), warnings=warnings(prepared, sites, model, built.settings, near),
        provenance=model.config.provenance,
    )


@torch.no_grad()
def same_bits(prepared: Prepared, model: ConvertedModel) -> int:
    """Samples on which spikes and code words were run and gave the same bits; an error if they did not."""
    inputs = next(iter(prepared.shown)).inputs
    spikes, codes = model(inputs), model.codes(inputs)
    if not any(getattr(wire.layer, "real", False) for wire in model.network.wires) and not torch.equal(spikes, codes):
        raise AssertionError("convert: spikes and code words must give the same bits, got differences. "
                             "This is a mistake of ours: please report it with the model.")
    return len(spikes)


def _some(prepared: Prepared):
    return [batch.inputs for batch in islice(prepared.shown, SITE_BATCHES)]


def _data(data, sha256: str | None = None) -> dict[str, Any]:
    return {"samples": data.items, "sha256": sha256 or data.sha256, "source": data.source}


def _timed(prepared: Prepared, settings: Settings, tuned: Tuned | None,
           progress: Progress) -> tuple[Built, dict[str, float]]:
    begun = time.perf_counter()
    built = build(prepared, settings, tuned, progress)
    seconds = {} if tuned is None else {"finetune": tuned.seconds}
    return built, seconds | {"convert": time.perf_counter() - begun}
