"""Ternary leaky integrate-and-fire: the bipolar spikes of BSA.

    u[t] = beta * v[t-1] + gain * x[t]                        charge
    s[t] = sign(u[t]) * [|u[t]| >= threshold]                 fire: -1, 0 or +1
    v[t] = u[t] * (1 - |s[t]|)                                hard reset, on either sign
    ds/du = g(u - threshold) + g(-u - threshold)              surrogate

Source: Wang et al., "Bipolar Self-attention for Spiking Transformers" (NeurIPS 2025), Eq. 9-11, which credits
Guo et al., "Ternary Spike" (AAAI 2024). The paper does not state >= or >, the decay, the threshold used in
training or the surrogate: firing at equality and the two-sided surrogate are our reading.
With odd charging the layer is odd: TernaryLIF(-x) = -TernaryLIF(x), state included.
"""

from spikeattn.neurons.lif import LIF


class TernaryLIF(LIF):
    """A layer of leaky integrate-and-fire neurons with two thresholds, +threshold and -threshold.

    >>> import torch
    >>> TernaryLIF(beta=0.5)(torch.tensor([[0.6], [-1.4], [0.2]]))[0].flatten().tolist()
    [0.0, -1.0, 0.0]
    """

    citation = ("wang2025bsa", "guo2024ternary")
    alphabet = "ternary"
    ternary = True


LIF.signed_form = TernaryLIF
