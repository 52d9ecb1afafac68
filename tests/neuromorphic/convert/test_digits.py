"""A vision transformer trained on the digits, converted: the smoke test of pictures."""

import pytest
import torch

from neuromorphic.convert.build import build
from neuromorphic.convert.finetune import finetune
from neuromorphic.convert.metrics import fidelity
from neuromorphic.convert.prepare import Prepared, evaluate, prepare
from neuromorphic.convert.settings import Settings
from spikeattn import create_model
from spikeattn.data import load
from spikeattn.train import Recipe, fit

pytestmark = pytest.mark.slow
RECIPE = {
    "model": {"name": "vit_digits_2_64", "attention": "softmax", "timesteps": 1},
    "data": {"name": "digits", "batch_size": 32},
    "optimiser": {"lr": 1e-2, "weight_decay": 0.06, "clip_norm": 1.0, "label_smoothing": 0.1},
    "schedule": {"epochs": 6, "warmup_epochs": 1.0},
}
EXACT = {"normaliser": "exact", "norm": "exact", "activation": "exact", "weights": "float"}


@pytest.fixture(scope="module")
def digits() -> Prepared:
    torch.manual_seed(0)
    model, splits = create_model("vit_digits_2_64"), load("digits")
    fit(model, splits, Recipe.from_dict(RECIPE))
    prepared = prepare(model, splits.train, evaluation=splits.test)
    assert prepared.ann.value > 0.95
    return prepared


def drop_and_agreement(prepared: Prepared, **settings) -> tuple[float, float]:
    outcome = evaluate(prepared, build(prepared, Settings(**settings)).model.codes, "SNN")
    return prepared.ann.value - outcome.value, fidelity(prepared.ann, outcome).mean


@pytest.mark.parametrize(("settings", "drop", "agreement"), [
    ({"timesteps": 3, **EXACT}, 0.015, 0.97), ({"timesteps": 5, **EXACT}, 0.006, 0.99),
    ({"timesteps": 5, "weights": "int8"}, 0.01, 0.98),
], ids=["T3", "T5", "T5 in integers"])  # fmt: skip
def test_it_agrees_with_its_ann(digits, settings, drop, agreement):
    found = drop_and_agreement(digits, **settings)
    assert found[0] <= drop and found[1] >= agreement


def test_rate_of_two_steps_must_fail(digits):
    drop, _ = drop_and_agreement(digits, timesteps=2, coding="rate", per_channel=False, biases="kept", **EXACT)
    assert digits.ann.value - drop < 0.9


@pytest.mark.parametrize("weights", [False, True])
def test_two_steps_agree_more_with_the_ann_once_they_are_tuned(digits, weights):
    settings = Settings(timesteps=2)
    tuned = finetune(digits, settings, 150, weights=weights)
    free, after = (fidelity(digits.ann, evaluate(digits, build(digits, settings, some).model.codes, "SNN")).mean
                   for some in (None, tuned))
    assert tuned.kept and 1 - after < 0.8 * (1 - free)


@torch.no_grad()
def test_no_bit_differs(digits):
    model = build(digits, Settings(timesteps=4)).model
    inputs = next(iter(digits.evaluation)).inputs
    assert torch.equal(model(inputs), model.codes(inputs))
