import json
import math

import pytest
import torch

from spikeattn.data import load
from spikeattn.train import Recipe, build_model, evaluate, fit, weights_hash
from spikeattn.train.config import OptimiserSection, ScheduleSection
from spikeattn.train.optimiser import adamw, learning_rate


def read_log(directory):
    return [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]


def test_it_learns(small, splits, recipe):
    plain = recipe.override({"schedule.epochs": 15, "augment.mixup": 0, "augment.cutmix": 0, "augment.crop": 0,
                             "augment.erase": 0, "optimiser.lr": 3e-2})
    result = fit(small(), splits, plain)
    assert result.test.accuracy > 0.85 and result.finished
    assert result.epochs[-1]["loss"] < 0.7 * result.epochs[0]["loss"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small, splits, recipe):
    first, again = (fit(small(), splits, recipe) for _ in range(2))
    other = fit(small(), splits, recipe.override({"seed": 1}))
    assert first.weights_hash == again.weights_hash != other.weights_hash
    assert first.test == again.test
    assert [e["loss"] for e in first.epochs] == [e["loss"] for e in again.epochs]


def test_training_leaves_the_callers_random_numbers_alone(small, splits, recipe):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fit(small(), splits, recipe)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_log_tells_the_whole_story(small, splits, recipe, tmp_path):
    result = fit(small(), splits, recipe, out=tmp_path)
    log = read_log(tmp_path)
    assert [line["event"] for line in log if line["event"] != "warning"] == ["start", "epoch", "epoch", "epoch", "end"]
    start, epochs, end = log[0], [line for line in log if line["event"] == "epoch"], log[-1]
    assert Recipe.from_dict(start["recipe"]) == recipe
    assert start["environment"]["torch"] == torch.__version__ and start["environment"]["device"].startswith("cpu")
    assert start["data"]["train"] == splits.train.content_hash() and start["steps_per_epoch"] == 4
    for line in epochs:
        assert line["firing_rates"].keys() == {"neuron"} and line["images_per_second"] > 0
        assert 0 < line["gradient_norm"] < math.inf and line["lr"] > 0
    assert end["weights_hash"] == result.weights_hash and end["test_count"] == 31
    assert "validation_accuracy" not in epochs[0]


def test_progress_is_reported_after_every_step(small, splits, recipe):
    seen = []
    fit(small(), splits, recipe, progress=seen.append)
    assert [(p.epoch, p.step) for p in seen] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4)]
    assert seen[-1].epochs == 3 and seen[-1].steps == 4 and math.isfinite(seen[-1].loss)


def test_the_best_epoch_is_chosen_on_validation_pictures(small, splits, recipe, tmp_path):
    result = fit(small(), splits, recipe.override({"data.validation": 0.3, "schedule.epochs": 5}), out=tmp_path)
    measured = [epoch["validation_accuracy"] for epoch in result.epochs]
    assert result.validation.accuracy == max(measured) and result.validation.count == 21
    from safetensors.torch import load_file

    best = small()
    best.load_state_dict(load_file(tmp_path / "best" / "model.safetensors"))
    assert weights_hash(best) == result.weights_hash
    assert (tmp_path / "last" / "model.safetensors").is_file()


def test_evaluation_counts_every_picture_once(small, splits):
    model = small().train()
    whole = evaluate(model, splits.test, batch_size=31)
    for batch_size in (1, 2, 7, 30, 100):
        part = evaluate(model, splits.test, batch_size)
        assert (part.correct, part.count, part.correct_per_class) == (whole.correct, 31, whole.correct_per_class)
        assert math.isclose(part.loss, whole.loss, rel_tol=1e-5)
    assert model.training and sum(whole.correct_per_class) == whole.correct and sum(whole.count_per_class) == 31
    with torch.no_grad():
        logits = model.eval()(splits.test.normalise(splits.test.scale(splits.test.images)))
    assert whole.correct == int((logits.argmax(1) == splits.test.labels).sum())


