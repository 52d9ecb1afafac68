"""The recipes that are shipped: their table, and the accuracy that the project promises."""

import importlib.util
import statistics
from pathlib import Path

import pytest

from spikeattn.data import load
from spikeattn.train import Recipe, build_model, fit

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_is_the_stored_results():
    spec = importlib.util.spec_from_file_location("benchmarks_recipes", ROOT / "benchmarks" / "recipes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    shown = text.split("<!-- table -->")[1].split("<!-- /table -->")[0].strip()
    assert shown == module.table(), "run: python benchmarks/recipes.py --table"
    row = next(line for line in shown.splitlines() if line.startswith("| [digits_bsa]"))
    assert "not run" not in row, "run: python benchmarks/recipes.py recipes/digits_*.toml"


@pytest.mark.slow
def test_bsa_reaches_its_accuracy_on_digits():
    """Mean of three seeds on the fixed test set, at least 96.5 %."""
    recipe, splits = Recipe.read(ROOT / "recipes" / "digits_bsa.toml"), load("digits")
    results = []
    for seed in range(3):
        seeded = recipe.override({"seed": seed, "device": "cpu"})
        results.append(fit(build_model(seeded, splits), splits, seeded))
    assert all(result.test.count == 359 and not result.complaints for result in results)
    assert statistics.mean(result.test.accuracy for result in results) >= 0.965
