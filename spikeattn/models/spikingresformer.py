"""SpikingResformer: a ResNet-like pyramid with dual spike self-attention.

    stem     7x7 convolution of stride 2 and a max pool (ImageNet), or a 3x3 convolution (CIFAR, event cameras)
    stage    x = x + DSSA(neuron(x)),  x = x + GroupFFN(neuron(x)), several times; 3x3 convolutions of stride 2 between
    head     linear without bias on the pixel mean of the membrane; logits for each time step (readout "steps")

Source: Shi et al., "SpikingResformer: Bridging ResNet and Vision Transformer in Spiking Neural Networks" (CVPR
2024) and its code, models/spikingresformer.py. Neurons: LIF with tau 2 and the ATan surrogate; PLIF for gestures.
Differs from the code in: unset firing rates are replaced by those of the input (attention/dssa.py), where the code
gives NaN; initialisation is ours (every layer fires).
"""

from dataclasses import dataclass
from typing import Literal, Self

from torch import nn

from spikeattn.attention import ATTENTIONS, Attention, DualSpikeSelfAttention
from spikeattn.blocks.downsample import ConvStem, Downsample
from spikeattn.blocks.group_ffn import GroupFFN
from spikeattn.blocks.residual import AttentionResidual, Residual
from spikeattn.models.config import Part
from spikeattn.models.pyramid import PyramidConfig, SpikingPyramid
from spikeattn.neurons import Neuron

LAYERS = ("attention", "ffn")


