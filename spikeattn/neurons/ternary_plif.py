"""Ternary parametric LIF: the learnable decay of PLIF with the two thresholds of TernaryLIF.

    u[t] = (1 - sigmoid(w)) * v[t-1] + sigmoid(w) * x[t]      charge
    s[t] = sign(u[t]) * [|u[t]| >= threshold]                 fire: -1, 0 or +1
    v[t] = u[t] * (1 - |s[t]|)                                hard reset

Our combination of the two, so that bipolar attention fits hosts that use PLIF.
"""

from spikeattn.neurons.plif import PLIF


class TernaryPLIF(PLIF):
    """A layer of ternary LIF neurons that learns its decay."""

    alphabet = "ternary"
    ternary = True


PLIF.signed_form = TernaryPLIF
