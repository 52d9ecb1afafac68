"""When a spiking network beats its ANN: the arithmetic bound, in closed form.

    E_snn / E_ann = T * f * E_AC / E_MAC           products only, memory ignored, f the mean firing rate
    break-even    T * f* = E_MAC / E_AC            spikes per synapse and inference

f is weighted by operations: accumulates caused by spikes over all terms of the products that read spikes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuromorphic.energy.bill import Profile, Rule
from neuromorphic.energy.profile import load_profile
from neuromorphic.energy.rule import classify
from neuromorphic.ledger import SPIKES, Ledger


@dataclass(frozen=True)
class Point:
    """A place on the break-even chart: `spikes` = T * f spikes per synapse and inference, `ratio` = E_snn / E_ann."""

    spikes: float
    ratio: float


def break_even(profile: Profile | str | Path) -> float:
    """Spikes per synapse and inference, T * f*, at which accumulates cost what multiply-accumulates cost.

    >>> round(break_even("horowitz45_fp32"), 2), round(break_even("horowitz45_int8_acc32"), 2)
    (5.11, 3.0)
    """
    profile = load_profile(profile)
    mac, ac = profile.pj("MAC"), profile.pj("AC")
    if not mac or not ac:
        raise ValueError(f"break_even: profile {profile.name} must price MAC and AC, got {mac} and {ac}. Add them.")
    return mac / ac


def curve(profile: Profile | str | Path, rates: Sequence[float], timesteps: int) -> list[Point]:
    """E_snn / E_ann against the firing rate at T steps.

    >>> [round(point.ratio, 3) for point in curve("horowitz45_fp32", [0.1, 1.0], timesteps=4)]
    [0.078, 0.783]
    """
    bound = break_even(profile)
    return [Point(spikes=timesteps * rate, ratio=timesteps * rate / bound) for rate in rates]


def firing(ledger: Ledger) -> float:
    """Operation-weighted mean firing rate of the products that read spikes, in [0, 1]; 0.0 where there are none."""
    events = terms = 0
    for row in ledger.rows:
        if row.dense and any(operand and operand.kind in SPIKES for operand in (row.left, row.right)):
            events += sum(classify(row, Rule(), row.steps).get(name, 0) for name in ("AC", "ADD")) - row.bias
            terms += row.dense
    return events / terms if terms else 0.0


def operating_point(ledger: Ledger, profile: Profile | str | Path) -> Point:
    """Where a measured model lies on the chart."""
    spikes = ledger.model.timesteps * firing(ledger)
    return Point(spikes=spikes, ratio=spikes / break_even(profile))
