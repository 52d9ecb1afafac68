"""A tiny model of every family with every attention that fits it keeps the contract."""

import pytest

from spikeattn import create_model, list_models
from spikeattn.attention import ATTENTIONS
from spikeattn.models import MODELS
from spikeattn.neurons import ACTIVATIONS
from spikeattn.testing import ModelContract, spiking_layers

EXPONENTIAL = ("softmax", "tmp_softmax", "cat")  # these divide by a sum of exponentials
TINY = list_models("*_tiny")


def needs_spikes(attention: str) -> bool:
    return bool(spiking_layers(ATTENTIONS[attention](8, 2)))


def is_ann(name: str) -> bool:
    return MODELS[name].config.neuron.name in ACTIVATIONS


PAIRS = [(name, attention) for name in TINY for attention in ATTENTIONS]
FITTING = [(name, attention) for name, attention in PAIRS if not (is_ann(name) and needs_spikes(attention))]


class TestModels(ModelContract):
    @pytest.fixture(autouse=True, params=FITTING, ids="-".join)
    def _parameters(self, request):
        self.name, self.attention = request.param
        self.exact = not is_ann(self.name) and self.attention not in EXPONENTIAL

    def make(self):
        return create_model(self.name, attention=self.attention)


@pytest.mark.parametrize(("name", "attention"), sorted(set(PAIRS) - set(FITTING)))
def test_an_ann_refuses_attention_that_computes_on_spikes(name, attention):
    with pytest.raises(ValueError, match="computes on spikes.*SoftmaxAttention"):
        create_model(name, attention=attention)


def test_every_family_has_a_tiny_model():
    assert {MODELS[name].model for name in TINY} == {entry.model for entry in MODELS.values()}
