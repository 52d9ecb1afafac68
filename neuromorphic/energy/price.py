"""Prices a ledger: joules = rule(ledger) times profile, by the energy model that the profile is for."""

from dataclasses import replace
from pathlib import Path

from neuromorphic.energy.bill import Bill, Profile, Rule
from neuromorphic.energy.models import MODELS
from neuromorphic.energy.profile import load_profile
from neuromorphic.ledger import Ledger

ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "shift_accounting": ("shift_only",),
    "spike_spike": ("coincidence", "dense"),
    "graded": ("unit_ac",),
    "first_conv": ("once",),
    "taps": ("padded",),
}


def price(ledger: Ledger, profile: Profile | str | Path, rule: Rule = Rule()) -> Bill:  # noqa: B008 - a frozen record
    """The bill of a ledger at the prices of a profile (an object, a built-in name, or the path of a TOML file).

    The model's own lines, those of the same network as a dense ANN, and the total under each other rule.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> spikes = Operand(numel=16, positive=4, negative=0, smallest=1.0, largest=1.0)
    >>> row = Row("fc", "linear", left=spikes, dense=64, left_events=16, right_events=64, coincidence=16)
    >>> bill = price(Ledger(ModelInfo("net", "Net", 32, 1, (8,)), samples=2, rows=(row,)), "horowitz45_fp32")
    >>> bill.counts, round(bill.total_mj * 1e9, 6), round(bill.ann_mj * 1e9, 6)     # 16 AC and 64 MAC over 2 samples
    ({'AC': 16}, 7.2, 147.2)
    """
    if not isinstance(ledger, Ledger):
        raise TypeError(f"price: ledger must be a Ledger, got {type(ledger).__name__}. Use trace(model, inputs).")
    profile = load_profile(profile)
    model = MODELS[profile.model]
    bill = Bill(
        ledger=ledger,
        profile=profile,
        rule=rule,
        lines=model.lines(ledger, profile, rule),
        ann_lines=model.ann_lines(ledger, profile),
    )
    others = {
        f"{field}={value}": replace(bill, lines=model.lines(ledger, profile, replace(rule, **{field: value}))).total_mj
        for field, values in ALTERNATIVES.items()
        for value in values
    }
    return replace(bill, alternatives=others)
