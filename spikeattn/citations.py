"""Whom to cite for a model: the sources of exactly the parts in it.

A part names its source in its class attribute `citation`: a key of citations.bib, BibTeX text of its own (which
begins with "@", so that a new part stays one file), or a tuple of them. Parts without a source of their own, such as
a plain LIF, have none.
"""

import re
from functools import cache
from importlib import resources

from torch import nn

ENTRY = re.compile(r"@\w+\{\s*([^,\s]+)\s*,")


def citation(model: nn.Module) -> str:
    """BibTeX of the model family, the attention mechanisms, the neurons and the surrogates in use.

    >>> from spikeattn import create_model
    >>> re.findall(ENTRY, citation(create_model("spikingformer_tiny", attention="bsa")))
    ['zhou2023spikingformer', 'wang2025bsa', 'guo2024ternary']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"citation: model must be a module, got {type(model).__name__}. Build it first: create_model.")
    parts = [part for layer in model.modules() for part in (layer, getattr(layer, "surrogate", None))]
    found = dict.fromkeys(source for part in parts for source in sources_of(type(part)))
    return "\n\n".join(found) + "\n" if found else ""


def sources_of(part: type) -> list[str]:
    """The BibTeX entries of one class."""
    named = getattr(part, "citation", ())
    return [entry(name) for name in ((named,) if isinstance(named, str) else named)]


def entry(name: str) -> str:
    """The entry of a key, or BibTeX text as it is."""
    if name.lstrip().startswith("@"):
        return name.strip()
    if name not in entries():
        raise ValueError(
            f"citation: a part must name a key of citations.bib or give BibTeX text, got {name!r}. "
            f"Known keys: {', '.join(entries())}."
        )
    return entries()[name]


@cache
def entries() -> dict[str, str]:
    """The entries of citations.bib by key."""
    text = (resources.files("spikeattn") / "citations.bib").read_text(encoding="utf-8")
    blocks = [block.strip() for block in text.split("\n\n")]
    return {ENTRY.match(block)[1]: block for block in blocks if block.startswith("@")}
