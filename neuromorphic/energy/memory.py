"""Memories: TOML files, ours (energy/memories/*.toml) and the user's. A profile names the one it is used with.

    name = "my_sram"                        # fields of `Memory`
    title = "My SRAM"
    node_nm = 28
    date = "2025-01"
    source = "data sheet, table 4"
    verified = false

    [levels.buffer]                         # one table for each memory; the first that holds a tensor has it
    capacity_bytes = 65536                  # left out: holds everything
    pj_per_64bit = 12.0
    source = "table 4"
    verified = true

    energy of a word = bits / 64 * pj_per_64bit          accesses of 64 bits, filled with words

A level named "register" holds what a reuse model keeps at the arithmetic; left out or at 0 pJ it costs nothing.
"""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from neuromorphic.energy.bill import Level, Memory, Profile
from neuromorphic.energy.tables import parse, read, record
from spikeattn.errors import nearest

BUILT_IN = files("neuromorphic.energy") / "memories"
REGISTER = "register"


def memories() -> list[str]:
    """Names of the built-in memories.

    >>> memories()
    ['horowitz45_dram1300', 'horowitz45_dram2600', 'jouppi2021_7nm']
    """
    return sorted(entry.name.removesuffix(".toml") for entry in BUILT_IN.iterdir() if entry.name.endswith(".toml"))


def load_memory(memory: Memory | str | Path, beside: Path | None = None) -> Memory:
    """A memory from itself, a built-in name, or the path of a TOML file (relative to the folder `beside`).

    >>> level_for(load_memory("horowitz45_dram1300"), 100_000).name
    'sram_1MiB'
    """
    if isinstance(memory, Memory):
        return memory
    if not isinstance(memory, (str, Path)):
        raise TypeError(f"energy: memory must be a Memory, a name or a path, got {type(memory).__name__}. {_hint()}")
    if isinstance(memory, str) and memory in memories():
        return _parse((BUILT_IN / f"{memory}.toml").read_text(encoding="utf-8"), memory)
    path = Path(memory)
    if path.suffix != ".toml":
        raise ValueError(
            f"energy: the memory must be a known one, got {str(memory)!r}. {nearest(memory, memories())} {_hint()}"
        )
    return _parse(read((beside or Path()) / path, "memory"), str(path))


def with_memory(profile: Profile, memory: Memory | str | Path) -> Profile:
    """The same prices with another memory.

    >>> from neuromorphic.energy.profile import load_profile
    >>> with_memory(load_profile("horowitz45_fp32"), "horowitz45_dram2600").memory.levels[-1].pj_per_64bit
    2600.0
    """
    if not profile.word_bits:
        raise ValueError(f"with_memory: profile {profile.name} must give [word_bits], got none. "
                         "Say how wide a weight, an activation and an accumulator are.")
    return replace(profile, memory=load_memory(memory))


def level_for(memory: Memory, size_bytes: float) -> Level | None:
    """The smallest memory that holds so many bytes, registers apart; None where none does."""
    able = (level for level in memory.levels if level.name != REGISTER)
    return next((level for level in able if level.capacity_bytes is None or size_bytes <= level.capacity_bytes), None)


def _hint() -> str:
    return f"Built-in memories: {', '.join(memories())}; or give the path of a .toml file."


def _parse(text: str, where: str) -> Memory:
    plain = parse(text, f"memory {where}")
    levels = plain.get("levels")
    if not isinstance(levels, dict) or not levels:
        raise ValueError(f"energy: memory {where} must have levels, got none. Add a table such as [levels.dram].")
    named = [record(Level, {"name": name, **level} if isinstance(level, dict) else level, f"{where} [levels.{name}]")
             for name, level in levels.items()]
    smallest_first = sorted(named, key=lambda x: (x.name != REGISTER, x.capacity_bytes is None, x.capacity_bytes or 0))
    return record(Memory, {**plain, "levels": tuple(smallest_first)}, where)
