"""What a published convention is: which operation each kind of layer is charged with, and whether its rate counts.

    SOP = rate * FLOPs          accumulates of a layer that reads spikes; FLOPs are summed over all T steps
    E   = E_MAC * sum FLOPs of real-valued layers + E_AC * sum SOP            45 nm, norms folded, no memory
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from neuromorphic.energy.bill import Rule

KINDS = ("stem", "conv", "linear", "attention", "head", "residual_int", "real")


class LayerRate(NamedTuple):
    """One row of a published table.

    flops: operations summed over all T, bias additions as the source counts them; for attention T h N d_h^2.
    rate: input firing rate as a fraction (above 1 for integer levels); for attention min(f_K, f_V) + f_Q.
    kind: stem (first layer, reads the picture), conv, linear, attention, head (classifier), residual_int (reads sums
    of spikes, as after a SEW residual), real (reads real values).
    """

    layer: str
    flops: float
    rate: float
    kind: str


@dataclass(frozen=True)
class Charge:
    """operation: class of operation; rated: FLOPs are multiplied by the rate, else all of them are charged."""

    operation: str
    rated: bool


MAC, RATED_MAC, AC, SHIFT = Charge("MAC", False), Charge("MAC", True), Charge("AC", True), Charge("SHIFT", True)
SPIKE_DRIVEN: Mapping[str, Charge] = {  # a real-valued stem and head, accumulates in between
    "stem": MAC, "conv": AC, "linear": AC, "attention": AC, "head": MAC, "residual_int": AC, "real": MAC,
}  # fmt: skip


@dataclass(frozen=True)
class Convention:
    """charges: for each kind. rule: the same accounting in the terms of our own pricing.

    dense_within: an input rate this close to 1 means real values, charged as MAC; None where only the kind decides.
    """

    name: str
    title: str
    source: str
    charges: Mapping[str, Charge]
    rule: Rule = field(default_factory=lambda: Rule(graded="unit_ac", taps="padded"))
    dense_within: float | None = None

    def charge(self, row: LayerRate) -> Charge:
        """What a layer is charged with.

        >>> Convention("mine", "", "", SPIKE_DRIVEN).charge(LayerRate("fc", 100, 0.2, "linear"))
        Charge(operation='AC', rated=True)
        """
        full = self.dense_within is not None and abs(row.rate - 1) < self.dense_within
        return MAC if full and row.kind != "attention" else self.charges[row.kind]


def first_convolution(timesteps: int, out_channels: int, side: int, *, in_channels: int = 3, kernel: int = 3) -> int:
    """Multiply-accumulates of the first convolution (stride 1, padded) on a static picture charged at every step.

        T * k^2 C_in * C_1 * side^2                C_1 = D / 8 in Spikformer and Spikingformer

    >>> first_convolution(4, 64, 224)
    346816512
    """
    return timesteps * kernel**2 * in_channels * out_channels * side**2
