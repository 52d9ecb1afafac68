"""What was published about registered models: data beside their sizes, in published.toml.

>>> results("maxformer_10_384")
(Result(data='ImageNet-1K', top1=77.82, T=4, source='MaxFormer paper and logs', mj=4.89, attention='', note=''),)
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Result:
    """One published figure: top1 in percent, mj the energy of one picture in mJ by the source's own rule.

    T: time steps, "1×4" for one step of four levels. attention: where it is not the family's own.
    """

    data: str
    top1: float
    T: int | str
    source: str
    mj: float | None = None
    attention: str = ""
    note: str = ""


def results(name: str) -> tuple[Result, ...]:
    """The published results of a registered model, the main one first; none where nothing was published."""
    return _table().get(name, ())


@cache
def _table() -> dict[str, tuple[Result, ...]]:
    text = (resources.files("spikeattn.models") / "published.toml").read_text(encoding="utf-8")
    return {name: tuple(Result(**row) for row in rows) for name, rows in tomllib.loads(text).items()}
