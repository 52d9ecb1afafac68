"""Neurons: one file each. This list is the registry; the contract tests run over it."""

from spikeattn.neurons.activation import GELU, Activation, ReLU
from spikeattn.neurons.elastic import ElasticBiSpiking
from spikeattn.neurons.if_ import IF
from spikeattn.neurons.ilif import ILIF
from spikeattn.neurons.leaky import Leaky
from spikeattn.neurons.lif import LIF
from spikeattn.neurons.neuron import Neuron
from spikeattn.neurons.plif import PLIF
from spikeattn.neurons.signed_ilif import SignedILIF
from spikeattn.neurons.ternary_if import TernaryIF
from spikeattn.neurons.ternary_lif import TernaryLIF
from spikeattn.neurons.ternary_plif import TernaryPLIF
from spikeattn.neurons.ternary_spike import ScaledTernarySpike, TernarySpike

NEURONS: dict[str, type[Neuron]] = {
    "if": IF,
    "lif": LIF,
    "plif": PLIF,
    "ilif": ILIF,
    "leaky": Leaky,
    "ternary_if": TernaryIF,
    "ternary_lif": TernaryLIF,
    "ternary_plif": TernaryPLIF,
    "signed_ilif": SignedILIF,
    "ternary_spike": TernarySpike,
    "elastic": ElasticBiSpiking,
}
ACTIVATIONS: dict[str, type[Activation]] = {"gelu": GELU, "relu": ReLU}

__all__ = [
    "ACTIVATIONS", "GELU", "IF", "ILIF", "LIF", "NEURONS", "PLIF", "Activation", "ElasticBiSpiking", "Leaky", "Neuron",
    "ReLU", "ScaledTernarySpike", "SignedILIF", "TernaryIF", "TernaryLIF", "TernaryPLIF", "TernarySpike",
]
