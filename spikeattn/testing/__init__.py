"""Contract tests for neurons, attentions and models: ours, and those that you write.

A contract is a class whose `test_*` methods say what every layer promises. Give it a subclass with a factory and
let pytest collect it:

    from spikeattn.testing import NeuronContract

    class TestMyNeuron(NeuronContract):
        def make(self):
            return MyNeuron(beta=0.5)

What is promised: streaming equals the whole sequence and a batch equals its items one by one (bitwise where all
sums are exact, see `make_dyadic`); nothing is remembered between calls; batch items do not mix; gradients reach
the first step and are finite; spikes lie in the declared alphabet; states flatten and unflatten; one exported
program serves every batch size; the layer compiles as one graph; weights survive a file bit for bit.
Every contract first asserts that some, but not all, units spike: a silent layer would pass without being tested.
"""

from spikeattn.testing.attention import AttentionContract
from spikeattn.testing.dyadic import dyadic, make_dyadic
from spikeattn.testing.firing import firing_rates, recorded_spikes, spiking_layers
from spikeattn.testing.layer import LayerContract
from spikeattn.testing.model import ModelContract
from spikeattn.testing.neuron import NeuronContract

__all__ = [
    "AttentionContract", "LayerContract", "ModelContract", "NeuronContract", "dyadic", "firing_rates", "make_dyadic",
    "recorded_spikes", "spiking_layers",
]