def test_logits_of_another_shape_are_an_error(splits, recipe, small):
    with pytest.raises(ValueError, match=r"logits must have shape \(B, K\) = \(16, 3\), got \(16, 4\)"):
        model = small()
        model.head = torch.nn.Linear(24, 4)
        fit(model, splits, recipe)


def test_norms_and_biases_do_not_decay(small):
    model = small()
    groups = adamw(model, OptimiserSection(weight_decay=0.3)).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    by_name = {name: decays[id(p)] for name, p in model.named_parameters()}
    assert by_name == {"body.0.weight": 0.3, "body.0.bias": 0.0, "body.1.weight": 0.0, "body.1.bias": 0.0,
                       "head.weight": 0.3, "head.bias": 0.0}


def test_the_learning_rate_warms_up_and_follows_a_cosine():
    schedule = ScheduleSection(epochs=10, warmup_epochs=2, warmup_lr=1e-5, min_lr=1e-4)
    rates = [learning_rate(step, 5, 1e-2, schedule) for step in range(50)]
    assert rates[0] == 1e-5 and max(rates) == rates[10] == 1e-2 and math.isclose(rates[-1], 1e-4)
    assert all(a < b for a, b in zip(rates[:10], rates[1:11], strict=True))
    assert all(a > b for a, b in zip(rates[10:-1], rates[11:], strict=True))
    middle = 10 + (49 - 10) / 2
    assert math.isclose((rates[int(middle)] + rates[int(middle) + 1]) / 2, (1e-2 + 1e-4) / 2, rel_tol=1e-3)


def test_mixing_stops_when_the_recipe_says(small, splits, recipe):
    """With a share of 0 mixup must change nothing, with 1 it must."""
    hashes = []
    for until, alpha in ((0.0, 0.5), (0.0, 0.0), (1.0, 0.5)):
        changed = recipe.override({"augment.mix_until": until, "augment.mixup": alpha})
        hashes.append(fit(small(), splits, changed).weights_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_batch_larger_than_the_set_is_the_whole_set(small, splits, recipe):
    result = fit(small(), splits, recipe.override({"data.batch_size": 1000, "schedule.epochs": 40}))
    assert len(result.epochs) == 40 and 0.3 < result.epochs[-1]["accuracy"] <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_device_the_same_seed_gives_the_same_weights(small, splits, recipe):
    recipe = recipe.override({"device": "cuda", "precision.autocast": "bfloat16"})
    first, again = (fit(small(), splits, recipe) for _ in range(2))
    assert first.weights_hash == again.weights_hash and first.test.count == 31


def test_bfloat16_autocast_trains(small, splits, recipe):
    result = fit(small(), splits, recipe.override({"precision.autocast": "bfloat16"}))
    assert math.isfinite(result.epochs[-1]["loss"])
    assert result.weights_hash != fit(small(), splits, recipe).weights_hash


def test_a_spiking_transformer_in_five_lines():
    splits = load("digits")
    few = torch.arange(40)
    splits = type(splits)(train=splits.train.select(few), test=splits.test.select(few))
    recipe = Recipe().override({"model.name": "spikingformer_tiny", "model.attention": "bsa", "schedule.epochs": 1,
                                "data.batch_size": 16, "device": "cpu"})
    result = fit(build_model(recipe, splits), splits, recipe)
    assert result.test.count == 40 and result.firing_rates
    assert any(0.01 < rate.total < 0.9 for rate in result.firing_rates.values())
    assert any(rate.negative > 0 for rate in result.firing_rates.values()), "bipolar neurons fire on both sides"


def test_the_model_follows_from_the_seed():
    splits = load("digits")
    recipe = Recipe().override({"model.name": "spikingformer_tiny"})
    hashes = [weights_hash(build_model(recipe.override({"seed": seed}), splits)) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
