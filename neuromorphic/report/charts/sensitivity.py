"""What the energy hangs on: one assumption at a time moved as far as it goes, longest bar on top (a tornado).

    firing rate x 0.1 to 2, T = 1 to 8, every built-in profile, memory reuse, and each other rule of accounting
    hatched: computed from the run that was made, not run
"""

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from neuromorphic import energy
from neuromorphic.energy.bill import Bill
from neuromorphic.energy.sensitivity import Variation

from .. import facts, svg, text
from ..record import Entry
from ..table import Cell, Column, Table
from . import span

KEY = (("lower", "cheaper"), ("higher", "dearer"), ("hatched", "extrapolated, not run"))
TITLES = {"firing rate": "firing rate", "T": "time steps", "profile": "price profile", "reuse": "memory reuse"}


def variations(entry: Entry, bill: Bill) -> tuple[Variation, ...]:
    """Those of the record where they are at these prices, else from the ledger alone; () where it holds no evidence."""
    if entry.variations and bill is entry.bills[0]:
        return _on_one_scale(entry.variations, entry, bill)
    if not entry.ledger.rows or bill.total_mj <= 0:
        return ()
    return energy.vary(entry.ledger, bill.profile, bill.rule)


def _on_one_scale(found: Sequence[Variation], entry: Entry, bill: Bill) -> tuple[Variation, ...]:
    """T was run again on fewer samples: its energies are taken relative to the one at the model's own T."""
    own = next((one.total_mj for one in found if (one.what, one.setting) == ("T", entry.model.timesteps)), None)
    factor = bill.total_mj / own if own else 1.0
    return tuple(replace(one, total_mj=one.total_mj * factor, ann_mj=one.ann_mj * factor) if one.what == "T" else one
                 for one in found)


def setting(one: Variation) -> str:
    """The changed assumption in words.

    >>> setting(Variation("firing rate", 0.5, 1.0, 1.0, False)), setting(Variation("taps", "padded", 1.0, 1.0, False))
    ('× 0.5', 'on padding too')
    >>> setting(Variation("profile", "jouppi2021_7nm", 1.0, 1.0, False))
    'jouppi2021_7nm (not verified)'
    """
    if one.what == "profile" and one.setting in energy.profiles():
        profile = energy.load_profile(one.setting)
        doubt = "" if profile.verified else " (not verified)"
        return f"{one.setting}{doubt}{'' if profile.physical else ' (unphysical)'}"
    if one.what in facts.RULES and one.what not in TITLES:
        words = facts.RULES[one.what][1]
        return words.get(one.setting, str(one.setting))
    return {"firing rate": f"× {one.setting}", "T": f"T = {one.setting}"}.get(one.what, str(one.setting))


def _groups(found: Sequence[Variation], own: float) -> list[tuple[str, list[Variation]]]:
    """Variations by what they change, the widest first; what changes nothing is left to the table."""
    groups: dict[str, list[Variation]] = {}
    for one in found:
        if one.total_mj > 0:
            groups.setdefault(one.what, []).append(one)
    moved = [(what, ones) for what, ones in groups.items() if _reach(ones, own) > 1 + 1e-9]
    return sorted(moved, key=lambda group: -_reach(group[1], own))


def _ends(ones: Sequence[Variation]) -> tuple[Variation, Variation]:
    """The cheapest, among settings that price everything where there is one, and the dearest."""
    whole = [one for one in ones if not one.lower_bound] or ones
    return min(whole, key=lambda one: one.total_mj), max(ones, key=lambda one: one.total_mj)


def _reach(ones: Sequence[Variation], own: float) -> float:
    low, high = _ends(ones)
    return max(high.total_mj, own) / min(low.total_mj, own)


def draw(bill: Bill, found: Sequence[Variation]) -> Markup | None:
    """The tornado; None where nothing moves the energy."""
    groups = _groups(found, bill.total_mj)
    if not groups:
        return None
    own = facts.total_pj(bill)
    values = [one.total_mj * facts.PJ_PER_MJ for _, ones in groups for one in ones] + [own]
    axis = span.axis(values, text.energy, "energy per sample")
    return span.draw(axis, [_row(what, ones, own) for what, ones in groups], own,
                     f"What the energy hangs on, {bill.profile.title}")


def title(what: str) -> str:
    return TITLES.get(what) or facts.RULES.get(what, (what,))[0]


def _row(what: str, ones: Sequence[Variation], own: float) -> span.Row:
    pj = facts.PJ_PER_MJ
    ordered = sorted(ones, key=lambda one: one.total_mj)
    low, high = _ends(ones)
    reaches = []
    for end, style in ((low, "lower"), (high, "higher")):
        value = end.total_mj * pj
        if (value < own) if style == "lower" else (value > own):
            reaches.append(span.Reach(own, value, f"{style} hatched" if end.extrapolated else style, _tip(end)))
    dots = tuple(span.Dot(one.total_mj * pj, "tick", _tip(one)) for one in ordered)
    least, most = (min(own, low.total_mj * pj), max(own, high.total_mj * pj))
    named = [setting(one) for one in sorted(ones, key=lambda one: (str(type(one.setting)), one.setting))]
    words = named[0] if len(named) == 1 else f"{named[0]} to {named[-1]}" if what in ("firing rate", "T") else ""
    note = ", ".join(filter(None, (words, "extrapolated" if any(one.extrapolated for one in ones) else "")))
    return span.Row(title(what), tuple(reaches), dots, f"{text.energy(least)} to {text.energy(most)}", note)


def _tip(one: Variation) -> str:
    sign = "≥ " if one.lower_bound else ""
    return f"{setting(one)}: {sign}{text.exact(one.total_mj * facts.PJ_PER_MJ)}" \
           f"{' (extrapolated)' if one.extrapolated else ''}"


def key() -> Markup:
    return svg.legend(KEY)


def numbers(bill: Bill, found: Sequence[Variation]) -> Table:
    """Every variation, its energy, what that is of the energy as reported, and whether it was run."""
    columns = (Column("assumption", "what was changed", number=False), Column("setting", "to what", number=False),
               Column("energy", "per sample"), Column("÷ reported", "over the energy as reported"),
               Column("÷ own dense ANN", "over the same products as a dense ANN at one step, same prices"),
               Column("how", "run or computed from the run", number=False))
    rows = []
    for one in found:
        change = one.total_mj / bill.total_mj if bill.total_mj else None
        sign = "≥ " if one.lower_bound else ""
        rows.append((Cell(title(one.what)), Cell(setting(one)),
                     Cell(sign + text.energy(one.total_mj * facts.PJ_PER_MJ), one.total_mj),
                     Cell(text.ratio(change), change), Cell(text.ratio(one.ratio), one.ratio),
                     Cell("extrapolated" if one.extrapolated else "counted")))
    return Table(columns, tuple(rows))
