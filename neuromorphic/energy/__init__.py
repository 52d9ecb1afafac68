"""Prices: joules = rule(ledger) times profile. `price` makes the bill, profiles are data files.

`published` makes the bill of a paper's table by its convention, `check_table` looks for slips in one.
"""

from neuromorphic.energy.baselines import Baseline, baselines, bits_for, quantised_profile
from neuromorphic.energy.bill import CLASSES, MEANING, Bill, Constant, Line, Price, Profile, Rule
from neuromorphic.energy.break_even import Point, break_even, curve, firing, operating_point
from neuromorphic.energy.conventions import CONVENTIONS, Convention, LayerRate, first_convolution
from neuromorphic.energy.lint import Finding, check_table
from neuromorphic.energy.price import price
from neuromorphic.energy.profile import load_profile, profiles
from neuromorphic.energy.published import published
from neuromorphic.energy.rule import operation_counts
from neuromorphic.energy.sensitivity import (
    Variation,
    stretch,
    vary_profile,
    vary_rate,
    vary_rule,
    vary_timesteps,
)
from neuromorphic.energy.statistics import (
    Checkpoints,
    Interval,
    PairedRatio,
    Statistics,
    describe,
    over_checkpoints,
    paired_ratio,
    sample_energies,
    settled,
)

__all__ = [
    "CLASSES",
    "CONVENTIONS",
    "MEANING",
    "Baseline",
    "Bill",
    "Checkpoints",
    "Constant",
    "Convention",
    "Finding",
    "Interval",
    "LayerRate",
    "Line",
    "PairedRatio",
    "Point",
    "Price",
    "Profile",
    "Rule",
    "Statistics",
    "Variation",
    "baselines",
    "bits_for",
    "break_even",
    "check_table",
    "curve",
    "describe",
    "firing",
    "first_convolution",
    "load_profile",
    "operating_point",
    "operation_counts",
    "over_checkpoints",
    "paired_ratio",
    "price",
    "profiles",
    "published",
    "quantised_profile",
    "sample_energies",
    "settled",
    "stretch",
    "vary_profile",
    "vary_rate",
    "vary_rule",
    "vary_timesteps",
]
