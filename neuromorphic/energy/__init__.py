"""Prices: joules = rule(ledger) times profile. `price` makes the bill, profiles are data files.

`price(..., reuse=...)` charges memory too. `headline` is the one fixed setting, `interval` everything beside it, and
`vary` what moves it most. `published` makes the bill of a paper's table by its convention, `check_table` looks for
slips in one.
"""

from neuromorphic.energy.baselines import Baseline, baselines, bits_for, quantised_profile
from neuromorphic.energy.bill import (
    CLASSES,
    MEANING,
    Bill,
    Constant,
    Level,
    Line,
    Memory,
    Price,
    Profile,
    Rule,
)
from neuromorphic.energy.break_even import (
    BreakEven,
    Point,
    break_even,
    break_even_points,
    curve,
    firing,
    operating_point,
)
from neuromorphic.energy.conventions import CONVENTIONS, Convention, LayerRate, first_convolution
from neuromorphic.energy.interval import HEADLINE_PROFILE, Setting, Span, headline, interval
from neuromorphic.energy.lint import Finding, check_table
from neuromorphic.energy.memory import load_memory, memories, with_memory
from neuromorphic.energy.movement import Moved, traffic
from neuromorphic.energy.price import price
from neuromorphic.energy.profile import load_profile, profiles
from neuromorphic.energy.published import published
from neuromorphic.energy.reuse import REUSE, ReuseModel
from neuromorphic.energy.rule import operation_counts
from neuromorphic.energy.sensitivity import (
    Variation,
    stretch,
    vary,
    vary_profile,
    vary_rate,
    vary_reuse,
    vary_rule,
    vary_timesteps,
)
from neuromorphic.energy.shiftmax import ShiftmaxCost, shiftmax_cost
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
from neuromorphic.energy.zero_skipping import SkippedAt, ZeroSkipping, zero_skipping, zero_skipping_curve

__all__ = [
    "CLASSES",
    "CONVENTIONS",
    "HEADLINE_PROFILE",
    "MEANING",
    "REUSE",
    "Baseline",
    "Bill",
    "BreakEven",
    "Checkpoints",
    "Constant",
    "Convention",
    "Finding",
    "Interval",
    "LayerRate",
    "Level",
    "Line",
    "Memory",
    "Moved",
    "PairedRatio",
    "Point",
    "Price",
    "Profile",
    "ReuseModel",
    "Rule",
    "Setting",
    "ShiftmaxCost",
    "SkippedAt",
    "Span",
    "Statistics",
    "Variation",
    "ZeroSkipping",
    "baselines",
    "bits_for",
    "break_even",
    "break_even_points",
    "check_table",
    "curve",
    "describe",
    "firing",
    "first_convolution",
    "headline",
    "interval",
    "load_memory",
    "load_profile",
    "memories",
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
    "shiftmax_cost",
    "stretch",
    "traffic",
    "vary",
    "vary_profile",
    "vary_rate",
    "vary_reuse",
    "vary_rule",
    "vary_timesteps",
    "with_memory",
    "zero_skipping",
    "zero_skipping_curve",
]
