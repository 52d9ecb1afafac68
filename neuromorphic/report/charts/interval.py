"""The headline among its alternatives: the first model under every verified profile and every reuse model.

One row for each profile: a dot for arithmetic alone (or for a profile whose own energy model prices memory), and where
the profile has memories a stretch over all reuse models and memories. The line through all rows is the headline.
"""

from collections.abc import Sequence

from markupsafe import Markup

from neuromorphic.energy import Setting, Span, load_profile

from .. import facts, svg, text
from ..table import Cell, Column, Table
from . import span

KEY = (("fixed", "headline setting"), ("plain", "arithmetic alone, or the profile's own model"),
       ("memory", "with memory, every reuse model"))


def draw(found: Span) -> Markup:
    """Profiles from the cheapest to the dearest arithmetic."""
    groups: dict[str, list[Setting]] = {}
    for setting in found.settings:
        groups.setdefault(setting.profile, []).append(setting)
    ordered = sorted(groups.items(), key=lambda group: min(one.total_mj for one in group[1]))
    axis = span.axis([one.total_mj * facts.PJ_PER_MJ for one in found.settings], text.energy, "energy per sample")
    return span.draw(axis, [_row(profile, ones, found) for profile, ones in ordered],
                     found.headline.total_mj * facts.PJ_PER_MJ, "Energy per sample under every verified profile")


def _row(profile: str, ones: Sequence[Setting], found: Span) -> span.Row:
    pj = facts.PJ_PER_MJ
    low, high = (end(ones, key=lambda one: one.total_mj) for end in (min, max))
    moved = [one for one in ones if one.reuse]
    reaches = ()
    if moved:
        ends = sorted(one.total_mj * pj for one in moved)
        reaches = (span.Reach(ends[0], ends[-1], "reach", f"with memory: {text.exact(ends[0])} to "
                                                          f"{text.exact(ends[-1])}"),)
    dots = tuple(span.Dot(one.total_mj * pj, _style(one, found), _tip(one)) for one in ones)
    words = amount(low) if low is high else f"{amount(low)} to {text.energy(high.total_mj * pj)}"
    return span.Row(profile, reaches, dots, words)


def _style(one: Setting, found: Span) -> str:
    if one == found.headline:
        return "fixed"
    return "memory" if one.reuse else "plain"


def amount(one: Setting, digits: int = 3) -> str:
    return f"{'≥ ' if one.lower_bound else ''}{text.energy(one.total_mj * facts.PJ_PER_MJ, digits)}"


def _tip(one: Setting) -> str:
    how = " with ".join(filter(None, (one.reuse, one.memory))) or "arithmetic alone, or its own memory"
    ratio = "" if one.ratio is None else f"; {text.significant(one.ratio)} times the baseline"
    return f"{how}: {amount(one, 6)}{ratio}"


def key() -> Markup:
    return svg.legend(KEY)


def numbers(found: Span) -> Table:
    """Energy and ratio in every setting."""
    columns = (Column("profile", "prices in use", number=False),
               Column("reuse", "how often words cross their memory; a dash for arithmetic alone", number=False),
               Column("memory", "memories in use", number=False), Column("energy", "per sample"),
               Column("ratio", "over the baseline in the same setting"))
    return Table(columns, tuple(
        (Cell(one.profile), Cell(one.reuse or text.NOTHING), Cell(one.memory or text.NOTHING),
         Cell(amount(one), one.total_mj), Cell(text.ratio(one.ratio), one.ratio)) for one in found.settings))


def sources(found: Span) -> str:
    """Where the prices of each profile come from, each source once."""
    named: dict[str, list[str]] = {}
    for name in dict.fromkeys(one.profile for one in found.settings):
        named.setdefault(load_profile(name).source, []).append(name)
    return "Prices: " + "; ".join(f"{', '.join(names)} from {source}" for source, names in named.items()) + "."
