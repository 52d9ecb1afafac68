import json
import warnings

import pytest
import torch
from torch import nn

from spikeattn.data import Splits, load
from spikeattn.train import FiringWarning, NonFiniteError, Recipe, build_model, fit, measured_rates, weights_hash


class Poison(nn.Module):
    """Passes its input on; from call `since` on, spoils one value of it."""

    def __init__(self, since, value=float("nan")):
        super().__init__()
        self.calls, self.since, self.value = 0, since, value

    def forward(self, x):
        self.calls += 1
        if self.calls < self.since:
            return x
        mask = torch.zeros_like(x)
        mask[0, 0] = self.value
        return x + mask


class Backfire(torch.autograd.Function):
    """Identity forward, infinite gradient backward."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * float("inf")


@pytest.mark.parametrize("where", ["body", "dropout", "head"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_layer_that_spoils_values_is_named_and_weights_stay(small, splits, recipe, tmp_path, where, value):
    model = small()
    setattr(model, where, nn.Sequential(getattr(model, where), Poison(since=6, value=value)))
    untouched = []
    with pytest.raises(NonFiniteError, match="at step 5") as caught:
        fit(model, splits, recipe, out=tmp_path, progress=lambda _: untouched.append(weights_hash(model)))
    assert caught.value.layer == f"{where}.1" and caught.value.step == 5
    assert len(untouched) == 5 and weights_hash(model) == untouched[-1], "parameters or norm statistics changed"
    stopped = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert stopped["event"] == "stopped" and stopped["layer"] == f"{where}.1" and stopped["step"] == 5


def test_an_infinite_gradient_is_found_from_the_output_back(small, splits, recipe):
    model = small()
    before = weights_hash(model)
    model.neuron.register_forward_hook(lambda _, __, out: (Backfire.apply(out[0]), None))
    with pytest.raises(NonFiniteError) as caught:
        fit(model, splits, recipe)
    assert caught.value.layer.startswith("body"), "head and dropout come after the spoilt gradient"
    assert weights_hash(model) == before
    assert all(p.grad is None for p in model.parameters())


def test_a_spoilt_weight_is_named(small, splits, recipe):
    model = small()
    with torch.no_grad():
        model.body[0].bias[2] = float("nan")
    with pytest.raises(NonFiniteError) as caught:
        fit(model, splits, recipe)
    assert caught.value.layer == "body.0"


@pytest.mark.parametrize("layer", ["stem.convs.0.conv", "blocks.0.mlp.fc1.linear", "head"])
def test_in_a_spiking_transformer_too(layer):
    """Its neurons would turn NaN into silence; the guard must look at what stands in front of them."""
    data = load("digits").train.select(torch.arange(32))
    recipe = Recipe().override({"model.name": "spikingformer_tiny", "device": "cpu", "data.batch_size": 16})
    splits = Splits(train=data, test=data)
    model = build_model(recipe, splits)
    with torch.no_grad():
        model.get_submodule(layer).weight.view(-1)[0] = float("nan")
    before = weights_hash(model)
    with pytest.raises(NonFiniteError) as caught:
        fit(model, splits, recipe)
    assert caught.value.layer == layer and caught.value.step == 0
    assert weights_hash(model) == before


def test_a_nan_that_a_neuron_swallows_is_noticed(small, splits, recipe):
    """Forward and backward stay finite here; only the norm's running statistics would be spoilt."""
    class Deaf(nn.Module):
        def forward(self, x):
            return torch.nan_to_num(x.detach()), None

    model = small()
    model.neuron = Deaf()
    with torch.no_grad():
        model.body[0].bias[2] = float("nan")
    before = weights_hash(model)
    with pytest.raises(NonFiniteError) as caught:
        fit(model, splits, recipe)
    assert caught.value.layer == "body.0" and weights_hash(model) == before


@pytest.mark.parametrize("bias, word", [(-50.0, "silent"), (50.0, "saturated")])
def test_a_silent_or_saturated_layer_is_named(small, splits, recipe, tmp_path, bias, word):
    model = small()
    with torch.no_grad():
        model.body[1].bias.fill_(bias)
    with pytest.warns(FiringWarning, match=f"layer 'neuron' is {word}") as caught:
        result = fit(model, splits, recipe, out=tmp_path)
    assert len(caught) == 1, "one warning for a layer, not one per epoch"
    assert word in result.complaints["neuron"]
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["layer"], line["epoch"]) for line in log if line["event"] == "warning"] == [("neuron", 1)]


def test_a_layer_that_fires_is_not_named(small, splits, recipe):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FiringWarning)
        assert fit(small(), splits, recipe).complaints == {}


def test_rates_count_both_signs():
    class Signed(nn.Module):
        alphabet = "ternary"

        def forward(self, x):
            return x.sign(), None

    model = nn.Sequential(Signed())
    with measured_rates(model) as rates:
        model(torch.tensor([1.0, 2.0, -1.0, 0.0]))
    assert (rates["0"].positive, rates["0"].negative, rates["0"].total) == (0.5, 0.25, 0.75)
    assert not model[0]._forward_hooks
