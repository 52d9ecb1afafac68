"""`spikeattn demo`: train four networks, count and price them, write the report, save and load the first."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuromorphic.cli.console import JsonFlag, Step, print_json, progress, say
from neuromorphic.cli.sources import PROFILES, training_sentence

if TYPE_CHECKING:
    from neuromorphic.report import Entry
    from spikeattn.data import Splits
    from spikeattn.train import Recipe, Result

NETWORKS = {  # label: model, attention, time steps; one skeleton
    "BSA": ("spikingformer_digits_2_64", "bsa", 4),
    "SSA": ("spikingformer_digits_2_64", "ssa", 4),
    "softmax ANN": ("vit_digits_2_64", "softmax", 1),
    "CAT ANN": ("cat_digits_2_64", "cat", 1),
}
EPOCHS = 12
FRESH = """
import sys, spikeattn, spikeattn.data, torch
torch.set_num_threads(int(sys.argv[2]))
test = spikeattn.data.load("digits").test
model = spikeattn.from_pretrained(sys.argv[1])
with torch.no_grad():
    sys.stdout.buffer.write(model(test.normalise(test.scale(test.images))).numpy().tobytes())
"""


def demo(
    out: Annotated[Path, typer.Option(help="Directory for the report and the saved model.")] = Path("report"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and batches.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training pictures, for each network.")] = 12,
    as_json: JsonFlag = False,
) -> None:
    """Train a bipolar spiking transformer and its three rivals on digits, then price and report them.

    Example: spikeattn demo --out report
    """
    from neuromorphic import report as reports
    from neuromorphic.report import json
    from spikeattn.data import load

    began, splits = time.perf_counter(), load("digits")
    entries, trained = [], {}
    with one_thread(), progress() as step:
        for label in NETWORKS:
            trained[label] = train_network(label, splits, seed, epochs, step)
            entries.append(price_network(label, *trained[label], splits))
    report = reports.Report(tuple(entries), "Four attentions, one skeleton, 8 × 8 digits", notes(seed, splits),
                            provenance=reports.Provenance(f"spikeattn demo --seed {seed} --epochs {epochs}"))
    files = reports.write(report, out)
    model, result = trained["BSA"]
    place = save(model, result.recipe, out / "bsa_model")
    same = same_in_a_fresh_process(model, place, splits)
    if as_json:
        print_json(json.plain(report) | {"reloaded_bit_for_bit": same, "seconds": time.perf_counter() - began})
    else:
        reports.print_report(report)
        say(f"\nReport: {files['report.html']}\nModel: {place}")
        say(f"Loaded again in a fresh process: logits of {len(splits.test)} test pictures "
            f"{'are the same bit for bit' if same else 'DIFFER'}.")
        say(f"One seed ({seed}); {time.perf_counter() - began:.0f} s in all.")
    if not same:
        raise RuntimeError(f"demo: {place} must give the same logits in a fresh process, got others. "
                           "Run it again with --debug and report the versions of torch and spikeattn.")


@contextmanager
def one_thread() -> Iterator[None]:
    """A single thread: on tensors this small a second one gains little, and beside other work it loses much."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def recipe_of(label: str, seed: int, epochs: int = EPOCHS) -> "Recipe":
    """The recipe of one network: that of the file in recipes/, which an installed package has not at hand."""
    from spikeattn.train import Recipe

    name, attention, timesteps = NETWORKS[label]
    return Recipe().override({
        "seed": seed, "model.name": name, "model.attention": attention, "model.timesteps": timesteps,
        "data.batch_size": 32, "optimiser.lr": 1e-2, "schedule.epochs": epochs,
    })


def train_network(label: str, splits: "Splits", seed: int, epochs: int, step: Step) -> "tuple[object, Result]":
    """One network of the four, on the CPU."""
    from spikeattn.train import build_model, fit

    recipe = recipe_of(label, seed, epochs).override({"device": "cpu"})
    model = build_model(recipe, splits)
    result = fit(model, splits, recipe, progress=lambda p: step(
        f"train {label}", (p.epoch - 1) * p.steps + p.step, p.epochs * p.steps,
        f"epoch {p.epoch}/{p.epochs}, loss {p.loss:.3f}, accuracy {100 * p.accuracy:.1f} %"))
    return model, result


def price_network(label: str, model, result: "Result", splits: "Splits") -> "Entry":
    """Count the network on every test picture and price it under both profiles."""
    from neuromorphic import trace
    from neuromorphic.energy import price
    from neuromorphic.report import Data, Entry
    from neuromorphic.report.examine import digest
    from neuromorphic.trace import Batch
    from spikeattn.data.batches import evaluation_batches

    test = splits.test
    batches = evaluation_batches(test, 128)
    ledger = trace(model, ((test.normalise(test.scale(images)), labels) for images, labels in batches))
    return Entry(label, tuple(price(ledger, profile) for profile in PROFILES), result.test.accuracy,
                 training_sentence(result.recipe.to_dict()), accuracy_samples=len(test),
                 data=Data("digits", "test", len(test), digest([Batch((test.images,), labels=test.labels)])))


def notes(seed: int, splits: "Splits") -> tuple[str, ...]:
    """What a reader must know before comparing accuracies."""
    count = len(splits.test)
    return (f"One seed ({seed}) and {count} test pictures: one picture is {100 / count:.2f} points of accuracy, "
            "and differences of a point are noise.",)


def save(model, recipe: "Recipe", directory: Path) -> Path:
    """The model as a directory, with the recipe that made it."""
    import json

    from spikeattn.files import write_text

    model.save_pretrained(directory)
    write_text(directory / "recipe.json", json.dumps(recipe.to_dict(), indent=2) + "\n")
    return directory


def same_in_a_fresh_process(model, directory: Path, splits: "Splits") -> bool:
    """Whether a new Python process that loads the model gives the same logits bit for bit."""
    import torch

    test = splits.test
    model.eval()
    with torch.no_grad():
        here = model(test.normalise(test.scale(test.images))).numpy().tobytes()
    command = [sys.executable, "-c", FRESH, str(directory), str(torch.get_num_threads())]
    there = subprocess.run(command, capture_output=True, check=False)
    if there.returncode:
        last = there.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"demo: a fresh process must load {directory}, got: {' '.join(last)}. Run it with --debug.")
    return there.stdout == here