@dataclass(frozen=True, kw_only=True)
class SpikingResformerConfig(PyramidConfig):
    """One entry for each stage in `layers` (names of its residual layers), `stage_heads` and `patches`.

    patches: side of the patches over which the attention reduces its keys. group_size: channels of a group in the
    3x3 convolutions. prologue: the stem, "pool" (7x7, stride 2, max pool) or "plain" (3x3). `depth` counts the
    layers and `heads` are those of the last stage.
    """

    layers: tuple[tuple[str, ...], ...]
    stage_heads: tuple[int, ...]
    patches: tuple[int, ...]
    group_size: int = 64
    prologue: Literal["pool", "plain"] = "pool"

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        object.__setattr__(self, "layers", tuple(tuple(stage) for stage in self.layers))
        for field in ("stage_heads", "patches"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if not len(self.layers) == len(self.stage_heads) == len(self.patches) == len(self.widths):
            raise ValueError(
                f"{name}: layers, stage_heads, patches and widths must have one entry for each stage, got "
                f"{len(self.layers)}, {len(self.stage_heads)}, {len(self.patches)}, {len(self.widths)}. Give all four."
            )
        unknown = sorted({layer for stage in self.layers for layer in stage} - set(LAYERS))
        if unknown or self.prologue not in ("pool", "plain"):
            raise ValueError(
                f"{name}: layers must be among {LAYERS} and prologue 'pool' or 'plain', got {unknown} and "
                f"{self.prologue!r}. See models/spikingresformer.py."
            )
        if self.depth != sum(map(len, self.layers)) or self.heads != self.stage_heads[-1]:
            raise ValueError(
                f"{name}: depth and heads must be those of layers and stage_heads, got {self.depth} and {self.heads} "
                f"for {sum(map(len, self.layers))} and {self.stage_heads[-1]}. `resized` keeps them together."
            )

    def resized(self, **changes) -> Self:
        """Also: other `layers` set `depth`; other `heads` scale those of all stages."""
        if "layers" in changes:
            changes["depth"] = sum(map(len, changes["layers"]))
        if "stage_heads" in changes:
            changes["heads"] = changes["stage_heads"][-1]
        elif "heads" in changes:
            changes["stage_heads"] = tuple(max(1, h * changes["heads"] // self.heads) for h in self.stage_heads)
        return super().resized(**changes)


class SpikingResformer(SpikingPyramid):
    """A SpikingResformer of any size, with any attention and neuron."""

    citation = "shi2024spikingresformer"
    config_class = SpikingResformerConfig

    def build_stem(self, neuron: Neuron) -> ConvStem:
        pool = self.config.prologue == "pool"
        return ConvStem(self.config.in_channels, self.config.widths[0], kernel=7 if pool else 3,
                        stride=2 if pool else 1, pool=pool, scale=neuron.threshold_current)

    def build_down(self, stage: int, neuron: Neuron) -> Downsample:
        return Downsample(self.config.widths[stage - 1], self.config.widths[stage], neuron=neuron)

    def build_blocks(self, stage: int, neuron: Neuron, grid: tuple[int, int]) -> list[nn.Module]:
        config = self.config
        blocks: list[nn.Module] = []
        before = sum(layers.count("attention") for layers in config.layers[:stage])
        for layer in config.layers[stage]:
            if layer == "attention":
                part = config.attention[before % len(config.attention)]
                attention = self.build_attention(part, stage, neuron, grid)
                blocks.append(AttentionResidual(attention, neuron=neuron.clone(), tokens=grid[0] * grid[1]))
                before += 1
            else:
                ffn = GroupFFN(config.widths[stage], neuron=neuron, ratio=int(config.mlp_ratio),
                               group_size=config.group_size)
                blocks.append(Residual(ffn, neuron=neuron.clone()))
        return blocks

    def build_attention(self, part: Part, stage: int, neuron: Neuron, grid: tuple[int, int]) -> Attention:
        config, kind, options = self.config, ATTENTIONS[part.name], part.options
        if issubclass(kind, DualSpikeSelfAttention):
            patch = config.patches[stage]
            options = {"patch": patch, "keys": self.keys(stage, patch)} | options
        return kind.in_host(config.widths[stage], config.stage_heads[stage], neuron=neuron,
                            tokens=grid[0] * grid[1], bias=False, **options)

    def keys(self, stage: int, patch: int) -> int:
        """N_p in the attention's scale: halvings and patches round down, as in the published code."""
        halvings = stage + (2 if self.config.prologue == "pool" else 0)
        rows, columns = ((size >> halvings) // patch for size in self.config.image_size)
        return max(1, rows * columns)

    def build_head(self, neuron: Neuron) -> None:
        self.head = nn.Linear(self.config.dim, self.config.num_classes, bias=False)


ATAN = {"name": "atan", "alpha": 2.0}
PAIR = ("attention", "ffn")


def spikingresformer(widths: tuple[int, ...], heads: tuple[int, ...], **more) -> SpikingResformerConfig:
    layers = (PAIR, PAIR * 2, PAIR * 3)[: len(widths)]
    return SpikingResformerConfig(**dict(
        widths=widths, dim=widths[-1], stage_heads=heads, heads=heads[-1], layers=layers,
        depth=sum(map(len, layers)), patches=(4, 2, 1)[: len(widths)], attention=(Part("dssa"),),
        neuron=Part("lif", {"beta": 0.5, "gain": 0.5, "surrogate": ATAN}), readout="steps",
    ) | more)


def dvs(classes: int, neuron: Part | None) -> SpikingResformerConfig:
    """64 x 64 event frames in three channels, 16 steps; PLIF neurons for gestures."""
    more = {"neuron": neuron} if neuron else {}
    return spikingresformer((32, 96, 192), (1, 3, 6), prologue="plain", group_size=32, image_size=(64, 64),
                            num_classes=classes, timesteps=16, **more)


MODELS = {
    "spikingresformer_ti": spikingresformer((64, 192, 384), (1, 3, 6)),
    "spikingresformer_s": spikingresformer((64, 256, 512), (1, 4, 8)),
    "spikingresformer_m": spikingresformer((64, 384, 768), (1, 6, 12)),
    "spikingresformer_l": spikingresformer((128, 512, 1024), (2, 8, 16)),
    "spikingresformer_cifar": spikingresformer((64, 192, 384), (1, 3, 6), prologue="plain", num_classes=10,
                                               image_size=(32, 32)),
    "spikingresformer_dvs_cifar10": dvs(10, None),
    "spikingresformer_dvs_gesture": dvs(11, Part("plif", {"init_tau": 2.0, "surrogate": ATAN})),
    "spikingresformer_tiny": spikingresformer((16, 32), (1, 2), layers=(PAIR, PAIR), depth=4, prologue="plain",
                                              group_size=16, num_classes=10, in_channels=1, image_size=(8, 8)),
}
