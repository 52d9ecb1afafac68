"""Every mistake is one clear ValueError that says what must hold, what came, and what to do."""

import pytest
import torch
from torch import nn

from spikeattn import create_model
from spikeattn.attention import BipolarSelfAttention
from spikeattn.neurons import GELU, LIF, TernaryLIF
from spikeattn.testing.layer import MESSAGE


class Homemade(LIF):
    """A neuron that nobody registered."""


def refused(call, *words):
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert MESSAGE.match(message), message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(("changes", "words"), [
    (dict(name="spikingfomer_8_512"), ["spikingformer_8_512", "Did you mean"]),
    (dict(name="resnet50"), ["got 'resnet50'"]),
    (dict(attention="bas"), ["got 'bas'", "Did you mean bsa"]),
    (dict(attention={"name": "bsa", "options": {"normalizer": "ceil"}}), ["normalizer", "normaliser"]),
    (dict(attention=nn.MultiheadAttention), ["MultiheadAttention", "Register the class"]),
    (dict(neuron="lifs"), ["got 'lifs'", "lif"]),
    (dict(neuron=Homemade()), ["Homemade", "Register the class"]),
    (dict(neuron={"name": "lif", "options": {"tau": 2.0}}), ["tau", "beta"]),
    (dict(neuron={"options": {}}), ["name"]),
    (dict(heads=5), ["dim=32, heads=5", "[1, 2, 4, 8, 16, 32]"]),
    (dict(depht=3), ["depht", "Did you mean depth"]),
    (dict(timesteps=0), ["timesteps", "got 0"]),
    (dict(readout="max"), ["got 'max'"]),
    (dict(attention=()), ["attention"]),
    (dict(neuron=GELU, attention="bsa"), ["GELU", "SoftmaxAttention"]),
    (dict(neuron=TernaryLIF, attention="ssa", neuron_overrides={"blocks.0.attn": {}}), ["blocks.0.attn"]),
    (dict(neuron_overrides={"blocks.0.attn_neuron": {"treshold": 1}}), ["treshold"]),
])
def test_create_model(changes, words):
    changes = dict(name="spikingformer_tiny") | changes
    refused(lambda: create_model(**changes), *words)


@pytest.mark.parametrize(("shape", "words"), [
    ((8, 8), ["(8, 8)"]),
    ((1, 8, 8), ["(1, 8, 8)", "unsqueeze"]),
    ((2, 3, 8, 8), ["(T, B, 1, Y, X)", "in_channels"]),
    ((4, 2, 1, 8, 8, 1), ["(4, 2, 1, 8, 8, 1)"]),
    ((0, 2, 1, 8, 8), ["(0, 2, 1, 8, 8)"]),
])
def test_inputs_of_a_model(shape, words):
    model = create_model("spikformer_tiny").eval()
    refused(lambda: model(torch.zeros(shape)), *words)
    if len(shape) > 3:
        refused(lambda: model.stream(torch.zeros(shape)), *words)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: BipolarSelfAttention(30, 4), ["dim=30, heads=4", "[1, 2, 3, 5, 6, 10, 15, 30]"]),
    (lambda: BipolarSelfAttention(32, 0), ["heads=0"]),
    (lambda: BipolarSelfAttention(32, 4, neuron=GELU()), ["GELU", "SoftmaxAttention or CircularAttention"]),
    (lambda: BipolarSelfAttention(32, 4, neuron="lif"), ["'lif'"]),
    (lambda: BipolarSelfAttention(32, 4, score_scale="learned"), ["'learned'"]),
    (lambda: BipolarSelfAttention(32, 4)(torch.zeros(2, 16, 32)), ["(2, 16, 32)", "BatchFirst"]),
    (lambda: BipolarSelfAttention(32, 4)(torch.zeros(1, 2, 16, 30)), ["32 channels", "got 30", "dim=30"]),
])
def test_attention(call, words):
    refused(call, *words)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: LIF(beta=1.5), ["beta", "got 1.5"]),
    (lambda: LIF(threshold=0), ["threshold", "got 0"]),
    (lambda: LIF(reset="zero"), ["'zero'", "hard"]),
    (lambda: LIF(surrogate="atan"), ["'atan'", "ATan(2.0)"]),
    (lambda: LIF.from_tau(0.5), ["tau", "got 0.5"]),
    (lambda: LIF.from_snntorch(0.9, reset_mechanism="subtract"), ["'subtract'", "Leaky"]),
    (lambda: LIF().clone(treshold=2.0), ["treshold", "threshold"]),
    (lambda: LIF()(torch.zeros(3)), ["(3,)", "unsqueeze(0)"]),
])
def test_neuron(call, words):
    refused(call, *words)
