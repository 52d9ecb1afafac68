"""Adapters: one family of models, one file; `adapt(model)` finds the one that reads a model.

Matching goes by package, class name and module tree, never by tracing, so that no package is imported here that the
user's model does not come from.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from neuromorphic.convert.adapters import (
    bert,
    chain,
    distilbert,
    gpt2,
    sentence,
    spikeattn_vit,
    timm_vit,
    torch_transformer,
    vit,
)
from neuromorphic.convert.adapters.adapter import KNOWN, Adapted, unknown
from neuromorphic.convert.adapters.refused import refuse
from neuromorphic.convert.adapters.verify import Equality, verify

Adapter = Callable[[nn.Module, str], Adapted]
ADAPTERS: dict[str, dict[str, Adapter]] = {  # package of the class: class name: adapter
    "transformers": {**bert.ADAPTERS, **distilbert.ADAPTERS, **vit.ADAPTERS, **gpt2.ADAPTERS},
    "timm": {**timm_vit.ADAPTERS},
    "torch": {**torch_transformer.ADAPTERS},
    "spikeattn": {**spikeattn_vit.ADAPTERS},
    "neuromorphic": {**sentence.ADAPTERS},
}
POOLED = ("BertModel", "RobertaModel", "ViTModel", "DeiTModel")

__all__ = ["ADAPTERS", "KNOWN", "Adapted", "Equality", "adapt", "verify"]


def adapt(model: nn.Module, output: str = "default") -> Adapted:
    """The model as a graph of float layers; ValueError, by path and type, for what has no spiking form.

    output: "pooled" takes the pooler of a bare encoder (BERT, RoBERTa, ViT, DeiT) in place of its tokens.

    >>> adapted = adapt(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)))
    >>> [wire.name for wire in adapted.graph.wires], adapted.readout
    (['0', '1', '2'], ('2',))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"convert: the model must be an nn.Module, got {type(model).__name__}. See open_source.")
    if output not in ("default", "pooled") or (output == "pooled" and type(model).__name__ not in POOLED):
        raise ValueError(
            f"convert: output must be 'default', or 'pooled' for one of {', '.join(POOLED)}, got {output!r} for "
            f"{type(model).__name__}. Leave it out."
        )
    refuse(model)
    adapter = partial(find(model), output=output)
    return replace(adapter(model), again=adapter)


def find(model: nn.Module) -> Adapter:
    """The adapter of the model's class or of one that it derives from, else the chain."""
    for kind in type(model).__mro__:
        adapter = ADAPTERS.get(kind.__module__.partition(".")[0], {}).get(kind.__name__)
        if adapter:
            return adapter
    package = type(model).__module__.partition(".")[0]
    if package == "sentence_transformers":
        raise unknown("", model, "must be given as its directory, model.save(DIRECTORY)")
    if package in ADAPTERS.keys() - {"torch"}:
        raise unknown("", model)
    return chain.chain
