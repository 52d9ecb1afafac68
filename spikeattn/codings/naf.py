"""Non-adjacent form: signed binary digits, no two spikes in a row, hence the fewest spikes of any radix-2 code.

    w_t = 2^(T-t)                            weight of step t = 1 ... T, in codes n
    s_t = sign(v) if 3 |v| >= 2 w_t else 0   fire
    v   = v - w_t s_t                        soft reset

N = floor(2^(T+1) / 3), grid R / N, error at most R / (2 N). Before step t |v| <= 4 w_t / 3 holds; firing leaves
|v| <= w_t / 3, below the next threshold, and an integer never meets 2 w_t / 3 itself. About T/3 + 2/9 spikes for
codes spread evenly.

Source: Reitwiesner, Advances in Computers 1 (1960), for the form; firing it most significant digit first: this project.
"""

from torch import Tensor

from spikeattn.codings.coding import Coding, beyond, steps


class NonAdjacentForm(Coding):
    """Digits of base two, each -1, 0 or 1, of any two neighbours at least one 0.

    >>> import torch
    >>> NonAdjacentForm().digits(torch.tensor([7, 6]), 4).T.tolist()      # 8 - 1, and 8 - 2
    [[1, 0, 0, -1], [1, 0, -1, 0]]
    """

    name, title, base = "naf", "non-adjacent form", 2

    def levels(self, T: int) -> int:
        return 2 ** (steps(T, 30) + 1) // 3

    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        weight = 2 ** (T - 1 - t) * unit
        spike = beyond(3 * membrane, 2 * weight)
        return spike.to(self.spike), membrane - weight * spike
