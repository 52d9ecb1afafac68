"""A tiny model of every family keeps the contract, with its own attention and with every other that fits it."""

from functools import cache

import pytest
import torch

from spikeattn import create_model, list_models
from spikeattn.attention import ATTENTIONS
from spikeattn.models import MODELS
from spikeattn.neurons import Activation
from spikeattn.testing import ModelContract, spiking_layers

TINY = list_models("*_tiny")
DIVIDING = tuple(
    ATTENTIONS[name] for name in ("softmax", "tmp_softmax", "bmp_softmax", "cat", "dssa")
)


GENERAL = ("bsa", "bsa_spike", "ssa", "tmp_softmax", "softmax", "cat")  # written for every host


@cache
def refusal(name: str, attention: str) -> str | None:
    """Why this host does not take this attention, or None."""
    try:
        with torch.device("meta"):
            create_model(name, attention=attention)
    except ValueError as error:
        return str(error)
    return None


PAIRS = [(name, attention) for name in TINY for attention in ATTENTIONS]
FITTING = [pair for pair in PAIRS if refusal(*pair) is None]
# every promise for the published attention and for BSA, the most telling ones for all the rest
FULL = [(name, None) for name in TINY] + [(name, "bsa") for name in TINY if (name, "bsa") in FITTING]


class Registered(ModelContract):
    name: str
    attention: str | None

    def make(self):
        return create_model(self.name, attention=self.attention)

    def choose(self, name, attention):
        self.name, self.attention = name, attention
        # divisions and exponentials are not exact on dyadic numbers
        self.exact = not any(isinstance(module, (*DIVIDING, Activation)) for module in self.make().modules())
        return self


class TestModels(Registered):
    @pytest.fixture(autouse=True, params=FULL, ids=lambda pair: f"{pair[0]}-{pair[1] or 'own'}")
    def _parameters(self, request):
        self.choose(*request.param)


@pytest.mark.parametrize(("name", "attention"), [pair for pair in FITTING if pair[1] in GENERAL])
def test_general_attentions_in_any_host(name, attention):
    contract = Registered().choose(name, attention)
    contract.rates = (0.001, 0.95)  # a pair that nobody published may be quiet, but neither dead nor stuck
    contract.test_every_layer_fires_at_initialisation()
    contract.test_streaming_equals_whole_bitwise()
    contract.test_streaming_equals_whole_in_float64()
    contract.test_batch_items_do_not_mix()
    contract.test_gradient_reaches_the_first_weights()
    contract.test_saved_model_is_the_same()


@pytest.mark.parametrize(("name", "attention"), [pair for pair in FITTING if pair[1] not in GENERAL])
def test_any_attention_runs_in_any_host(name, attention):
    contract = Registered().choose(name, attention)
    model = contract.make().train()
    logits = model(contract.example(2))
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("name", "attention"), sorted(set(PAIRS) - set(FITTING)))
def test_a_host_says_why_it_does_not_take_an_attention(name, attention):
    assert len(refusal(name, attention)) > 40
    assert "got" in refusal(name, attention)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("host", ["vit_tiny", "cat_tiny"])
def test_an_ann_refuses_exactly_the_attentions_that_compute_on_spikes(host, attention):
    needs_spikes = spiking_layers(create_model("spikingformer_tiny", attention=attention).blocks[0].attn) \
        if refusal("spikingformer_tiny", attention) is None else True
    assert (refusal(host, attention) is None) == (not needs_spikes)


def test_every_family_has_a_tiny_model():
    assert {MODELS[name].model for name in TINY} == {entry.model for entry in MODELS.values()}
