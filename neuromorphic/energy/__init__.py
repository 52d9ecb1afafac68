"""Prices: joules = rule(ledger) times profile. `price` makes the bill, profiles are data files."""

from neuromorphic.energy.bill import CLASSES, MEANING, Bill, Line, Price, Profile, Rule
from neuromorphic.energy.break_even import Point, break_even, curve, firing, operating_point
from neuromorphic.energy.price import price
from neuromorphic.energy.profile import load_profile, profiles
from neuromorphic.energy.rule import operation_counts

__all__ = [
    "CLASSES",
    "MEANING",
    "Bill",
    "Line",
    "Point",
    "Price",
    "Profile",
    "Rule",
    "break_even",
    "curve",
    "firing",
    "load_profile",
    "operating_point",
    "operation_counts",
    "price",
    "profiles",
]
