"""One row of a study: a conversion of ours with everything that its report measures; and what it was made from."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from conversion.provenance import weights_hash
from neuromorphic.convert import Settings
from neuromorphic.convert.build import build
from neuromorphic.convert.convert import report
from neuromorphic.convert.metrics import score
from neuromorphic.convert.prepare import Prepared

SAMPLES = 256  # of the calibration data, unless a study says otherwise


def ours(prepared: Prepared, code: str, timesteps: int, **settings: Any) -> dict[str, Any]:
    """One row: a conversion of ours, with everything that its report measured."""
    begun = time.perf_counter()
    chosen = Settings(timesteps=timesteps, coding=code, **settings)
    built = build(prepared, chosen)
    seconds = {"convert": time.perf_counter() - begun}
    found = report(prepared, built, seconds=seconds)
    coding = built.builder.coding
    return {
        "tool": "ours", "method": code, "timesteps": timesteps, "latency_steps": found.latency_steps,
        "levels": 2 * coding.levels(timesteps) + 1, "settings": found.settings,
        "score": asdict(found.metric_snn), "difference": asdict(found.difference), "fidelity": asdict(found.fidelity),
        "purity": {"label": found.purity.label, "float_free": found.purity.float_free, "share": found.purity.share,
                   "offenders": found.purity.offenders, "stem": found.purity.stem, "readout": found.purity.readout,
                   "classes": {row.name: row.count for row in found.purity.rows},
                   "how": "ledger of a run on spikes, one class for each operation"},
        "spikes_per_value": found.spikes_per_value, "largest_emission": largest_spike(coding, timesteps),
        "largest_saturation": max(site.saturation_evaluation for site in found.layers),
        "same_bits_samples": found.same_bits,
        "energy_mj": {one.profile: one.snn_mj for one in found.energy},
        "energy_lower_bound": any(one.lower_bound for one in found.energy),
        "ann_energy_mj": {"fp32": found.energy[0].ann_fp32_mj, "int8": found.energy[0].ann_int8_mj},
        "seconds": {**found.seconds, "convert_and_measure": time.perf_counter() - begun},
    }


def largest_spike(coding: Any, timesteps: int) -> int:
    """1 for unit spikes, more for a graded code."""
    levels = coding.levels(timesteps)
    return int(coding.digits(torch.arange(-levels, levels + 1), timesteps).abs().max())


def subject(prepared: Prepared, model: nn.Module) -> dict[str, Any]:
    """What was converted, and on what."""
    return {
        "source": prepared.source.name, "family": prepared.adapted.family, "weights_sha256": weights_hash(model),
        "parameters": sum(p.numel() for p in model.parameters()), "adapted_difference": prepared.adapted_difference,
        "calibration": {"samples": prepared.calibration.items, "sha256": prepared.statistics.sha256,
                        "source": prepared.calibration.source, "seconds": prepared.seconds["calibrate"]},
        "evaluation": {"samples": prepared.evaluation.items, "sha256": prepared.evaluation.sha256,
                       "source": prepared.evaluation.source},
    }


def ann_score(prepared: Prepared) -> dict[str, Any]:
    return asdict(score(prepared.ann))


def announced(name: str, steps: tuple[int, ...]) -> Iterator[int]:
    for timesteps in steps:
        print(f"{name}, T = {timesteps}", flush=True)
        yield timesteps
