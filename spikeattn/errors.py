"""Words that error messages share."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: object, known: Iterable[str]) -> str:
    """`known` as a sentence of advice: the names most like `name`, or else a dozen of them.

    >>> nearest("ssb", ["bsa", "ssa"]), nearest("x", ["bsa", "ssa"])
    ('Did you mean ssa?', 'Known: bsa, ssa.')
    """
    names = sorted(known)
    close = get_close_matches(str(name), names, n=3, cutoff=0.4)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"Known: {', '.join(names[:12])}{more}."
