"""A published checkpoint file -> a directory of ours that loads without any puzzle of shapes.

    found = import_checkpoint("best.pth", "ZK-Zhou/spikformer:cifar10/model.py", out="spikformer")
    found.fates                     what became of every key of the file
    spikeattn.from_pretrained("spikformer")

Sizes are read off the file: it must have exactly the tensors of a registered model, with any number of classes. What
no tensor shows, heads and time steps above all, is then that model's; `config` overrides it, and is needed for all
other sizes.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeattn.errors import nearest
from spikeattn.interop.published import SOURCES, dropped, engine, key_map, load
from spikeattn.interop.published.checkpoint import read_checkpoint
from spikeattn.interop.published.engine import Source
from spikeattn.models import MODELS, from_pretrained

# where two files of a repository share their architecture, but not what no tensor shows
OTHERWISE = {"zhouchenlin2096/Spikingformer:cifar100/model.py": {"num_heads": 8}}
VARIANTS = ({}, {"distilled": True})


@dataclass(frozen=True)
class Fate:
    """What became of one key of the file. kind: mapped, split or dropped; how: the transform or the reason.

    Nothing is folded away: biases in front of a norm are parameters of ours too.
    """

    theirs: str
    shape: tuple[int, ...]
    kind: str
    ours: str
    how: str


@dataclass(frozen=True)
class Imported:
    """A converted checkpoint. config: as given to `load`. like: the registered model it was recognised as, or None."""

    model: nn.Module
    config: dict[str, Any]
    like: str | None
    fates: tuple[Fate, ...]


def import_checkpoint(path: str | Path, repo: str, out: str | Path, config: dict[str, Any] | None = None) -> Imported:
    """Read a checkpoint, convert it, and save it with our configuration in `out`, a new or empty directory.

    repo and config are those of `load`. Everything is checked, and the saved model read back, before `out` appears.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"import_checkpoint: {out} must be a new or an empty directory, got an existing one. Move it.")
    found = convert(read_checkpoint(path), repo, config)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        place = Path(temporary) / "model"
        found.model.save_pretrained(place)
        again = from_pretrained(place).state_dict()
        if any(not torch.equal(value, again[key]) for key, value in found.model.state_dict().items()):
            raise RuntimeError(f"import_checkpoint: {out} must hold what was written, got other numbers. Try again.")
        place.replace(out)
    return found


def convert(state_dict: dict[str, Tensor], repo: str, config: dict[str, Any] | None = None) -> Imported:
    """Our model of a public state dict, with what became of each key."""
    if repo not in SOURCES:
        raise ValueError(
            f"import_checkpoint: repo must be a known model file, got {repo!r}. {nearest(repo, SOURCES)}"
        )
    matches = list(registered_like(state_dict, repo))
    # event models of two data sets often differ in their classes only: 10 objects, 11 gestures
    own = [match for match in matches if MODELS[match[0]].config.num_classes == match[1]["num_classes"]]
    matches = own or matches
    several = len({_in_words(settings) for _, settings in matches}) > 1
    if several and not config:
        raise ValueError(
            f"import_checkpoint: the tensors must tell the model, got several that have them: "
            f"{', '.join(name for name, _ in matches)}. Give the constructor's arguments as config."
        )
    if not matches and not config:
        raise ValueError(_unknown_size(state_dict, repo))
    like, settings = (None, {}) if several or not matches else matches[0]
    config = settings | (config or {})
    model = load(repo, config, state_dict)
    return Imported(model, config, like, tuple(_fates(model, state_dict)))


def _in_words(settings: dict[str, Any]) -> str:
    return str(sorted(settings.items()))


def registered_like(state_dict: dict[str, Tensor], repo: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, config for `load`) of the registered models that have exactly these tensors in this public file."""
    shapes = {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
    for name, source, settings, expected, optional in _candidates(repo, shapes):
        if expected == {key: shape for key, shape in shapes.items() if key not in optional} and all(
            shapes.get(key, shape) == shape for key, shape in optional.items()
        ):
            given = {key: value for key, value in settings.items() if value is not engine.REQUIRED}
            yield name, {"class": source.classes[0]} | given | OTHERWISE.get(repo, {})


def _candidates(repo: str, shapes: dict[str, tuple]) -> Iterator[tuple[str, Source, dict, dict, dict]]:
    """Registered models as the public file would write them: settings, shapes of all keys, shapes of unused ones."""
    file = repo.split("#")[0]
    for source in (source for name, source in SOURCES.items() if name.split("#")[0] == file):
        for name, entry in MODELS.items():
            for variant in VARIANTS:
                if entry.model is not source.model or not all(hasattr(entry.config, field) for field in variant):
                    continue
                with torch.device("meta"):
                    model = entry.model(replace(entry.config, **variant))
                settings = engine.recognise(source, model)
                if settings is None:
                    continue
                head = next(theirs for theirs, ours, _ in engine.tensor_rows(model, source.rows(settings))
                            if ours == "head.weight")
                classes = shapes.get(head, (model.config.num_classes,))[0]
                with torch.device("meta"):
                    model.reset_classifier(classes)
                settings = engine.recognise(source, model)
                rows = engine.tensor_rows(model, source.rows(settings))
                theirs = engine.under_their_keys(rows, model.state_dict())
                yield (name, source, settings, {key: tuple(value.shape) for key, value in theirs.items()},
                       {entry.key: tuple(entry.shape) for entry in source.dead(settings)})


def _unknown_size(state_dict: dict[str, Tensor], repo: str) -> str:
    shapes = {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
    shared = [(len(shapes.keys() & (expected.keys() | optional.keys())), name, expected | optional)
              for name, _, _, expected, optional in _candidates(repo, shapes)]
    most, name, expected = max(shared, key=lambda entry: entry[0], default=(0, "", {}))
    if 10 * most < len(shapes):  # all have a head
        return (
            f"import_checkpoint: the keys must be those of {repo}, got {most} of {len(shapes)} "
            f"({', '.join(list(shapes)[:3])} and so on). The file is of another repository."
        )
    rows = [("missing", key, f"{shape} expected") for key, shape in expected.items() if key not in shapes]
    rows += [("unexpected", key, f"{shape}") for key, shape in shapes.items() if key not in expected]
    rows += [("other shape", key, f"{shapes[key]}, {shape} expected") for key, shape in expected.items()
             if shapes.get(key, shape) != shape]
    return (
        f"import_checkpoint: the tensors must be those of a registered model, got others (nearest: {name}, {len(rows)} "
        "misfits). For other sizes give the constructor's arguments as config; else the file is of another repository "
        f"or damaged.\n{engine.problem_table(rows)}"
    )


def _fates(model: nn.Module, state_dict: dict[str, Tensor]) -> Iterator[Fate]:
    shapes = {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
    for theirs, ours, transform in key_map(model):
        kind = "split" if transform.name.startswith("part ") else "mapped"
        yield Fate(theirs, shapes[theirs], kind, ours, transform.name)
    for theirs, reason in dropped(model):
        if theirs in shapes:
            yield Fate(theirs, shapes[theirs], "dropped", "", reason)
