"""The fixed headline, and how far an energy spreads over everything that could be assumed beside it.

    headline    45 nm fp32, arithmetic only, one-sided, shift and add, first convolution at every step, exact taps
    interval    every verified profile that hardware could follow, with arithmetic only; and, where a profile has a
                memory, under every reuse model with every verified memory of its node

A profile with an energy model of its own (memory by Lemaire et al., synapses of a chip) is one setting.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neuromorphic.energy.bill import Bill, Memory, Profile, Rule
from neuromorphic.energy.memory import load_memory, memories, with_memory
from neuromorphic.energy.price import plain_bill, price
from neuromorphic.energy.profile import load_profile, profiles
from neuromorphic.energy.reuse import REUSE
from neuromorphic.ledger import Ledger

HEADLINE_PROFILE = "horowitz45_fp32"


@dataclass(frozen=True)
class Setting:
    """One choice of profile, reuse model and memory. mJ per sample.

    reuse, memory: None for arithmetic alone, and for profiles whose own energy model prices memory.
    rival_mj: the other ledger in the same setting, else the own products as a dense ANN; None where it has no price.
    """

    profile: str
    reuse: str | None
    memory: str | None
    total_mj: float
    rival_mj: float | None
    lower_bound: bool

    @property
    def ratio(self) -> float | None:
        return self.total_mj / self.rival_mj if self.rival_mj else None

    @property
    def name(self) -> str:
        return ", ".join(part for part in (self.profile, self.reuse, self.memory) if part)


@dataclass(frozen=True)
class Span:
    """The headline among all settings. left_out: profiles and reuse models that cannot price this ledger, and why.

    The low ends are taken among settings that price everything, where there is one: a price that is missing makes
    no energy low.
    """

    headline: Setting
    settings: tuple[Setting, ...]
    left_out: tuple[str, ...] = ()

    @property
    def low(self) -> Setting:
        return min(_whole(self.settings), key=lambda setting: setting.total_mj)

    @property
    def high(self) -> Setting:
        return max(self.settings, key=lambda setting: setting.total_mj)

    @property
    def ratio_low(self) -> Setting | None:
        return min(_whole(self._with_ratio), key=lambda one: one.ratio, default=None)

    @property
    def ratio_high(self) -> Setting | None:
        return max(self._with_ratio, key=lambda one: one.ratio, default=None)

    @property
    def _with_ratio(self) -> tuple[Setting, ...]:
        return tuple(setting for setting in self.settings if setting.ratio is not None)


def _whole(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    return tuple(setting for setting in settings if not setting.lower_bound) or settings


def headline(ledger: Ledger) -> Bill:
    """The bill of the fixed setting."""
    return price(ledger, HEADLINE_PROFILE)


def interval(ledger: Ledger, rule: Rule = Rule(), *, against: Ledger | None = None) -> Span:  # noqa: B008
    """The ledger under every setting, by one accounting; `against` is priced the same way for the ratio.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> spikes = Operand(32, 8, 0, smallest=1.0, largest=1.0)
    >>> row = Row("fc", "linear", geometry=(("in", 32), ("out", 8)), left=spikes, dense=256, left_events=64)
    >>> span = interval(Ledger(ModelInfo("net", "Net", 256, 1, (32,)), 1, (row,)))
    >>> span.low.name, span.high.name, round(span.headline.ratio, 4)
    ('horowitz45_int32', 'lemaire2022_qualia', 0.0489)
    """
    settings: list[Setting] = []
    left_out: dict[str, dict[str, None]] = {}
    for profile, reuse in _choices():
        name = ", ".join(part for part in (profile.name, reuse) if part)
        try:
            found = _setting(ledger, against, profile, replace(rule, reuse=reuse))
        except ValueError as error:  # sizes that the formulas need are not in the ledger
            left_out.setdefault(str(error), {})[name] = None
            continue
        if found.total_mj:
            settings.append(found)
        else:
            left_out.setdefault("It has a price for nothing that ran.", {})[name] = None
    fixed = _setting(ledger, against, load_profile(HEADLINE_PROFILE), Rule())
    return Span(fixed, tuple(settings), tuple(f"{'; '.join(names)}: {why}" for why, names in left_out.items()))


def _choices() -> Iterator[tuple[Profile, str | None]]:
    known = [load_memory(name) for name in memories()]
    for profile in map(load_profile, profiles()):
        if not (profile.verified and profile.physical):
            continue
        yield profile, None
        for memory in _memories_of(profile, known):
            for reuse in REUSE:
                yield with_memory(profile, memory), reuse


def _memories_of(profile: Profile, known: list[Memory]) -> list[Memory]:
    if profile.memory is None:
        return []
    return [memory for memory in known if memory.verified and memory.node_nm == profile.node_nm]


def _setting(ledger: Ledger, against: Ledger | None, profile: Profile, rule: Rule) -> Setting:
    bill = plain_bill(ledger, profile, rule)
    rival = plain_bill(against, profile, rule).total_mj if against else bill.ann_mj
    if profile.pj("MAC") is None:
        rival = None  # a chip of synapses has no price for a dense ANN
    return Setting(profile.name, rule.reuse, profile.memory.name if rule.reuse else None, bill.total_mj, rival or None,
                   bill.lower_bound)
