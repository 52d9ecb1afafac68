"""Models: one published family, one file. This table is the registry; the contract tests run over it."""

from dataclasses import dataclass, replace
from fnmatch import fnmatch

from spikeattn.errors import nearest
from spikeattn.models import (
    cat,
    converted,
    espikformer,
    espikformer_large,
    maxformer,
    metaspikformer,
    qkformer,
    sdt,
    spikformer,
    spikingformer,
    spikingresformer,
    statten,
    vit,
)
from spikeattn.models.cat import CircularTransformer
from spikeattn.models.config import ModelConfig, Part, attention_schedule, check_keys
from spikeattn.models.converted import ConvertedConfig, ConvertedModel, ConvertedState
from spikeattn.models.espikformer import ESpikformer, ESpikformerConfig
from spikeattn.models.espikformer_large import ESpikformerLarge, ESpikformerLargeConfig
from spikeattn.models.hierarchical import HierarchicalConfig, HierarchicalTransformer
from spikeattn.models.isotropic import ModelState, SpikingTransformer
from spikeattn.models.maxformer import MaxFormer, MaxFormerConfig
from spikeattn.models.metaspikformer import MetaSpikformer, MetaSpikformerConfig
from spikeattn.models.model import SpikingModel
from spikeattn.models.pretrained import from_pretrained, load_weights
from spikeattn.models.qkformer import QKFormer, QKFormerConfig
from spikeattn.models.sdt import SpikeDrivenConfig, SpikeDrivenTransformer
from spikeattn.models.spikformer import Spikformer, SpikformerConfig
from spikeattn.models.spikingformer import Spikingformer, SpikingformerConfig
from spikeattn.models.spikingresformer import SpikingResformer, SpikingResformerConfig
from spikeattn.models.statten import STAtten, STAttenConfig
from spikeattn.models.vit import VisionTransformer


@dataclass(frozen=True)
class Entry:
    """A registered model: its class and its configuration."""

    model: type[SpikingModel]
    config: ModelConfig


FAMILIES = ((Spikformer, spikformer), (Spikingformer, spikingformer), (VisionTransformer, vit),
            (CircularTransformer, cat), (QKFormer, qkformer), (MaxFormer, maxformer),
            (SpikeDrivenTransformer, sdt), (STAtten, statten), (SpikingResformer, spikingresformer),
            (MetaSpikformer, metaspikformer), (ESpikformer, espikformer),
            (ESpikformerLarge, espikformer_large), (ConvertedModel, converted))
MODELS: dict[str, Entry] = {
    name: Entry(model, replace(config, name=name))
    for model, family in FAMILIES for name, config in family.MODELS.items()
}


def list_models(pattern: str = "*") -> list[str]:
    """Registered names that match a wildcard pattern, sorted.

    >>> list_models("spikingformer_cifar_*")
    ['spikingformer_cifar_2_384', 'spikingformer_cifar_4_256', 'spikingformer_cifar_4_384']
    """
    return sorted(name for name in MODELS if fnmatch(name, pattern))


def create_model(name: str, *, attention=None, neuron=None, num_classes: int | None = None,
                 in_channels: int | None = None, image_size: int | tuple[int, int] | None = None,
                 timesteps: int | None = None, pretrained=None, **sizes) -> SpikingModel:
    """Build a registered model, with parts and sizes exchanged.

    attention: a name, a class, {"name": ..., "options": {...}}, or a sequence that the blocks take in turn.
    neuron: a name, a class, an instance (its settings are kept), or {"name": ..., "options": {...}}.
    pretrained: a directory written by `save_pretrained`; its weights must fit.
    sizes: any other field of the model's configuration, such as dim, depth, heads, readout.

    >>> create_model("spikingformer_tiny", attention="bsa").config.attention[0].name
    'bsa'
    """
    if name not in MODELS:
        raise ValueError(f"create_model: name must be a registered model, got {name!r}. {nearest(name, MODELS)}")
    entry = MODELS[name]
    given = dict(attention=attention, neuron=neuron, num_classes=num_classes, in_channels=in_channels,
                 image_size=image_size, timesteps=timesteps)
    changes = {key: value for key, value in given.items() if value is not None} | sizes
    check_keys(entry.model.config_class, changes)
    model = entry.model(entry.config.resized(**changes))
    if pretrained is not None:
        load_weights(model, pretrained)
    return model


__all__ = [
    "MODELS", "CircularTransformer", "ConvertedConfig", "ConvertedModel", "ConvertedState", "ESpikformer",
    "ESpikformerConfig", "ESpikformerLarge", "ESpikformerLargeConfig",
    "Entry", "HierarchicalConfig", "HierarchicalTransformer", "MaxFormer", "MaxFormerConfig", "MetaSpikformer",
    "MetaSpikformerConfig", "ModelConfig", "ModelState", "Part", "QKFormer", "QKFormerConfig", "STAtten",
    "STAttenConfig", "SpikeDrivenConfig", "SpikeDrivenTransformer", "Spikformer", "SpikformerConfig", "SpikingModel",
    "SpikingResformer", "SpikingResformerConfig", "SpikingTransformer", "Spikingformer", "SpikingformerConfig",
    "VisionTransformer", "attention_schedule", "create_model", "from_pretrained", "list_models", "load_weights",
]
