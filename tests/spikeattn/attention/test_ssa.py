"""Spiking self-attention: the plain equation, both orders of the product, and a rate to start from."""

import pytest
import torch

from spikeattn.attention import SpikingSelfAttention
from spikeattn.neurons import LIF
from spikeattn.testing import firing_rates, recorded_spikes, spiking_layers


@pytest.mark.parametrize(("tokens", "width"), [(3, 16), (16, 4), (5, 5), (1, 4), (40, 8)])
def test_core_is_the_stated_equation_in_either_order(tokens, width):
    q, k, v = (torch.randint(0, 2, (2, 1, 3, tokens, width)).float() for _ in range(3))
    layer = SpikingSelfAttention(3 * width, 3)
    expected = (q @ k.mT) @ v
    assert torch.equal(layer.mix(q, k, v, None), expected * 0.125)
    everything = torch.ones(tokens, tokens, dtype=torch.bool)
    assert torch.equal(layer.mix(q, k, v, everything), expected * 0.125)


def test_masked_keys_add_nothing():
    q, k, v = (torch.randint(0, 2, (1, 1, 1, 12, 4)).float() for _ in range(3))
    mask = torch.ones(12, 12, dtype=torch.bool).tril()
    expected = ((q @ k.mT) * mask) @ v * 0.125
    assert torch.equal(SpikingSelfAttention(4, 1).mix(q, k, v, mask), expected)


def test_ties_with_the_threshold_are_exact():
    """4 coincidences times 0.125 are exactly the threshold 0.5: the scale multiplies integers, so equality fires."""
    layer = SpikingSelfAttention(4, 1, neuron=LIF())
    ones = torch.ones(1, 1, 1, 1, 4)
    current = layer.mix(ones, ones, ones, None)
    assert current.tolist() == [[[[[0.5] * 4]]]]
    assert layer.attn_neuron(current)[0].sum() == 4


def test_neurons_are_binary_and_the_output_has_a_lower_threshold():
    layer = SpikingSelfAttention(8, 2, neuron=LIF.from_tau(2.0), attn_threshold=0.25, bias=True)
    assert {neuron.alphabet for neuron in spiking_layers(layer).values()} == {"binary"}
    assert (layer.v_neuron.threshold, layer.attn_neuron.threshold) == (1.0, 0.25)
    assert layer.q.linear.bias is not None and layer.proj.linear.bias is not None
    assert SpikingSelfAttention(8, 2).q.linear.bias is None


@pytest.mark.parametrize(("dim", "heads", "tokens"), [(32, 2, 16), (64, 4, 64), (384, 12, 64), (128, 8, 196)])
def test_every_neuron_fires_at_initialisation(dim, heads, tokens):
    layer = SpikingSelfAttention(dim, heads, neuron=LIF.from_tau(2.0))
    layer.init_firing(tokens, 1.0)
    x = (torch.rand(4, 2, tokens, dim) < 0.2).float()
    for training in (True, False):
        with recorded_spikes(layer.train(training)) as record:
            layer(x)
        assert all(0.01 <= rate <= 0.9 for rate in firing_rates(record).values()), firing_rates(record)
