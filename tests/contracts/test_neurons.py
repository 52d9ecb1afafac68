"""Every registered neuron keeps the contract, at its defaults and in its other modes."""

import pytest

from spikeattn.neurons import IF, ILIF, LIF, NEURONS, PLIF, Leaky, SignedILIF, TernaryLIF
from spikeattn.surrogate import STE, ATan
from spikeattn.testing import NeuronContract

DEFAULTS = {name: kind for name, kind in NEURONS.items()}
MODES = {
    "lif-soft": lambda: LIF(reset="soft"),
    "lif-none": lambda: LIF(reset="none"),
    "lif-from-tau": lambda: LIF.from_tau(2.0),
    "lif-full-gradient": lambda: LIF(surrogate=ATan(2.0), detach_reset=False),
    "if-soft": lambda: IF(reset="soft"),
    "ternary-lif-soft-ste": lambda: TernaryLIF(threshold=0.5, reset="soft", surrogate=STE(1.0)),
    "plif-without-decayed-input": lambda: PLIF(decay_input=False),
    "leaky-without-delay": lambda: Leaky(reset_delay=False),
    "ilif-with-memory": lambda: ILIF(beta=0.5),
    "ilif-normalised": lambda: ILIF(normalise=True),
    "signed-ilif-with-memory": lambda: SignedILIF(beta=0.25, levels=2),
}
INEXACT = {
    "lif-tau-1.5": lambda: LIF.from_tau(1.5),
    "plif-tau-3": lambda: PLIF(init_tau=3.0),
}


class TestNeurons(NeuronContract):
    @pytest.fixture(autouse=True, params=[*DEFAULTS, *MODES, *INEXACT])
    def _parameters(self, request):
        self.exact = request.param not in INEXACT
        self.make = (DEFAULTS | MODES | INEXACT)[request.param]
