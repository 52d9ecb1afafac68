"""Signed integer LIF: levels on both sides of zero.

    u[t] = beta * v[t-1] + x[t]                                  charge
    s[t] = round(clamp(u[t] / threshold, -D, D))                 fire: an integer level -D ... D
    v[t] = u[t] - threshold * s[t]                               soft reset

Our reading of how bipolar attention meets hosts that use I-LIF (no source states it). Attention scores take the
integer levels, so that a score stays an integer; `normalise` divides the output by D and is for other uses.
"""

from spikeattn.neurons.ilif import ILIF


class SignedILIF(ILIF):
    """A layer of integer neurons with levels -levels ... levels.

    >>> import torch
    >>> SignedILIF(levels=2)(torch.tensor([[-1.2, 7.0]]))[0].tolist()
    [[-1.0, 2.0]]
    """

    alphabet = "signed_graded"
    lowest_sign = -1


ILIF.signed_form = SignedILIF
