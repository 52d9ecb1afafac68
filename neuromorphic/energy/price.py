"""Prices a ledger: joules = rule(ledger) times profile, by the energy model that the profile is for.

    E = arithmetic + memory under the reuse model of the rule + leakage * latency        the last two only if asked for
"""

from dataclasses import replace
from pathlib import Path

from neuromorphic.energy import movement
from neuromorphic.energy.bill import Bill, Line, Profile, Rule
from neuromorphic.energy.models import MODELS
from neuromorphic.energy.profile import LEAKAGE, load_profile
from neuromorphic.ledger import Ledger

ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "shift_accounting": ("shift_only",),
    "spike_spike": ("coincidence", "dense"),
    "graded": ("unit_ac",),
    "first_conv": ("once",),
    "taps": ("padded",),
}


def price(
    ledger: Ledger, profile: Profile | str | Path, rule: Rule = Rule(), *, reuse: str | None = None  # noqa: B008
) -> Bill:
    """The bill of a ledger at the prices of a profile (an object, a built-in name, or the path of a TOML file).

    The model's own lines, those of the same network as a dense ANN, and the total under each other rule. `reuse`
    names the reuse model by which both are charged for memory; it is short for that field of the rule.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> spikes = Operand(numel=16, positive=4, negative=0, smallest=1.0, largest=1.0)
    >>> row = Row("fc", "linear", left=spikes, dense=64, left_events=16, right_events=64, coincidence=16)
    >>> bill = price(Ledger(ModelInfo("net", "Net", 32, 1, (8,)), samples=2, rows=(row,)), "horowitz45_fp32")
    >>> bill.counts, round(bill.total_mj * 1e9, 6), round(bill.ann_mj * 1e9, 6)     # 16 AC and 64 MAC over 2 samples
    ({'AC': 16}, 7.2, 147.2)
    """
    if not isinstance(ledger, Ledger):
        raise TypeError(f"price: ledger must be a Ledger, got {type(ledger).__name__}. Use trace(model, inputs).")
    rule = replace(rule, reuse=reuse) if reuse else rule
    bill = plain_bill(ledger, load_profile(profile), rule)
    others = {
        f"{field}={value}": replace(bill, lines=lines(ledger, bill.profile, replace(rule, **{field: value}))).total_mj
        for field, values in ALTERNATIVES.items()
        for value in values
    }
    return replace(bill, alternatives=others)


def plain_bill(ledger: Ledger, profile: Profile, rule: Rule) -> Bill:
    """A bill without the totals under other rules."""
    return Bill(ledger, profile, rule, lines(ledger, profile, rule), ann_lines(ledger, profile, rule))


def lines(ledger: Ledger, profile: Profile, rule: Rule) -> tuple[Line, ...]:
    """The model as it ran."""
    found = MODELS[profile.model].lines(ledger, profile, rule) + _leakage(ledger, profile, rule)
    return found + movement.lines(movement.traffic(ledger, profile, rule), profile) if rule.reuse else found


def ann_lines(ledger: Ledger, profile: Profile, rule: Rule) -> tuple[Line, ...]:
    """Its products as a dense ANN, run once. Its latency is unknown, so it is charged no leakage."""
    found = MODELS[profile.model].ann_lines(ledger, profile)
    return found + movement.lines(movement.ann_traffic(ledger, profile, rule), profile) if rule.reuse else found


def _leakage(ledger: Ledger, profile: Profile, rule: Rule) -> tuple[Line, ...]:
    """mW * ms = 1e6 pJ for each sample."""
    if not rule.latency_ms:
        return ()
    power = profile.constants.get(LEAKAGE)
    pj = power.value * rule.latency_ms * 1e6 if power else None
    return (Line("", "leakage", "LEAKAGE", ledger.samples, pj),)
