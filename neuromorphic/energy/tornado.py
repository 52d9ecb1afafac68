"""Which assumption moves an energy most: one axis at a time, from its lowest to its highest setting.

    firing rate     times 0.1 to 2          T        1, 2, 4, 8: run again, or extrapolated and said so
    profile         verified, physical      reuse    arithmetic alone, and every reuse model
    accounting      each field of the rule that has an alternative
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from neuromorphic.energy.bill import Profile, Rule
from neuromorphic.energy.interval import HEADLINE_PROFILE
from neuromorphic.energy.price import plain_bill
from neuromorphic.energy.profile import load_profile, profiles
from neuromorphic.energy.sensitivity import (
    TIMESTEPS,
    Variation,
    stretch,
    variation,
    vary_profile,
    vary_rate,
    vary_reuse,
    vary_rule,
    vary_timesteps,
)
from neuromorphic.ledger import Ledger


@dataclass(frozen=True)
class Bar:
    """One assumption: all its settings, the one in use among them where it has a number.

    The low end is taken among settings that price everything, where there is one.
    """

    axis: str
    base_mj: float
    variations: tuple[Variation, ...]

    @property
    def low(self) -> Variation:
        whole = [one for one in self.variations if not one.lower_bound] or self.variations
        return min(whole, key=lambda one: one.total_mj)

    @property
    def high(self) -> Variation:
        return max(self.variations, key=lambda one: one.total_mj)

    @property
    def swing_mj(self) -> float:
        """From the lowest to the highest, the base included."""
        return max(self.high.total_mj, self.base_mj) - min(self.low.total_mj, self.base_mj)

    @property
    def extrapolated(self) -> bool:
        """An end of the bar was computed from another run."""
        return self.low.extrapolated or self.high.extrapolated


def tornado(
    ledger: Ledger,
    profile: Profile | str | Path = HEADLINE_PROFILE,
    rule: Rule = Rule(),  # noqa: B008 - a frozen record
    *,
    model: nn.Module | None = None,
    inputs: Any = None,
    batches: int | None = None,
) -> tuple[Bar, ...]:
    """One bar for each assumption that can be moved, the widest first.

    With `model` and `inputs` other T are run. An ANN has neither firing rate nor T.

    >>> from neuromorphic.ledger import Emission, ModelInfo, Operand, Row
    >>> spikes = Operand(64, 16, 0, smallest=1.0, largest=1.0)
    >>> row = Row("fc", "linear", steps=2, geometry=(("in", 32), ("out", 8)), left=spikes, dense=512, left_events=128)
    >>> fired = Emission("n", "IF", "binary", 32, 64, (8, 8), (0, 0), (8, 8), 0, 0)
    >>> bars = {bar.axis: bar for bar in tornado(Ledger(ModelInfo("net", "Net", 256, 2, (32,)), 1, (row,), (fired,)))}
    >>> rate = bars["firing rate"]
    >>> rate.low.setting, rate.high.setting, round(rate.high.total_mj / rate.base_mj, 6), rate.extrapolated
    (0.1, 2.0, 2.0, True)
    """
    profile = load_profile(profile)
    base = plain_bill(ledger, profile, rule).total_mj
    verified = [name for name in profiles() if (one := load_profile(name)).verified and one.physical]
    axes = {"profile": _able(lambda name: vary_profile(ledger, rule, [name]), verified)}
    if profile.memory and profile.model == "operations":
        axes["reuse"] = vary_reuse(ledger, profile, rule)
    if ledger.emissions:
        axes["firing rate"] = vary_rate(ledger, profile, rule)
        axes["T"] = (vary_timesteps(model, inputs, profile, rule, batches=batches) if model is not None
                     else tuple(_stretched(ledger, profile, rule, T) for T in TIMESTEPS))
    for one in vary_rule(ledger, profile, rule):
        axes[one.what] = (*axes.get(one.what, ()), one)
    bars = (Bar(axis, base, tuple(found)) for axis, found in axes.items() if found)
    return tuple(sorted(bars, key=lambda bar: -bar.swing_mj))


def _stretched(ledger: Ledger, profile: Profile, rule: Rule, timesteps: int) -> Variation:
    own = ledger.model.timesteps == timesteps
    bill = plain_bill(ledger if own else stretch(ledger, timesteps), profile, rule)
    return variation("T", timesteps, bill, extrapolated=not own)


def _able(vary, names: list[str]) -> tuple[Variation, ...]:
    """Profiles whose formulas find the sizes that they need in the ledger."""
    found: list[Variation] = []
    for name in names:
        try:
            found += vary(name)
        except ValueError:
            continue
    return tuple(found)
