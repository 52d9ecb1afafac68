"""Integrate-and-fire without leak: a LIF whose membrane keeps everything.

    u[t] = v[t-1] + x[t]                    charge
    s[t] = 1 if u[t] >= threshold else 0    fire
    v[t] = u[t] * (1 - s[t])                hard reset, or u[t] - threshold * s[t] soft
"""

from spikeattn.neurons.lif import LIF, Reset
from spikeattn.surrogate import Sigmoid, Surrogate


class IF(LIF):
    """A layer of integrate-and-fire neurons; spikes are 0 or 1.

    >>> import torch
    >>> IF()(torch.full((3, 1), 0.5))[0].flatten().tolist()
    [0.0, 1.0, 0.0]
    """

    def __init__(
        self,
        threshold: float = 1.0,
        reset: Reset = "hard",
        surrogate: Surrogate | dict = Sigmoid(4.0),  # noqa: B008 - a frozen record
        detach_reset: bool = True,
    ):
        super().__init__(1.0, 1.0, threshold, reset, surrogate, detach_reset)
