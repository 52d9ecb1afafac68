"""Configurations: everything needed to build a model again, as plain data."""

import inspect
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from spikeattn.attention import ATTENTIONS, Attention
from spikeattn.errors import nearest
from spikeattn.neurons import ACTIVATIONS, NEURONS, Activation, Neuron

DECIDED_BY_HOST = {"dim", "heads", "neuron", "bias", "tokens"}  # arguments of a mechanism that are no options


@dataclass(frozen=True)
class Part:
    """A replaceable part of a model: the registered name of a class and its options.

    >>> Part.neuron("lif").build(NEURONS).beta
    0.5
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def neuron(cls, neuron: "str | dict | Part | type | Neuron | Activation") -> Self:
        """From a name, a class, an instance (its options are kept) or the data of a config file."""
        return cls._of(neuron, NEURONS | ACTIVATIONS, "neuron")

    @classmethod
    def attention(cls, attention: "str | dict | Part | type[Attention]") -> Self:
        """From a name, a class or the data of a config file; options are those of the class."""
        return cls._of(attention, ATTENTIONS, "attention")

    @classmethod
    def _of(cls, value, registry: dict[str, type], role: str) -> Self:
        if isinstance(value, cls):
            value = asdict(value)
        if isinstance(value, dict):
            if "name" not in value:
                raise ValueError(
                    f"{role}: data of a part must have a name, got {value}. Write {{'name': ..., 'options': {{...}}}}."
                )
            part = cls(value["name"], dict(value.get("options", {})))
        elif isinstance(value, str):
            part = cls(value)
        else:
            kind = value if isinstance(value, type) else type(value)
            names = [name for name, known in registry.items() if known is kind]
            if not names:
                raise ValueError(
                    f"{role}: must be one of {sorted(registry)} so that the model can be saved, got {kind.__name__}. "
                    f"Register the class first: spikeattn.{role}s.{role.upper()}S['my_name'] = {kind.__name__}."
                )
            part = cls(names[0], {} if isinstance(value, type) else value.options())
        if part.name not in registry:
            raise ValueError(f"{role}: must be a known name, got {part.name!r}. {nearest(part.name, registry)}")
        part._check_options(registry[part.name], role)
        return part

    def _check_options(self, kind: type, role: str) -> None:
        allowed = inspect.signature(kind).parameters.keys() - DECIDED_BY_HOST
        unknown = sorted(self.options.keys() - allowed)
        if unknown:
            raise ValueError(
                f"{role} {self.name!r}: options must be among {sorted(allowed)}, got {unknown}. "
                + nearest(unknown[0], allowed)
            )

    def build(self, registry: dict[str, type], **more):
        return registry[self.name](**self.options, **more)


def attention_schedule(attention) -> tuple[Part, ...]:
    """One Part, or a sequence of them that the blocks take in turn (CAT-Alter is ("cat", "softmax"))."""
    several = isinstance(attention, list | tuple)
    if several and not attention:
        raise ValueError("attention: the schedule must hold at least one part, got an empty one. Name one, say 'bsa'.")
    return tuple(Part.attention(part) for part in (attention if several else (attention,)))


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every model has; families add their own fields.

    image_size: (Y, X). timesteps: T for static pictures (a model takes any T for event frames).
    readout: "mean" of the per-step logits, or all "steps". attention: parts that the blocks take in turn.
    neuron_overrides: changes for single neurons, {module path: {argument: value}}.
    """

    dim: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0
    in_channels: int = 3
    num_classes: int = 1000
    image_size: tuple[int, int] = (224, 224)
    timesteps: int = 4
    readout: Literal["mean", "steps"] = "mean"
    attention: tuple[Part, ...] = (Part("ssa"),)
    neuron: Part = Part("lif", {"beta": 0.5, "gain": 0.5})
    neuron_overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        size = self.image_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        object.__setattr__(self, "image_size", size)
        object.__setattr__(self, "attention", attention_schedule(self.attention))
        object.__setattr__(self, "neuron", Part.neuron(self.neuron))
        for name in ("dim", "depth", "heads", "in_channels", "num_classes", "timesteps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be a whole number from 1 on, got {value!r}. Leave it out for "
                    "the default."
                )
        if self.readout not in ("mean", "steps"):
            raise ValueError(
                f"{type(self).__name__}: readout must be 'mean' or 'steps', got {self.readout!r}. 'mean' averages the "
                "logits of all time steps."
            )

    def resized(self, **changes) -> Self:
        """This configuration with some fields changed; families rescale what depends on them."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The configuration that `to_dict` gave; an unknown key is an error."""
        check_keys(cls, data)
        missing = [f.name for f in fields(cls) if f.default is f.default_factory is MISSING and f.name not in data]
        if missing:
            raise ValueError(
                f"{cls.__name__}: every field without a default must be given, got none for {missing}. "
                "Take the configuration that to_dict gave."
            )
        return cls(**data)


def check_keys(config: type[ModelConfig], data: dict[str, Any]) -> None:
    known = [f.name for f in fields(config)]
    unknown = sorted(data.keys() - set(known))
    if unknown:
        raise ValueError(f"{config.__name__}: keys must be known, got {unknown}. {nearest(unknown[0], known)}")
