"""Runs recipes with several seeds, stores the results, and writes the table of recipes/README.md from them.

    python benchmarks/recipes.py recipes/digits_*.toml --seeds 0 1 2      writes benchmarks/results/<data>_....json
    python benchmarks/recipes.py recipes/X.toml --finished runs/X         the same of a run of `spikeattn train`
    python benchmarks/recipes.py --table                                  that table, from the newest stored results

One picture of a test set of n is 100/n points, and the standard deviation over seeds is given: differences below
it are noise. `seconds` is wall time on a machine that others may use, `process_seconds` that of all our threads.
"""

import argparse
import datetime
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from spikeattn.data import load
from spikeattn.files import write_text
from spikeattn.models import create_model
from spikeattn.train import Recipe, build_model, fit
from spikeattn.train.engine import pick_device
from spikeattn.train.record import environment

PICTURES = {"digits": (1, 8), "mnist": (1, 28), "cifar10": (3, 32)}  # channels and side
ROOT = Path(__file__).resolve().parents[1]
RESULTS, RECIPES = ROOT / "benchmarks" / "results", ROOT / "recipes"


def run_recipe(path: Path, seeds: list[int], device: str) -> dict[str, Any]:
    """Train one recipe once per seed; nothing is chosen by the test set."""
    runs = []
    for seed in seeds:
        recipe = Recipe.read(path).override({"seed": seed, "device": device})
        splits = load(recipe.data.name, recipe.data.root)
        began = time.process_time()
        result = fit(build_model(recipe, splits), splits, recipe)
        runs.append({
            "seed": seed, "accuracy": result.test.accuracy, "correct": result.test.correct,
            "count": result.test.count, "seconds": round(result.seconds, 1),
            "process_seconds": round(time.process_time() - began, 1), "complaints": result.complaints,
            "weights_hash": result.weights_hash, "loss_per_epoch": [round(e["loss"], 4) for e in result.epochs],
        })
        print(f"{path.stem} seed {seed}: {100 * result.test.accuracy:.2f} % in {result.seconds:.0f} s", flush=True)
    return summary(path, runs)


def finished_run(path: Path, directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(row, environment) of a run of `spikeattn train` by this recipe, as its log has them."""
    log = [json.loads(line) for line in (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    (start, *more), end = [event for event in log if event["event"] == "start"], log[-1]
    if more or end["event"] != "end" or start["recipe"] != Recipe.read(path).to_dict():
        raise ValueError(f"recipes: {directory} must be a whole run of {path.name} in one piece. Run it again.")
    run = {
        "seed": start["recipe"]["seed"], "accuracy": end["test_accuracy"], "correct": end["test_correct"],
        "count": end["test_count"], "seconds": round(end["seconds"], 1), "process_seconds": None,
        "complaints": [event["text"] for event in log if event["event"] == "warning"],
        "weights_hash": end["weights_hash"],
        "loss_per_epoch": [round(event["loss"], 4) for event in log if event["event"] == "epoch"],
    }
    return summary(path, [run]), start["environment"]


def summary(path: Path, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row: a recipe, its runs, and their mean."""
    accuracies = [run["accuracy"] for run in runs]
    return {
        "recipe": path.stem, "settings": Recipe.read(path).to_dict(), "parameters": parameters(Recipe.read(path)),
        "runs": runs,
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_sd": statistics.stdev(accuracies) if len(runs) > 1 else None,
    }


def hardware(device: torch.device) -> str:
    """A short name for file names, such as cpu1 (one thread) or nvidia-h200."""
    if device.type == "cpu":
        return f"cpu{torch.get_num_threads()}"
    return re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower())


def store(data: str, rows: list[dict[str, Any]], device: torch.device, directory: Path = RESULTS,
          where: dict[str, Any] | None = None) -> Path:
    """Write a result; where: the environment of the runs, if they were not run by this process."""
    date = datetime.date.today().isoformat()
    splits = load(data, rows[0]["settings"]["data"]["root"])
    document = {
        "what": f"test accuracy of the {data} recipes", "date": date, "environment": where or environment(device),
        "data": {"train": splits.train.content_hash(), "test": splits.test.content_hash()}, "rows": rows,
    }
    path = directory / f"{data}_{hardware(device)}_{date}.json"
    return write_text(path, json.dumps(document, indent=1) + "\n")


def parameters(recipe: Recipe) -> int:
    """Of the recipe's model, built without memory for its weights."""
    channels, side = PICTURES[recipe.data.name]
    section = recipe.model
    with torch.device("meta"):
        model = create_model(section.name, attention=section.attention, timesteps=section.timesteps, num_classes=10,
                             in_channels=channels, image_size=side, **section.sizes)
    return sum(p.numel() for p in model.parameters())


def table(recipes: Path = RECIPES, results: Path = RESULTS) -> str:
    """One row per recipe; the newest stored result of exactly this recipe, or "not run"."""
    stored = [json.loads(path.read_text(encoding="utf-8")) | {"file": path.name} for path in results.glob("*.json")]
    stored = sorted((document for document in stored if "rows" in document), key=lambda d: d["date"])
    lines = ["| recipe | parameters | T | epochs | test accuracy, mean ± sd | seeds | hardware | result |",
             "|---|---|---|---|---|---|---|---|"]
    for path in sorted(recipes.glob("*.toml")):
        recipe = Recipe.read(path)
        settings, size = recipe.to_dict(), parameters(recipe)
        found = [(document, row) for document in stored for row in document["rows"]
                 if (row.get("recipe"), row.get("settings"), row.get("parameters")) == (path.stem, settings, size)]
        start = f"| [{path.stem}]({path.name}) | {size:,} "
        middle = f"| {settings['model']['timesteps']} | {settings['schedule']['epochs']} |"
        if not found:
            lines.append(f"{start}{middle} not run | | | |")
            continue
        document, row = found[-1]
        spread = f" ± {100 * row['accuracy_sd']:.2f}" if row["accuracy_sd"] is not None else ""
        machine, threads = document["environment"]["device"], document["environment"]["threads"]
        where = f"{machine}, {threads} thread{'s' * (threads > 1)}" if machine.startswith("cpu") else machine
        lines.append(
            f"{start}{middle} {100 * row['accuracy_mean']:.2f}{spread} % | {len(row['runs'])} | "
            f"{where} | [{document['date']}](../benchmarks/results/{document['file']}) |"
        )
    return "\n".join(lines)


def write_table(path: Path) -> None:
    """Put the table between its two marks."""
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- table -->\n")
    after = rest.partition("<!-- /table -->")[2]
    write_text(path, f"{before}<!-- table -->\n{table()}\n<!-- /table -->{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path, help="TOML files, all of one data set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--finished", type=Path, help="directory of a finished run of the one recipe")
    parser.add_argument("--table", action="store_true", help="write the table of the stored results")
    arguments = parser.parse_args()
    if arguments.table:
        write_table(RECIPES / "README.md")
        return
    names = {Recipe.read(path).data.name for path in arguments.recipes}
    if len(names) != 1:
        parser.error(f"the recipes must be of one data set, got {sorted(names) or 'none'}")
    if arguments.finished:
        row, where = finished_run(arguments.recipes[0], arguments.finished)
        print(store(names.pop(), [row], torch.device("cpu"), where=where))
        return
    rows = [run_recipe(path, arguments.seeds, arguments.device) for path in arguments.recipes]
    print(store(names.pop(), rows, pick_device(arguments.device)))


if __name__ == "__main__":
    main()
