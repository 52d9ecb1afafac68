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
its numbers under [constants.<name>], each with value, unit, source and verified.
"""

import math
import tomllib
from dataclasses import MISSING, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from neuromorphic.energy.bill import CLASSES, Constant, Price, Profile
from neuromorphic.energy.models import MODELS
from spikeattn.errors import nearest

BUILT_IN = files("neuromorphic.energy") / "profiles"
NUMBER = (int, float)
TYPES = {"pj": NUMBER, "value": NUMBER, "node_nm": int, "verified": bool, "prices": dict, "constants": dict}


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
        return _parse((BUILT_IN / f"{profile}.toml").read_text(encoding="utf-8"), profile)
    path = Path(profile)
    if path.suffix != ".toml":
        raise ValueError(
            f"energy: the profile must be a known one, got {str(profile)!r}. {nearest(profile, profiles())} {_hint()}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"energy: profile {path} must be readable TOML, got {error}. Check the path.") from error
    return _parse(text, str(path))


def _hint() -> str:
    return f"Built-in profiles: {', '.join(profiles())}; or give the path of a .toml file."


def _parse(text: str, where: str) -> Profile:
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"energy: profile {where} must be valid TOML, got {error}. Correct that line.") from error
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
    records = {
        "prices": {name: _record(Price, price, f"{where} [prices.{name}]") for name, price in prices.items()},
        "constants": {name: _record(Constant, one, f"{where} [constants.{name}]") for name, one in constants.items()},
    }
    profile = _record(Profile, {**plain, **records}, where)
    _check_model(profile, where)
    return profile


def _check_model(profile: Profile, where: str) -> None:
    """The energy model exists, and it finds the constants that it needs and no others."""
    if profile.model not in MODELS:
        raise ValueError(f"energy: {where} model must be one of {', '.join(MODELS)}, got {profile.model!r}. Rename it.")
    needed, given = set(MODELS[profile.model].constants), set(profile.constants)
    if needed != given:
        raise ValueError(
            f"energy: {where} must give the constants {sorted(needed)} of model {profile.model!r}, got missing "
            f"{sorted(needed - given)}, unknown {sorted(given - needed)}. Write [constants.<name>]."
        )


def _record(cls: type, plain: Any, where: str) -> Any:
    """A frozen record from a table, its keys and types checked."""
    if not isinstance(plain, dict):
        raise ValueError(f"energy: {where} must be a table, got {plain!r}. Write pj, source and verified under it.")
    known = {field.name for field in fields(cls)}
    needed = {field.name for field in fields(cls) if field.default is field.default_factory is MISSING}
    missing, unknown = sorted(needed - plain.keys()), sorted(plain.keys() - known)
    if missing or unknown:
        raise ValueError(
            f"energy: {where} must have the keys {sorted(needed)}, got missing {missing}, unknown {unknown}. "
            "Add or rename them."
        )
    for name, value in plain.items():
        allowed = TYPES.get(name, str)
        if not isinstance(value, allowed) or (isinstance(value, bool) and allowed is not bool):
            raise ValueError(f"energy: {where} {name} has the wrong type, got {value!r}. See any built-in profile.")
        if name in ("pj", "value") and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"energy: {where} {name} must be finite and not negative, got {value}. Correct it.")
    return cls(**plain)
