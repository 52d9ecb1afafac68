"""Rate: a signed integrate-and-fire neuron under a constant current, every spike worth the same.

    v_0 = sign(n) T                          half a threshold to start with
    v   = v + 2 n                            charge: the current n / T, a threshold being 2 T
    s_t = sign(v) if |v| >= 2 T else 0       fire
    v   = v - 2 T s_t                        soft reset

N = T, grid R / T, error at most R / (2 T); without the half start it would be R / T. After t steps the neuron has
fired round(n t / T) times, halves away from zero. So the word may be read early: T / t times its first t spikes is
n within T / (2 t), and the value within (1/t + 1/T) R / 2, or R / (2 T) at the end.

Source: Bu et al., ICLR 2022 (arXiv 2303.04347), for the half start. Differs from the paper in: both signs.
"""

from fractions import Fraction

import torch
from torch import Tensor

from spikeattn.codings.coding import Coding, beyond, steps


class Rate(Coding):
    """As many spikes as the code says, spread evenly over the T steps.

    >>> import torch
    >>> Rate().digits(torch.tensor([2, -1]), 4).T.tolist()
    [[1, 0, 1, 0], [0, -1, 0, 0]]
    """

    name, title, anytime = "rate", "rate, half start", True

    def levels(self, T: int) -> int:
        return steps(T)

    def begin(self, a: Tensor, threshold: Tensor, T: int) -> tuple[Tensor, Tensor]:
        """The half start, and the current that flows at every step."""
        n = self.quantise(a, threshold, T)
        return T * torch.sign(n), n

    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        v = membrane + 2 * unit
        spike = beyond(v, 2 * T)
        return spike.to(self.spike), v - 2 * T * spike

    def gain(self, t: int, T: int) -> Fraction:
        return Fraction(steps(T), steps(t))

    def bound_at(self, t: int, T: int) -> Fraction:
        return self.bound(T) + (Fraction(1, 2 * steps(t)) if t < T else 0)
