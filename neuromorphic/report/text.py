"""Numbers and names as a reader sees them: a unit beside every energy, three digits that mean something."""

import unicodedata
from collections.abc import Iterable

ENERGY_UNITS = (("pJ", 1.0), ("nJ", 1e3), ("µJ", 1e6), ("mJ", 1e9), ("J", 1e12))
COUNT_UNITS = (("", 1.0), (" k", 1e3), (" M", 1e6), (" G", 1e9), (" T", 1e12))
NOTHING = "–"
OBEYED = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")  # categories of Unicode that change how other letters are shown


def visible(name: object, longest: int = 400) -> str:
    """The name with every control, format and surrogate character replaced, and cut if very long.

    A terminal escape sequence, a line break or a right-to-left override in a layer's name then cannot
    change how anything around it is shown.

    >>> visible("attn" + chr(27) + "[31m" + chr(8238) + "q")
    'attn�[31m�q'
    """
    text = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(letter) in OBEYED else letter
                   for letter in str(name))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def significant(value: float, digits: int = 3) -> str:
    """The value with so many significant digits, thousands separated, never in exponent form.

    >>> significant(0.012345), significant(12.3456), significant(12345.6), significant(0)
    ('0.0123', '12.3', '12,346', '0')
    """
    if value == 0:
        return "0"
    rounded = f"{abs(value):.{digits - 1}e}"
    decimals = max(0, digits - 1 - int(rounded.split("e")[1]))
    return f"{value:,.{decimals}f}"


def energy_unit(energies_pj: Iterable[float]) -> tuple[str, float]:
    """The unit, and its size in pJ, in which the largest of the energies reads as 1 to 999.

    >>> energy_unit([0.2, 4600.0])
    ('nJ', 1000.0)
    """
    largest = max((abs(value) for value in energies_pj), default=0.0)
    return next((unit for unit in reversed(ENERGY_UNITS) if largest >= unit[1]), ENERGY_UNITS[0])


def energy(energy_pj: float, digits: int = 3) -> str:
    """One energy with the unit that suits it.

    >>> energy(7.4635e9)
    '7.46 mJ'
    """
    unit, size = energy_unit([energy_pj])
    return f"{significant(energy_pj / size, digits)} {unit}"


def exact(energy_pj: float) -> str:
    """The same with as many digits as anyone will copy: what a mark says when it is pointed at.

    >>> exact(7463502601.9)
    '7.46350 mJ'
    """
    return energy(energy_pj, 6)


def count(value: float) -> str:
    """A count in thousands, millions or milliards; below ten thousand as it is.

    >>> count(9_320_000), count(4096)
    ('9.32 M', '4,096')
    """
    if abs(value) < 10_000:
        return f"{value:,.0f}" if value == int(value) else significant(value)
    suffix, size = next(unit for unit in reversed(COUNT_UNITS) if abs(value) >= unit[1])
    return f"{significant(value / size)}{suffix}"


def percent(fraction: float | None, decimals: int = 1) -> str:
    """A fraction as a percentage; a dash when there is none.

    >>> percent(0.9654), percent(None)
    ('96.5 %', '–')
    """
    return NOTHING if fraction is None else f"{100 * fraction:.{decimals}f} %"


def ratio(value: float | None) -> str:
    """A ratio with its sign of multiplication; a dash when there is none.

    >>> ratio(0.4816)
    '0.482 ×'
    """
    return NOTHING if value is None else f"{significant(value)} ×"


def some(names: Iterable[str], most: int = 3) -> str:
    """The first names and how many more there are; one more is named rather than counted.

    >>> some("abcd"), some("abcde")
    ('a, b, c, d', 'a, b, c and 2 more')
    """
    names = [name or "(model)" for name in names]
    shown = names if len(names) <= most + 1 else names[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(shown) < len(names) else "")
