"""Balanced ternary: a membrane whose threshold shrinks by three each step.

    w_t = theta 3^(T-t)                    weight of step t = 1 ... T
    s_t = sign(v) if 2 |v| >= w_t else 0   fire
    v   = v - w_t s_t                      soft reset

N = (3^T - 1) / 2, grid 2 R / (3^T - 1), error at most R / (3^T - 1). Before step t |v| <= 3 w_t / 2 holds, so the
last reset leaves |v| <= theta / 2: the spikes are those of the nearest code, and the word of a code is unique.

The neuron fires on the accumulator itself. theta 3^k is odd, so 2 |v| = w_t cannot happen and no tie is ever broken.
A membrane that grows by three each step under a fixed threshold fires the same spikes.

Source: balanced ternary, Knuth, The Art of Computer Programming 2, section 4.1; as a spike code: this project.
"""

import torch
from torch import Tensor

from spikeattn.codings.coding import Coding, beyond, steps


class BalancedTernary(Coding):
    """Digits of base three, each -1, 0 or 1.

    >>> import torch
    >>> BalancedTernary().digits(torch.tensor([7, -4]), 3).T.tolist()      # 9 - 3 + 1, and -3 - 1
    [[1, -1, 1], [0, -1, -1]]
    """

    name, title, base = "ternary", "balanced ternary", 3

    def levels(self, T: int) -> int:
        return (3 ** steps(T, 20) - 1) // 2

    def begin(self, a: Tensor, threshold: Tensor, T: int) -> tuple[Tensor, Tensor]:
        """The accumulator itself, clipped to what rounds to a code: |a| < theta (N + 1/2)."""
        reach = ((2 * self.levels(T) + 1) * threshold - 1) // 2
        return torch.minimum(torch.maximum(a, -reach), reach), threshold

    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        weight = 3 ** (T - 1 - t) * unit
        spike = beyond(2 * membrane, weight)
        return spike.to(self.spike), membrane - weight * spike
