"""The digits ViT in batch norm form: trained once, converted by our codes and by the recipes of SpikingJelly."""

import argparse
import time
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from conversion.measure import SAMPLES, ann_score, announced, ours, subject
from conversion.provenance import ROOT
from conversion.spikingjelly import Plain, attempt, converted, emissions, purity, recipes
from neuromorphic import energy, trace
from neuromorphic.convert.costs import PROFILES
from neuromorphic.convert.metrics import difference, fidelity, score
from neuromorphic.convert.prepare import Prepared, evaluate, prepare
from spikeattn.data import load
from spikeattn.train import Recipe, build_model, fit

RECIPE = "digits_softmax_ann"
OURS = {"rate": (4, 16, 40), "signed_binary": (4, 6), "naf": (4, 6), "multi_threshold": (4,),
        "ternary": (2, 3, 4, 5)}  # T of each code; rate at T = 40 has the grid of ternary at T = 4
THEIRS = {"STATransformer, spiking_encoder": (4, 8, 16, 32), "TransformerTDEquivalent": (4,)}


def study(given: argparse.Namespace) -> dict[str, Any]:
    recipe = Recipe.read(ROOT / "recipes" / f"{RECIPE}.toml").override({"device": "cpu"})
    splits = load(recipe.data.name, recipe.data.root)
    model = build_model(recipe, splits)
    trained = fit(model, splits, recipe)
    prepared = prepare(model.eval(), splits.train, evaluation=splits.test, samples=SAMPLES)
    network = Plain(prepared.adapted.graph, model.config.depth).eval()
    batches = [batch.inputs["pixels"] for batch in prepared.calibration]
    with torch.no_grad():
        twin = float((network(batches[0]) - model(batches[0])).abs().max())
    rows = [theirs(name, T, prepared, network) for name, steps in THEIRS.items() for T in announced(name, steps)]
    rows += [ours(prepared, code, T) for code, steps in OURS.items() for T in announced(code, steps)]
    errors = {name: attempt(make(4), network, batches[0]) for name, make in recipes(batches).items()}
    return {
        **subject(prepared, model), "recipe": RECIPE, "seed": recipe.seed, "training_seconds": trained.seconds,
        "ann": ann_score(prepared), "spikingjelly_network":
        f"the same weights in modules that it can trace, largest difference of a logit to ours {twin:.1e}",
        "spikingjelly_on_it": errors, "rows": rows,
    }


def theirs(name: str, timesteps: int, prepared: Prepared, network: nn.Module) -> dict[str, Any]:
    """One row: a recipe of SpikingJelly on the same weights, calibration samples and evaluation data."""
    begun = time.perf_counter()
    batches = [batch.inputs["pixels"] for batch in prepared.calibration]
    model = converted(recipes(batches)[name](timesteps), network, timesteps)
    seconds = {"convert": time.perf_counter() - begun}
    outcome = evaluate(prepared, lambda inputs: model(inputs["pixels"]), name)
    shown = next(iter(prepared.shown)).inputs["pixels"]
    emitted = emissions(model, shown)
    ledger = trace(model, shown, timesteps=timesteps)
    first = type(model)(model.network, 1).eval()
    with torch.no_grad():
        idle = bool(torch.allclose(first(shown), model(shown), rtol=1e-5, atol=1e-5))
    single = trace(first, shown, timesteps=1)
    return {
        "tool": "SpikingJelly", "method": name, "timesteps": timesteps, "latency_steps": None, "levels": None,
        "settings": {"threshold_mode": "mse", "calibration": f"the same {prepared.calibration.items} samples"},
        "score": asdict(score(outcome)), "difference": asdict(difference(prepared.ann, outcome)),
        "fidelity": asdict(fidelity(prepared.ann, outcome)), "purity": purity(ledger, model, "conv0", "head"),
        "spikes_per_value": emitted["spikes_per_value"], "units_per_value": emitted["units_per_value"],
        "largest_emission": emitted["largest"], "events_per_step": emitted.get("events_per_step"),
        "energy_mj": {profile: energy.price(ledger, profile).total_mj for profile in PROFILES},
        "energy_of_the_first_step_mj": {profile: energy.price(single, profile).total_mj for profile in PROFILES},
        "first_step_gives_the_whole_output": idle,
        "seconds": {**seconds, "convert_and_measure": time.perf_counter() - begun},
    }
