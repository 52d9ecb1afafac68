"""Runs recipes with several seeds, stores the results, and prints the table of recipes/README.md from them.

    python benchmarks/recipes.py recipes/digits_*.toml --seeds 0 1 2      writes benchmarks/results/<data>_....json
    python benchmarks/recipes.py --table                                  the table, from the newest stored results

One picture of a test set of n is 100/n points, and the standard deviation over seeds is given: differences below
it are noise.
"""

import argparse
import datetime
import json
import re
import statistics
from pathlib import Path
from typing import Any

import torch

from spikeattn.data import load
from spikeattn.files import write_text
from spikeattn.train import Recipe, build_model, fit
from spikeattn.train.engine import pick_device
from spikeattn.train.record import environment

ROOT = Path(__file__).resolve().parents[1]
RESULTS, RECIPES = ROOT / "benchmarks" / "results", ROOT / "recipes"


def run_recipe(path: Path, seeds: list[int], device: str) -> dict[str, Any]:
    """Train one recipe once per seed; nothing is chosen by the test set."""
    runs, parameters = [], 0
    for seed in seeds:
        recipe = Recipe.read(path).override({"seed": seed, "device": device})
        splits = load(recipe.data.name, recipe.data.root)
        model = build_model(recipe, splits)
        parameters = sum(p.numel() for p in model.parameters())
        result = fit(model, splits, recipe)
        runs.append({
            "seed": seed, "accuracy": result.test.accuracy, "correct": result.test.correct,
            "count": result.test.count, "train_seconds": round(result.seconds, 1), "complaints": result.complaints,
            "weights_hash": result.weights_hash, "loss_per_epoch": [round(e["loss"], 4) for e in result.epochs],
        })
        print(f"{path.stem} seed {seed}: {100 * result.test.accuracy:.2f} % in {result.seconds:.0f} s", flush=True)
    accuracies = [run["accuracy"] for run in runs]
    return {
        "recipe": path.stem, "settings": Recipe.read(path).to_dict(), "parameters": parameters, "runs": runs,
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_sd": statistics.stdev(accuracies) if len(runs) > 1 else None,
    }


def hardware(device: torch.device) -> str:
    """A short name for file names, such as cpu1 (one thread) or nvidia-h200."""
    if device.type == "cpu":
        return f"cpu{torch.get_num_threads()}"
    return re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower())


def store(data: str, rows: list[dict[str, Any]], device: torch.device, directory: Path = RESULTS) -> Path:
    date = datetime.date.today().isoformat()
    splits = load(data, rows[0]["settings"]["data"]["root"])
    document = {
        "what": f"test accuracy of the {data} recipes", "date": date, "environment": environment(device),
        "data": {"train": splits.train.content_hash(), "test": splits.test.content_hash()}, "rows": rows,
    }
    path = directory / f"{data}_{hardware(device)}_{date}.json"
    return write_text(path, json.dumps(document, indent=1) + "\n")


def table(recipes: Path = RECIPES, results: Path = RESULTS) -> str:
    """One row per recipe; the newest stored result of exactly this recipe, or "not run"."""
    stored = [json.loads(path.read_text(encoding="utf-8")) | {"file": path.name} for path in results.glob("*.json")]
    stored = sorted((document for document in stored if "rows" in document), key=lambda d: d["date"])
    lines = ["| recipe | parameters | T | epochs | test accuracy, mean ± sd | seeds | hardware | result |",
             "|---|---|---|---|---|---|---|---|"]
    for path in sorted(recipes.glob("*.toml")):
        settings = Recipe.read(path).to_dict()
        found = [(document, row) for document in stored for row in document["rows"]
                 if row["recipe"] == path.stem and row["settings"] == settings]
        start = f"| [{path.stem}]({path.name}) |"
        middle = f"| {settings['model']['timesteps']} | {settings['schedule']['epochs']} |"
        if not found:
            lines.append(f"{start} {middle} not run | | | |")
            continue
        document, row = found[-1]
        spread = f" ± {100 * row['accuracy_sd']:.2f}" if row["accuracy_sd"] is not None else ""
        machine, threads = document["environment"]["device"], document["environment"]["threads"]
        where = f"{machine}, {threads} thread{'s' * (threads > 1)}" if machine.startswith("cpu") else machine
        lines.append(
            f"{start} {row['parameters']:,} {middle} {100 * row['accuracy_mean']:.2f}{spread} % | {len(row['runs'])} | "
            f"{where} | [{document['date']}](../benchmarks/results/{document['file']}) |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path, help="TOML files, all of one data set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--table", action="store_true", help="print the table of the stored results")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return
    names = {Recipe.read(path).data.name for path in arguments.recipes}
    if len(names) != 1:
        parser.error(f"the recipes must be of one data set, got {sorted(names) or 'none'}")
    rows = [run_recipe(path, arguments.seeds, arguments.device) for path in arguments.recipes]
    print(store(names.pop(), rows, pick_device(arguments.device)))


if __name__ == "__main__":
    main()
