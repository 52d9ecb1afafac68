"""ST-BIF: a bipolar neuron with a tracer, which may take spikes back.

    v   = v + a_t                                                     charge
    s_t = 1  if 2 v > theta, or 2 v = theta and S >= 0; while S < N   fire
        = -1 mirrored; while S > -N
    v   = v - theta s_t                                               soft reset
    S   = S + s_t                                                     tracer: what has been said so far

Whatever the order in which the input came, the neuron comes to rest at S = round(sum_t a_t / theta), clipped to
[-N, N]: if an early part promised too much, later spikes take it back. As a code of T steps the whole input comes
at once and N = T: grid R / T, error at most R / (2 T), each code n as |n| spikes in a row. After t steps the word
says min(t, |n|), hence the value within (1 - t/T) R, or R / (2 T) at the end.

Source: SpikeZIP-TF, ICML 2024 (arXiv 2406.03470). Differs from the paper in: a start at 0 and ties away from zero by
the sign of the tracer, in place of a start at theta / 2 (ties upwards), so that the code of -x is minus that of x.
"""

from fractions import Fraction

from torch import Tensor

from spikeattn.codings.coding import Coding, steps


def st_bif_step(v: Tensor, tracer: Tensor, a: Tensor | int, threshold: Tensor | int, N: int) -> tuple[Tensor, ...]:
    """One step under any input: (spike, v, tracer), all integers.

    >>> import torch
    >>> v = S = torch.tensor(0)
    >>> for a in (7, -4, 0, 0):      # 7 + -4 = 3 comes to rest at round(3 / 5) = 1
    ...     s, v, S = st_bif_step(v, S, a, 5, 4)
    ...     print(s.item(), v.item(), S.item())
    1 2 1
    0 -2 1
    0 -2 1
    0 -2 1
    """
    v = v + a
    up = ((2 * v > threshold) | ((2 * v == threshold) & (tracer >= 0))) & (tracer < N)
    down = ((2 * v < -threshold) | ((2 * v == -threshold) & (tracer <= 0))) & (tracer > -N)
    spike = up.to(v.dtype) - down.to(v.dtype)
    return spike, v - threshold * spike, tracer + spike


class StBif(Coding):
    """As many spikes as the code says, all at the beginning.

    >>> import torch
    >>> StBif().digits(torch.tensor([2, -1]), 4).T.tolist()
    [[1, 1, 0, 0], [-1, 0, 0, 0]]
    """

    name, title, anytime = "st_bif", "ST-BIF, bipolar with tracer", True

    def levels(self, T: int) -> int:
        return steps(T)

    def begin(self, a: Tensor, threshold: Tensor, T: int) -> tuple[Tensor, Tensor]:
        """The code, as the charge and as what the tracer is read against."""
        n = self.quantise(a, threshold, T)
        return n, n

    def fire(self, membrane: Tensor, unit: Tensor, t: int, T: int) -> tuple[Tensor, Tensor]:
        spike, v, _ = st_bif_step(membrane, unit - membrane, 0, 1, T)
        return spike.to(self.spike), v

    def gain(self, t: int, T: int) -> Fraction:
        steps(t)
        return Fraction(1)

    def bound_at(self, t: int, T: int) -> Fraction:
        return max(1 - Fraction(steps(t), steps(T)), self.bound(T))
