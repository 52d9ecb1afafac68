import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from spikeattn.data import DATASETS
from spikeattn.models import MODELS, create_model
from spikeattn.train import Recipe
from spikeattn.train.config import flags

RECIPES = sorted((Path(__file__).resolve().parents[3] / "recipes").glob("*.toml"))


def test_every_field_has_a_flag_and_a_help_text():
    def leaves(record):
        return sum(leaves(getattr(record, f.name)) if is_dataclass(getattr(record, f.name)) else 1
                   for f in fields(record))

    found = flags()
    assert len(found) == leaves(Recipe()) == len({flag.name for flag in found})
    assert all(flag.help for flag in found)


@pytest.mark.parametrize("flag", flags(), ids=lambda flag: flag.name)
def test_a_flag_sets_exactly_its_field(flag):
    text, name = {"int": "7", "float": "0.5", "bool": "false"}.get(getattr(flag.type, "__name__", ""), "7"), flag.name
    if flag.name == "precision.autocast":
        text = "bfloat16"
    if flag.name == "model.sizes":
        name, text = "model.sizes.depth", "7"
    before, after = Recipe().to_dict(), Recipe().override({name: text}).to_dict()
    assert before != after
    section, _, leaf = flag.name.rpartition(".")
    assert str((after[section] if section else after)[leaf]).lower() in (text, "{'depth': 7}")
    (after[section] if section else after)[leaf] = flag.default
    assert before == after


def test_toml_and_json_round_trip(tmp_path):
    import json

    path = tmp_path / "r.toml"
    path.write_text('seed = 3\n[model]\nattention = "bsa"\n[model.sizes]\ndepth = 1\n[optimiser]\nlr = 1\n')
    recipe = Recipe.read(path)
    assert (recipe.seed, recipe.model.attention, recipe.optimiser.lr) == (3, "bsa", 1.0)
    assert recipe.model.sizes == {"depth": 1}
    kept = tmp_path / "recipe.json"
    kept.write_text(json.dumps(recipe.to_dict()))
    assert Recipe.read(kept) == recipe


@pytest.mark.parametrize("text, message", [
    ("[optimizer]\nlr = 1", "got 'optimizer'. Did you mean optimiser"),
    ("[optimiser]\nlearning = 1", "keys must be known, got 'optimiser.learning'"),
    ("[optimiser]\nweight_deca = 1", "Did you mean optimiser.weight_decay"),
    ("[optimiser]\nlr = 'fast'", "optimiser.lr must be of type float, got 'fast'"),
    ("[optimiser]\nlr = -1.0", "lr must be at least 0, got -1.0"),
    ("[optimiser]\nlr = nan", "lr must be at least 0, got nan"),
    ("[data]\nvalidation = 1.5", r"validation must be in \[0, 0.9\]"),
    ("[precision]\nautocast = 'float16'", r"must be one of \['off', 'bfloat16'\]"),
    ("seed = true", "seed must be of type int, got True"),
    ("model = 3", "model must be a table, got 3"),
    ("seed = ", "must be TOML"),
])
def test_a_wrong_recipe_is_one_clear_error(text, message, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Recipe.read(path)


@pytest.mark.parametrize("changes, message", [
    ({"optimiser.lrr": "1"}, "Did you mean optimiser.lr"),
    ({"optimiser": "1"}, "keys must be known"),
    ({"seed.x": "1"}, "keys must be known"),
    ({"seed": "many"}, "seed must be of type int, got 'many'"),
    ({"schedule.epochs": "0"}, "epochs must be at least 1"),
])
def test_a_wrong_flag_is_one_clear_error(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe().override(changes)


def test_none_and_text_that_looks_like_a_number():
    recipe = Recipe().override({"model.attention": "bsa", "data.root": "123"})
    assert recipe.data.root == "123"
    assert recipe.override({"model.attention": "none"}).model.attention is None


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="which does not exist"):
        Recipe.read(tmp_path / "absent.toml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_build(path):
    recipe = Recipe.read(path)
    assert recipe.data.name == path.stem.split("_")[0] and recipe.data.name in DATASETS
    assert recipe.model.name in MODELS and recipe.data.root is None
    create_model(recipe.model.name, attention=recipe.model.attention, timesteps=recipe.model.timesteps,
                 **recipe.model.sizes)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_rivals_differ_in_nothing_but_the_mechanism(name):
    """Equal size and budget: one data set's rivals agree in everything outside the model section."""
    group = [tomllib.loads(path.read_text()) for path in RECIPES
             if path.stem.removeprefix(f"{name}_") in ("bsa", "ssa", "tmp_softmax", "softmax_ann", "cat_ann")]
    assert len(group) >= 4
    for recipe in group:
        recipe.pop("model")
    assert all(recipe == group[0] for recipe in group)
