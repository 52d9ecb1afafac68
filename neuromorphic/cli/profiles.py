"""`spikeattn energy profiles`: the prices that come with the package."""

from typing import TYPE_CHECKING

from neuromorphic.cli.console import JsonFlag, print_json

if TYPE_CHECKING:
    from neuromorphic.energy import Profile


def profiles(as_json: JsonFlag = False) -> None:
    """List the price profiles.

    Example: spikeattn energy profiles
    """
    from neuromorphic.energy import load_profile
    from neuromorphic.energy import profiles as names

    found = [load_profile(name) for name in names()]
    if as_json:
        print_json([_plain(profile) for profile in found])
        return
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    columns = (Column("profile", "", number=False), Column("title", "", number=False), Column("MAC [pJ]", ""),
               Column("AC [pJ]", ""), Column("memory", "", number=False), Column("verified", "", number=False),
               Column("source", "", number=False))
    cells = tuple((Cell(p.name), Cell(p.title), Cell(_pj(p, "MAC")), Cell(_pj(p, "AC")), Cell(_memory(p)),
                   Cell("yes" if p.verified else "no"), Cell(p.source)) for p in found)
    output().print(rich_table(Table(columns, cells)))


def _plain(profile: "Profile") -> dict:
    return {
        "name": profile.name, "title": profile.title, "node_nm": profile.node_nm, "date": profile.date,
        "source": profile.source, "verified": profile.verified, "physical": profile.physical, "model": profile.model,
        "memory": profile.memory.name if profile.memory else None,
        "prices_pj": {name: price.pj for name, price in profile.prices.items()},
        "constants": {name: constant.value for name, constant in profile.constants.items()},
    }  # fmt: skip


def _pj(profile: "Profile", operation: str) -> str:
    value = profile.pj(operation)
    return "–" if value is None else f"{value:g}"


def _memory(profile: "Profile") -> str:
    """Where memory is priced: by a reuse model, by the profile's own energy model, or nowhere."""
    return profile.memory.name if profile.memory else "own model" if profile.model != "operations" else "–"
