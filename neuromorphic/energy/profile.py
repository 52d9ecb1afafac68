"""Price profiles: TOML files, ours (energy/profiles/*.toml) and the user's, read by one loader.

    name = "my_chip"                        # fields of `Profile`
    title = "My chip, 8 bit"
    node_nm = 28
    date = "2025-01"
    source = "data sheet, table 3"
    verified = false

    [prices.MAC]                            # one table for each class of operation (energy.bill.CLASSES)
    pj = 0.5
    source = "table 3"
    verified = true

An energy model that needs more than prices is named by `model` (energy.models; "operations" if left out) and finds
its numbers under [constants.<name>], each with value, unit, source and verified. The constant `leakage_mw` is for
any of them. With memory (energy.memory, a built-in name or a path relative to this file):

    memory = "horowitz45_dram1300"

    [word_bits]                             # width of the words that are read and written
    weight = 8
    activation = 8
    accumulator = 32
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from neuromorphic.energy.bill import CLASSES, Constant, Price, Profile
from neuromorphic.energy.memory import load_memory
from neuromorphic.energy.models import MODELS
from neuromorphic.energy.tables import parse, read, record
from spikeattn.errors import nearest

BUILT_IN = files("neuromorphic.energy") / "profiles"
WORDS = ("weight", "activation", "accumulator")
LEAKAGE = "leakage_mw"  # a constant that any profile may have


def profiles() -> list[str]:
    """Names of the built-in profiles.

    >>> "horowitz45_fp32" in profiles()
    True
    """
    return sorted(entry.name.removesuffix(".toml") for entry in BUILT_IN.iterdir() if entry.name.endswith(".toml"))


def load_profile(profile: Profile | str | Path) -> Profile:
    """A profile from itself, from the name of a built-in one, or from the path of a TOML file.

    >>> load_profile("horowitz45_fp32").pj("MAC")
    4.6
    """
    if isinstance(profile, Profile):
        return profile
    if not isinstance(profile, (str, Path)):
        raise TypeError(f"energy: profile must be a Profile, a name or a path, got {type(profile).__name__}. {_hint()}")
    if isinstance(profile, str) and profile in profiles():
        return _built_in(profile)
    path = Path(profile)
    if path.suffix != ".toml":
        raise ValueError(
            f"energy: the profile must be a known one, got {str(profile)!r}. {nearest(profile, profiles())} {_hint()}"
        )
    found = _parse(read(path, "profile"), str(path), path.parent)
    if found.name in profiles():
        raise ValueError(f"energy: profile {path} must have a name of its own, got {found.name!r}, which is a built-in "
                         "one. Rename it.")
    return found


@cache
def _built_in(name: str) -> Profile:
    """A profile of ours, read once: a report asks for it hundreds of times."""
    return _parse((BUILT_IN / f"{name}.toml").read_text(encoding="utf-8"), name)


def _hint() -> str:
    return f"Built-in profiles: {', '.join(profiles())}; or give the path of a .toml file."


def _parse(text: str, where: str, beside: Path | None = None) -> Profile:
    plain = parse(text, f"profile {where}")
    prices = plain.get("prices", {})
    if not isinstance(prices, dict) or not prices:
        raise ValueError(f"energy: profile {where} must have prices, got none. Add a table such as [prices.MAC].")
    for name in prices:
        if name not in CLASSES:
            raise ValueError(
                f"energy: profile {where} must price known classes, got {name!r}. {nearest(name.upper(), CLASSES)}"
            )
    constants = plain.get("constants", {})
    if not isinstance(constants, dict):
        raise ValueError(f"energy: {where} constants must be tables, got {constants!r}. Write [constants.<name>].")
    records: dict[str, Any] = {
        "prices": {name: record(Price, price, f"{where} [prices.{name}]") for name, price in prices.items()},
        "constants": {name: record(Constant, one, f"{where} [constants.{name}]") for name, one in constants.items()},
    }
    if "memory" in plain:
        _check_words(plain.get("word_bits"), where)
        records["memory"] = load_memory(plain["memory"], beside)
    profile = record(Profile, {**plain, **records}, where)
    _check_model(profile, where)
    return profile


def _check_words(bits: Any, where: str) -> None:
    good = isinstance(bits, dict) and set(bits) == set(WORDS) and all(type(n) is int and n > 0 for n in bits.values())
    if not good:
        raise ValueError(f"energy: {where} with a memory must give the bits of {', '.join(WORDS)} under [word_bits], "
                         f"got {bits!r}. Write whole numbers above 0.")


def _check_model(profile: Profile, where: str) -> None:
    """The energy model exists, and it finds the constants that it needs and, leakage apart, no others."""
    if profile.model not in MODELS:
        raise ValueError(f"energy: {where} model must be one of {', '.join(MODELS)}, got {profile.model!r}. Rename it.")
    needed, given = set(MODELS[profile.model].constants), set(profile.constants) - {LEAKAGE}
    if needed != given:
        raise ValueError(
            f"energy: {where} must give the constants {sorted(needed)} of model {profile.model!r}, got missing "
            f"{sorted(needed - given)}, unknown {sorted(given - needed)}. Write [constants.<name>]."
        )
