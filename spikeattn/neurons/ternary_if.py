"""Ternary integrate-and-fire without leak.

    u[t] = v[t-1] + x[t]                             charge
    s[t] = sign(u[t]) * [|u[t]| >= threshold]        fire: -1, 0 or +1
    v[t] = u[t] * (1 - |s[t]|)                       hard reset, or u[t] - threshold * s[t] soft
"""

from spikeattn.neurons.if_ import IF


class TernaryIF(IF):
    """A layer of integrate-and-fire neurons with two thresholds.

    >>> import torch
    >>> TernaryIF()(torch.full((3, 1), -0.5))[0].flatten().tolist()
    [0.0, -1.0, 0.0]
    """

    alphabet = "ternary"
    ternary = True


IF.signed_form = TernaryIF
