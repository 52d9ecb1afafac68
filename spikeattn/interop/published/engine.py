"""The engine of the published checkpoints: tables of module correspondences in, models and key maps out.

A family file describes each public model file as a `Source`: its constructor with defaults, the configuration of
our model, and a table of rows "their module -> our module". Everything else follows from the rows and from our
own state dict: their keys and shapes, the loading, the export back, the names of blocks and neurons.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from spikeattn.models import ModelConfig, SpikingTransformer

REQUIRED = object()  # default of a constructor argument that has to be given
Settings = dict[str, Any]


@dataclass(frozen=True)
class Transform:
    """A change of shape from their tensor to ours, and back without loss."""

    name: str
    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]

    def __call__(self, theirs: Tensor) -> Tensor:
        return self.to_ours(theirs)


SAME = Transform("same", lambda theirs: theirs, lambda ours: ours)
FROM_CONV1D = Transform("1-wide convolution as matrix", lambda w: w.squeeze(-1), lambda w: w[..., None])
FROM_CONV2D = Transform("1x1 convolution as matrix", lambda w: w.flatten(1), lambda w: w[..., None, None])


@dataclass(frozen=True)
class Row:
    """One module of theirs and the module of ours with the same output; `transform` is for its `weight`.

    part: (index, count) where theirs computes the outputs of `count` modules of ours at once, stacked along axis 0 of
    its tensors (queries, keys and values by one matrix).
    """

    theirs: str
    ours: str
    transform: Transform = SAME
    neuron: bool = False
    part: tuple[int, int] | None = None

    def tensor_transform(self, name: str) -> Transform:
        """The transform of the tensor of this name."""
        whole = self.transform if name == "weight" else SAME
        if self.part is None:
            return whole
        index, count = self.part
        return Transform(
            f"part {index + 1} of {count}, {whole.name}",
            lambda theirs: whole.to_ours(theirs.chunk(count)[index] if theirs.ndim else theirs),  # a counter is shared
            whole.to_theirs,
        )


@dataclass(frozen=True)
class Dead:
    """A tensor of theirs that no forward pass uses: its shape, its value at birth, and why it is dropped."""

    key: str
    shape: tuple[int, ...]
    fill: float
    reason: str


def isotropic(config: ModelConfig) -> tuple:
    """What distinguishes models of one width besides their sizes."""
    biases = config.qkv_bias, config.output_bias, config.mlp_bias
    return config.stem, biases, {(part.name, part.options.get("scale", 0.125)) for part in config.attention}


@dataclass(frozen=True)
class Source:
    """One public model file.

    name: "owner/repository:path". classes: names under which the class or its builder is known. builders: functions
    that set arguments of the class, by name.
    model: our class. configure(settings, neuron) -> its configuration; `neuron` is {"default": record,
    "overrides": {their path: record}}, and neuron(settings) gives what the file itself sets.
    defaults: constructor arguments with the public defaults. ignored: arguments that never change a number.
    fixed: arguments of which the public code supports one value only.
    rows(settings), dead(settings): the tables. settings_of(config): the arguments that a model of ours needs.
    architecture(config): what two configurations of one architecture share besides the settings.
    """

    name: str
    classes: tuple[str, ...]
    model: type[SpikingTransformer]
    configure: Callable[[Settings, dict], ModelConfig]
    neuron: Callable[[Settings], dict]
    defaults: Settings
    rows: Callable[[Settings], list[Row]]
    dead: Callable[[Settings], list[Dead]]
    settings_of: Callable[[ModelConfig], Settings]
    ignored: frozenset[str] = frozenset()
    fixed: Settings = field(default_factory=dict)
    builders: dict[str, Settings] = field(default_factory=dict)
    architecture: Callable[[ModelConfig], Any] = isotropic


@dataclass(frozen=True)
class Origin:
    """Where a loaded model came from; kept on the model as `model.origin`."""

    repo: str
    settings: Settings
    dead: dict[str, Tensor] = field(default_factory=dict)


def read_settings(source: Source, config: dict) -> Settings:
    """The constructor arguments in `config` over the public defaults; refuses what the public class lacks."""
    given = {key: value for key, value in config.items() if key not in ("class", "neuron")}
    unknown = sorted(given.keys() - source.defaults.keys() - source.ignored)
    if unknown:
        near = [match for key in unknown for match in get_close_matches(key, source.defaults)]
        raise ValueError(
            f"load: the config of {source.name} may have the keys {sorted(source.defaults)}, got unknown "
            f"{unknown}. " + (f"Did you mean {near}?" if near else "Remove them.")
        )
    name = str(config.get("class", source.classes[0])).removesuffix("()")
    known = [*source.classes, *source.builders]
    if name not in known:
        raise ValueError(
            f"load: the class must be one of {known} for {source.name}, got {name!r}. "
            "Check that the file and the class belong together."
        )
    settings = source.defaults | source.builders.get(name, {})
    settings |= {key: value for key, value in given.items() if key in source.defaults}
    absent = [key for key, value in settings.items() if value is REQUIRED]
    if absent:
        raise ValueError(
            f"load: the config of {source.name} must give {absent}, got {sorted(given)}. The public class has no "
            "usable defaults for them."
        )
    for key, value in source.fixed.items():
        if settings[key] != value:
            raise ValueError(
                f"load: {key} must be {value!r} for {source.name}, got {settings[key]!r}. "
                "The public code supports no other value."
            )
    return settings


def load(source: Source, config: dict, state_dict: dict[str, Tensor]) -> SpikingTransformer:
    """Our model of a public class with these weights, in evaluation mode; all keys fit or none is used."""
    settings = read_settings(source, config)
    neuron = source.neuron(settings) | config.get("neuron", {})
    with torch.device("meta"):  # no memory and no random draws for weights that are replaced at once
        model = source.model(source.configure(settings, neuron))
    rows, dead = list(tensor_rows(model, source.rows(settings))), source.dead(settings)
    check_keys(source, model, rows, dead, state_dict)
    ours = {ours: transform(state_dict[theirs]).clone() for theirs, ours, transform in rows}
    model.load_state_dict(ours, strict=True, assign=True)
    kept = {entry.key: state_dict[entry.key].clone() for entry in dead if entry.key in state_dict}
    model.origin = Origin(source.name, settings, kept)
    return model.eval()


def recognise(source: Source, model: nn.Module) -> Settings | None:
    """The constructor arguments with which `source` is the architecture of `model`, or None."""
    if type(model) is not source.model:
        return None
    settings = source.defaults | source.settings_of(model.config)
    if any(settings[key] != value for key, value in source.fixed.items()):
        return None
    try:
        theirs = source.configure(settings, source.neuron(settings))
    except ValueError:  # the public class has no model of these sizes
        return None
    return settings if source.architecture(theirs) == source.architecture(model.config) else None


def export_state_dict(source: Source, model: nn.Module, origin: Origin) -> dict[str, Tensor]:
    """The state dict under their keys and shapes, dead tensors included (as loaded, else as born)."""
    ours = model.state_dict()
    exported = {
        entry.key: origin.dead.get(entry.key, torch.full(entry.shape, entry.fill)).clone()
        for entry in source.dead(origin.settings)
    }
    rows = tensor_rows(model, source.rows(origin.settings))
    return exported | {key: tensor.detach().clone() for key, tensor in under_their_keys(rows, ours).items()}


def under_their_keys(rows: Iterable[tuple[str, str, Transform]], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors in their keys and shapes; the parts of a fused tensor are joined again."""
    parts: dict[str, list[Tensor]] = {}
    for theirs, key, transform in rows:
        parts.setdefault(theirs, []).append(transform.to_theirs(ours[key]))
    return {key: torch.cat(several) if several[0].ndim and len(several) > 1 else several[0]
            for key, several in parts.items()}


