"""TOML tables to frozen records: one reader, its errors in words."""

import math
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

NUMBER = (int, float)
TYPES = {
    "pj": NUMBER, "value": NUMBER, "pj_per_64bit": NUMBER, "node_nm": int, "capacity_bytes": int, "verified": bool,
    "physical": bool, "prices": dict, "constants": dict, "word_bits": dict, "levels": (list, tuple), "memory": object,
}  # fmt: skip
POSITIVE = ("pj", "value", "pj_per_64bit")


def read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"energy: {what} {path} must be readable TOML, got {error}. Check the path.") from error


def parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"energy: {where} must be valid TOML, got {error}. Correct that line.") from error


def record(cls: type, plain: Any, where: str) -> Any:
    """A frozen record from a table, its keys and types checked."""
    if not isinstance(plain, dict):
        raise ValueError(f"energy: {where} must be a table, got {plain!r}. Write its keys, one on each line.")
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
        if not isinstance(value, allowed) or (isinstance(value, bool) and allowed not in (bool, object)):
            raise ValueError(f"energy: {where} {name} has the wrong type, got {value!r}. See any built-in file.")
        if name in POSITIVE and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"energy: {where} {name} must be finite and not negative, got {value}. Correct it.")
    return cls(**plain)
