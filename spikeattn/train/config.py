"""A recipe: everything that decides a training run, as nested frozen records.

The same tree is a TOML file (a table per section), a set of command-line flags (`--optimiser.lr 1e-3`) and the
first line of the log. A key that is not in the tree is an error that names the nearest one.
"""

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from spikeattn.errors import nearest


def option(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A field with its help text and the closed range of its numbers."""
    bounds = {"help": text, "low": low, "high": high}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=bounds)
    return field(default=default, metadata=bounds)


class Checked:
    """Checks every number of a record against the range that its field declares."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata.get("low"), f.metadata.get("high")
            if isinstance(value, int | float) and not isinstance(value, bool):
                outside = (low is not None and not value >= low) or (high is not None and not value <= high)
                if outside or value != value:
                    bounds = f"at least {low}" if high is None else f"in [{low}, {high}]"
                    raise ValueError(f"{type(self).__name__}: {f.name} must be {bounds}, got {value}. "
                                     f"It is: {f.metadata['help']}.")


@dataclass(frozen=True)
class ModelSection(Checked):
    name: str = option("spikingformer_digits_2_64", "registered model (spikeattn models lists them)")
    attention: str | None = option(None, "mechanism, or several with commas that the blocks take in turn")
    neuron: str | None = option(None, "neuron; none: the model's own")
    timesteps: int | None = option(None, "time steps T; none: the model's own", low=1)
    sizes: dict[str, Any] = option({}, "other fields of the model's configuration, such as depth")


@dataclass(frozen=True)
class DataSection(Checked):
    name: str = option("digits", "data set: digits, mnist or cifar10")
    root: str | None = option(None, "directory with the data; none: SPIKEATTN_DATA")
    validation: float = option(0.0, "share of the training set held out to choose by", low=0, high=0.9)
    batch_size: int = option(32, "pictures per step", low=2)
    evaluation_batch_size: int = option(256, "pictures per step of an evaluation", low=1)


@dataclass(frozen=True)
class OptimiserSection(Checked):
    lr: float = option(1e-2, "highest learning rate", low=0)
    weight_decay: float = option(0.06, "AdamW decay, of matrices only: no norms, biases, neuron scalars", low=0)
    beta1: float = option(0.9, "AdamW", low=0, high=1)
    beta2: float = option(0.999, "AdamW", low=0, high=1)
    eps: float = option(1e-8, "AdamW", low=0)
    clip_norm: float = option(1.0, "largest gradient norm; 0: no clipping", low=0)
    label_smoothing: float = option(0.1, "share of the target spread over all classes", low=0, high=1)


@dataclass(frozen=True)
class ScheduleSection(Checked):
    epochs: int = option(12, "passes over the training set", low=1)
    warmup_epochs: float = option(1.0, "epochs of linear warm-up, then cosine", low=0)
    warmup_lr: float = option(1e-5, "learning rate at the first step", low=0)
    min_lr: float = option(1e-5, "learning rate at the last step", low=0)


@dataclass(frozen=True)
class AugmentSection(Checked):
    crop: int = option(0, "shift by up to so many pixels", low=0)
    flip: float = option(0.0, "probability of mirroring left and right", low=0, high=1)
    erase: float = option(0.0, "probability of erasing a rectangle", low=0, high=1)
    mixup: float = option(0.0, "alpha of mixup; 0: off", low=0)
    cutmix: float = option(0.0, "alpha of cutmix; 0: off; with mixup, each picture takes one of them", low=0)
    mix_until: float = option(1.0, "share of the epochs in which mixup and cutmix are on", low=0, high=1)


@dataclass(frozen=True)
class PrecisionSection(Checked):
    autocast: Literal["off", "bfloat16"] = option("off", "number type of matrix products while training")
    deterministic: bool = option(True, "the same seed gives the same weights (on a GPU: slower kernels)")


@dataclass(frozen=True)
class GuardSection(Checked):
    silent: float = option(0.01, "a neuron layer that fires less often is named", low=0, high=1)
    saturated: float = option(0.90, "a neuron layer that fires more often is named", low=0, high=1)


@dataclass(frozen=True)
class Recipe(Checked):
    """Everything that decides a training run; the defaults are the recipe for digits."""

    seed: int = option(0, "decides weights, order and augmentation", low=0)
    device: str = option("auto", "auto, cpu or cuda")
    save_every: int = option(0, "steps between checkpoints within an epoch; 0: only at its end", low=0)
    limit_minutes: float = option(0.0, "stop with a checkpoint after so long; 0: never", low=0)
    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    optimiser: OptimiserSection = field(default_factory=OptimiserSection)
    schedule: ScheduleSection = field(default_factory=ScheduleSection)
    augment: AugmentSection = field(default_factory=AugmentSection)
    precision: PrecisionSection = field(default_factory=PrecisionSection)
    guard: GuardSection = field(default_factory=GuardSection)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The recipe of a TOML file, or of the JSON file that a run keeps."""
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"recipe: must be a TOML file, got {path}, which does not exist. "
                             "The recipes that come with the project lie in recipes/.")
        try:
            text = path.read_text(encoding="utf-8")
            data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"recipe {path}: must be TOML, got an error: {error}. Correct that line.") from error
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return _build(cls, data, "")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def override(self, changes: dict[str, Any]) -> Self:
        """The recipe with fields changed by dotted name; text is read as the type of the field.

        >>> Recipe().override({"optimiser.lr": "3e-3", "model.sizes.depth": "1"}).model.sizes
        {'depth': 1}
        """
        recipe = self
        for name, value in changes.items():
            recipe = _override(recipe, name.split("."), value, name)
        return recipe


@dataclass(frozen=True)
class Flag:
    """One leaf of the tree as a command-line flag."""

    name: str
    default: Any
    type: Any
    help: str


def flags(kind: type = Recipe, prefix: str = "") -> list[Flag]:
    """Every field as a flag.

    >>> [flag.name for flag in flags()][:5]
    ['seed', 'device', 'save_every', 'limit_minutes', 'model.name']
    """
    found: list[Flag] = []
    hints, default = get_type_hints(kind), kind()
    for f in fields(kind):
        if is_dataclass(hints[f.name]):
            found += flags(hints[f.name], f"{prefix}{f.name}.")
        else:
            found.append(Flag(prefix + f.name, getattr(default, f.name), hints[f.name], f.metadata["help"]))
    return found


def _build(kind: type, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"recipe: {where or 'the file'} must be a table, got {data!r}. Write [{where}].")
    hints = get_type_hints(kind)
    for key in data:
        if key not in hints:
            dotted = f"{where}.{key}" if where else key
            names = [flag.name for flag in flags()] + [f.name for f in fields(Recipe)]
            raise ValueError(f"recipe: keys must be known, got {dotted!r}. {nearest(dotted, names)}")
    values = {}
    for key, value in data.items():
        dotted = f"{where}.{key}" if where else key
        nested = is_dataclass(hints[key])
        values[key] = _build(hints[key], value, dotted) if nested else _typed(value, hints[key], dotted)
    return kind(**values)


def _override(record: Any, path: list[str], value: Any, name: str) -> Any:
    hints, (first, *rest) = get_type_hints(type(record)), path
    known = first in hints and (bool(rest) == (is_dataclass(hints[first]) or hints[first] == dict[str, Any]))
    if not known:
        raise ValueError(f"recipe: keys must be known, got {name!r}. "
                         f"{nearest(name, [flag.name for flag in flags()])}")
    if is_dataclass(hints[first]):
        return replace(record, **{first: _override(getattr(record, first), rest, value, name)})
    if rest:
        return replace(record, **{first: getattr(record, first) | {".".join(rest): _literal(value)}})
    return replace(record, **{first: _typed(_literal(value, hints[first]), hints[first], name)})


def _literal(text: Any, kind: Any = Any) -> Any:
    """Text from a command line as a number, truth value or none, unless the field is text."""
    if not isinstance(text, str):
        return text
    lowered = text.lower()
    if lowered == "none" and (kind is Any or type(None) in get_args(kind)):
        return None
    if kind is str or get_origin(kind) is Literal or str in get_args(kind):
        return text
    if lowered in ("true", "false"):
        return lowered == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _typed(value: Any, kind: Any, name: str) -> Any:
    """`value` if it is of the field's type (a whole number will do for a float)."""
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise ValueError(f"recipe: {name} must be one of {list(get_args(kind))}, got {value!r}.")
    kinds = get_args(kind) if isinstance(kind, UnionType) else (get_origin(kind) or kind,)
    if float in kinds and type(value) is int:
        return float(value)
    if type(value) not in kinds:
        words = " or ".join("none" if k is type(None) else k.__name__ for k in kinds)
        raise ValueError(f"recipe: {name} must be of type {words}, got {value!r}. Correct its value.")
    return value