def tensor_rows(model: nn.Module, rows: Iterable[Row]) -> Iterator[tuple[str, str, Transform]]:
    """Rows of modules spelled out as rows of tensors; containers (stem, blocks) have none of their own."""
    state = model.state_dict()
    for row in rows:
        module = model.get_submodule(row.ours)
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, _ in own:
            ours = f"{row.ours}.{name}"
            if ours in state:
                yield f"{row.theirs}.{name}", ours, row.tensor_transform(name)


def check_keys(source: Source, model: nn.Module, rows, dead: list[Dead], state_dict: dict) -> None:
    """Every key of theirs is explained and every tensor of ours is given, or one error with a table."""
    ours = model.state_dict()
    untold = sorted(ours.keys() - {key for _, key, _ in rows})
    if untold:
        raise ValueError(
            f"load: the table of {source.name} must name every tensor of ours, it lacks {untold}. Add rows."
        )
    expected = {key: tuple(tensor.shape) for key, tensor in under_their_keys(rows, ours).items()}
    optional = {entry.key: entry.shape for entry in dead}
    missing = expected.keys() - state_dict.keys()
    problems = [("missing", key, f"{shape} expected") for key, shape in expected.items() if key in missing]
    for key, tensor in state_dict.items():
        shape = expected.get(key, optional.get(key))
        if not isinstance(tensor, Tensor):
            problems.append(("not a tensor", key, type(tensor).__name__))
        elif shape is None:
            problems.append(("unexpected", key, f"{tuple(tensor.shape)}"))
        elif tuple(tensor.shape) != tuple(shape):
            problems.append(("wrong shape", key, f"{tuple(tensor.shape)}, {tuple(shape)} expected"))
    if problems:
        raise ValueError(
            f"load: the state dict must have the keys and shapes of {source.name}, got {len(problems)} misfits. "
            f"Check the repository, the config and that the file is whole; nothing was loaded.\n"
            f"{problem_table(problems)}"
        )


def problem_table(problems: list[tuple[str, str, str]], rows: int = 8) -> str:
    """The first problems (kind, key, detail) of each kind, one to a line."""
    lines = []
    for kind in dict.fromkeys(kind for kind, _, _ in problems):
        of_kind = [(key, detail) for other, key, detail in problems if other == kind]
        width = max(len(key) for key, _ in of_kind[:rows])
        lines += [f"  {kind:<12}  {key:<{width}}  {detail}" for key, detail in of_kind[:rows]]
        if len(of_kind) > rows:
            lines.append(f"  {kind:<12}  ... and {len(of_kind) - rows} more")
    return "\n".join(lines)
