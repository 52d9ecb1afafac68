"""When a spiking network beats its ANN, in closed form: by arithmetic alone, and with memory and its reuse.

    E_snn / E_ann = T * f * E_AC / E_MAC           products only, memory ignored, f the mean firing rate
    break-even    T * f* = E_MAC / E_AC            spikes per synapse and inference
    with memory   T * f* = (E_MAC + m / r_m) / (E_AC + w / r_w + 2 v / r_v)

    m    access of both operands of a MAC          w, v    access of a weight, of a membrane (read and written)
    r    how often a word is used for each access: the reuse, which decides the verdict more than the arithmetic

f is weighted by operations: accumulates caused by spikes over all terms of the products that read spikes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neuromorphic.energy.bill import Profile, Rule
from neuromorphic.energy.memory import REGISTER
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


@dataclass(frozen=True)
class BreakEven:
    """The closed form with memory; pJ, and uses for each access. Without memory it is `break_even`.

    Bytes from 8 KB of SRAM at 45 nm (1.25 pJ), 16-bit membranes, int8 with 8-bit accumulators, T = 4:

    >>> bytes_of = BreakEven(mac=0.23, ac=0.03, operands=2.5, weight=1.25, membrane=2.5)
    >>> f"{bytes_of.rate(4):.1%}", f"{replace(bytes_of, ann_reuse=16).rate(4):.1%}"
    ('10.9%', '1.5%')
    """

    mac: float
    ac: float
    operands: float = 0.0
    weight: float = 0.0
    membrane: float = 0.0
    ann_reuse: float = 1.0
    weight_reuse: float = 1.0
    membrane_reuse: float = 1.0

    @property
    def spikes(self) -> float:
        """T f*: spikes per synapse and inference at which both cost the same."""
        synapse = self.ac + self.weight / self.weight_reuse + 2 * self.membrane / self.membrane_reuse
        return (self.mac + self.operands / self.ann_reuse) / synapse

    def rate(self, timesteps: int) -> float:
        """f*: the firing rate at T steps."""
        return self.spikes / timesteps


REUSES = {  # how often the ANN uses an operand, the SNN a weight and a membrane, for each access
    "no reuse": (1, 1, 1),
    "ANN 16": (16, 1, 1),
    "ANN 16, membrane 100": (16, 1, 100),
    "all 16/16/100": (16, 16, 100),
    "all 64": (64, 64, 64),
}


def break_even_points(profile: Profile | str | Path, timesteps: int, level: str | None = None) -> dict[str, float]:
    """Break-even rates f* of a profile by arithmetic alone and with its words in one memory, under named reuses.

    level: a memory of the profile, the smallest SRAM unless named.

    >>> {name: round(rate, 3) for name, rate in break_even_points("horowitz45_int8_acc32", 4).items()}
    {'arithmetic only': 0.75, 'no reuse': 0.062, 'ANN 16': 0.01, 'ANN 16, membrane 100': 0.079,
     'all 16/16/100': 0.41, 'all 64': 0.307}
    """
    profile = load_profile(profile)
    arithmetic = BreakEven(break_even(profile) * profile.pj("AC"), profile.pj("AC"))
    points = {"arithmetic only": arithmetic.rate(timesteps)}
    if profile.memory is None:
        return points
    stores = {one.name: one for one in profile.memory.levels if one.name != REGISTER}
    store = stores.get(level or next(iter(stores)))
    if store is None:
        raise ValueError(f"break_even_points: level must be one of {', '.join(stores)}, got {level!r}. Name one.")
    pj = {word: bits / 64 * store.pj_per_64bit for word, bits in profile.word_bits.items()}
    remembered = replace(arithmetic, operands=pj["weight"] + pj["activation"], weight=pj["weight"],
                         membrane=pj["accumulator"])
    for name, (ann, weight, membrane) in REUSES.items():
        reused = replace(remembered, ann_reuse=ann, weight_reuse=weight, membrane_reuse=membrane)
        points[name] = reused.rate(timesteps)
    return points


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
