"""Signed binary: a membrane whose threshold halves each step, spikes of either sign.

    w_t = 2^(T-t)                          weight of step t = 1 ... T, in codes n
    s_t = sign(v) if 2 |v| >= w_t else 0   fire
    v   = v - w_t s_t                      soft reset

N = 2^T - 1, grid R / (2^T - 1), error at most R / (2 (2^T - 1)). Firing leaves |v| at most the sum of the weights to
come, so every code is reached; most codes have several words, of which this is the greedy one. The accumulator is
rounded to a code first: on a real membrane the ties of this rule differ from those of the rounding.

Source: radix-2 signed digits, Avizienis, IRE Transactions EC-10 (1961); greedy firing as in few-spike neurons
(Stoeckl and Maass, Nature Machine Intelligence 2021). Differs from the latter in: signed spikes, rounding first.
"""

from torch import Tensor

from spikeattn.codings.coding import Coding, beyond, steps


class SignedBinary(Coding):
    """Digits of base two, each -1, 0 or 1, the largest possible first.

    >>> import torch
    >>> SignedBinary().digits(torch.tensor([3, 5]), 3).T.tolist()      # 4 - 2 + 1, and 4 + 2 - 1
    [[1, -1, 1], [1, 1, -1]]
    """

    name, title, base = "signed_binary", "signed binary", 2

    def levels(self, T: int) -> int:
        return 2 ** steps(T, 30) - 1

    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        weight = 2 ** (T - 1 - t) * unit
        spike = beyond(2 * membrane, weight)
        return spike.to(self.spike), membrane - weight * spike
