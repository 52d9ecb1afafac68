"""Published checkpoints: state dicts of the original repositories as models of ours, and back.

    model = load("ZK-Zhou/spikformer:cifar10/model.py", config, state_dict)
    key_map(model)              (their key, our key, transform) for every tensor
    dropped(model)              (their key, reason) for what no forward pass uses
    export_state_dict(model)    their keys and shapes again
    read_checkpoint(path)       the state dict of a .pth or .safetensors file; importing.py converts one on disk
    modules(model)              their name of a block, layer or neuron -> our module with the same output

One engine (engine.py), one table file for each family, one line in FAMILIES.
"""

from typing import Any

from torch import Tensor, nn

from spikeattn.errors import nearest
from spikeattn.interop.published import (
    engine,
    espikformer,
    maxformer,
    metaspikformer,
    qkformer,
    sdt,
    spikformer,
    spikingformer,
    spikingjelly,
    spikingresformer,
)
from spikeattn.interop.published.checkpoint import read_checkpoint
from spikeattn.interop.published.engine import Origin, Source, Transform
from spikeattn.models import SpikingTransformer

FAMILIES = (spikformer, spikingformer, sdt, qkformer, spikingresformer, maxformer, metaspikformer, espikformer,
            spikingjelly)
SOURCES: dict[str, Source] = {source.name: source for family in FAMILIES for source in family.SOURCES}


def load(repo: str, config: dict[str, Any], state_dict: dict[str, Tensor]) -> SpikingTransformer:
    """The model of a public class with these weights, in evaluation mode.

    repo: "owner/repository:path/of/model.py", one of SOURCES. config: the constructor's arguments, with "class"
    (its name), "T" (time steps, where the constructor has none) and "neuron" ({"default": record, "overrides":
    {their neuron: record}}, SpikingJelly's settings; left out, those of the public file) as further keys.
    state_dict: their own key names, shapes and dtypes.
    Raises ValueError for an unknown key, and with a table for every tensor missing, unexpected or misshapen.
    """
    if repo not in SOURCES:
        raise ValueError(
            f"load: repo must be a known model file, got {repo!r}. {nearest(repo, SOURCES)}"
        )
    # a file with several classes has one source for each, the further ones named "file#Class"
    same_file = [source for name, source in SOURCES.items() if name.split("#")[0] == repo.split("#")[0]]
    chosen = [source for source in same_file if config.get("class") in (*source.classes, *source.builders)]
    return engine.load((chosen or [SOURCES[repo]])[0], config, state_dict)


def key_map(model: nn.Module) -> list[tuple[str, str, Transform]]:
    """(their key, our key, transform) for every tensor of the model; `transform(theirs)` has our shape."""
    origin = origin_of(model)
    return list(engine.tensor_rows(model, SOURCES[origin.repo].rows(origin.settings)))


def dropped(model: nn.Module) -> list[tuple[str, str]]:
    """(their key, reason) for the tensors of the public class that the model does not have."""
    origin = origin_of(model)
    return [(entry.key, entry.reason) for entry in SOURCES[origin.repo].dead(origin.settings)]


def export_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The weights under the public class's keys and shapes: what `load` was given, bit for bit.

    Works for `create_model` too; what the public class never uses then has the values it is born with.
    """
    origin = origin_of(model)
    return engine.export_state_dict(SOURCES[origin.repo], model, origin)


def modules(model: nn.Module) -> dict[str, nn.Module]:
    """Their name of each block, layer and neuron -> our module that computes the same.

    Ours return (out, state) where a state is kept; pictures are (T, B, C, Y, X), tokens (T, B, N, D). Layers of theirs
    that compute queries, keys and values at once have no counterpart and are left out.
    """
    origin = origin_of(model)
    rows = SOURCES[origin.repo].rows(origin.settings)
    return {row.theirs: model.get_submodule(row.ours) for row in rows if row.part is None}


def origin_of(model: nn.Module) -> Origin:
    """Where the model was loaded from, or the public file whose architecture it has."""
    if isinstance(getattr(model, "origin", None), Origin):
        return model.origin
    for source in SOURCES.values():
        settings = engine.recognise(source, model)
        if settings is not None:
            return Origin(source.name, settings)
    raise ValueError(
        f"published: the model must have the architecture of a published class, got {type(model).__name__}. "
        f"Known files: {', '.join(SOURCES)}; the attention must be the published one."
    )


__all__ = [
    "FAMILIES", "SOURCES", "Origin", "Source", "Transform", "dropped", "export_state_dict", "key_map", "load",
    "modules", "origin_of", "read_checkpoint",
]
