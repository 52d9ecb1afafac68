"""Spikingformer: zhouchenlin2096/Spikingformer, the model.py of imagenet, cifar10, cifar100, cifar10-dvs and
dvs128-gesture.

The files differ in the names inside the stem, in its pools and, for event frames, in tau (1.5).
"""

from collections.abc import Callable
from dataclasses import dataclass

from spikeattn.interop.published.engine import REQUIRED, Dead, Row, Settings, Source
from spikeattn.interop.published.neurons import LIF, lif_config
from spikeattn.interop.published.rows import dead_layer_norms, neuron_row, projection, self_attention
from spikeattn.interop.published.spikformer import IGNORED, settings_of, sizes
from spikeattn.models import Spikingformer, SpikingformerConfig
from spikeattn.models.spikingformer import stem

REPOSITORY = "zhouchenlin2096/Spikingformer"


@dataclass(frozen=True)
class Variant:
    """What distinguishes the files: where the stem pools, how its layers are called, the neurons' tau."""

    pools: str
    stem_name: Callable[[int], str]
    tau: float = 2.0

    def configure(self, settings: Settings, neuron: dict) -> SpikingformerConfig:
        return SpikingformerConfig(
            stem=stem(settings["embed_dims"], self.pools),
            **lif_config(neuron, rows(self, settings), {"scale": 0.125}), **sizes(settings),
        )


def rows(variant: Variant, settings: Settings) -> list[Row]:
    table = [Row("patch_embed", "stem"), Row("head", "head")]
    for i in range(5):
        theirs = f"patch_embed.{variant.stem_name(i)}"
        table += [Row(f"{theirs}_conv", f"stem.convs.{i}.conv"), Row(f"{theirs}_bn", f"stem.convs.{i}.norm")]
        if i:  # the first convolution sees the picture
            table.append(neuron_row(f"{theirs}_lif", f"stem.neurons.{i - 1}"))
    for i in range(settings["depths"]):
        theirs, ours = f"block.{i}", f"blocks.{i}"
        table += [Row(theirs, ours), Row(f"{theirs}.attn", f"{ours}.attn"),
                  neuron_row(f"{theirs}.attn.proj_lif", f"{ours}.attn_neuron"),
                  *self_attention(f"{theirs}.attn", f"{ours}.attn", "conv1d"),
                  neuron_row(f"{theirs}.mlp.mlp1_lif", f"{ours}.mlp_neuron"),
                  *projection(f"{theirs}.mlp.mlp1", f"{ours}.mlp.fc1", "conv2d"),
                  neuron_row(f"{theirs}.mlp.mlp2_lif", f"{ours}.mlp.neuron"),
                  *projection(f"{theirs}.mlp.mlp2", f"{ours}.mlp.fc2", "conv2d")]
    return table


def dead(settings: Settings) -> list[Dead]:
    names = [f"block.{i}.{norm}" for i in range(settings["depths"]) for norm in ("norm1", "norm2")]
    return dead_layer_norms(names, settings["embed_dims"])


def source(path: str, variant: Variant, defaults: Settings, **fixed) -> Source:
    def neuron(settings: Settings) -> dict:
        attention = {f"block.{i}.attn.attn_lif": {"v_threshold": 0.5} for i in range(settings["depths"])}
        return {"default": LIF | {"tau": variant.tau}, "overrides": attention}

    return Source(
        name=f"{REPOSITORY}:{path}", classes=("vit_snn", "Spikingformer"), model=Spikingformer,
        configure=variant.configure, neuron=neuron, defaults=defaults, ignored=IGNORED, fixed=fixed,
        rows=lambda settings: rows(variant, settings), dead=dead, settings_of=settings_of,
    )


def numbered(i: int) -> str:
    return f"proj{i or ''}"


SIZES = dict.fromkeys(("num_classes", "embed_dims", "num_heads", "mlp_ratios", "depths"), REQUIRED)
IMAGENET = dict(img_size_h=224, img_size_w=224, patch_size=16, in_channels=3, T=4) | SIZES
CIFAR = IMAGENET | dict(img_size_h=32, img_size_w=32, patch_size=4)
EVENTS = dict(img_size_h=128, img_size_w=128, patch_size=16, in_channels=2, num_classes=10, embed_dims=256,
              num_heads=16, mlp_ratios=4, depths=2, T=16)
CIFAR_VARIANT, EVENT_VARIANT = Variant("0011", "block{}".format), Variant("1111", numbered, tau=1.5)
SQUARE = dict(img_size_h=128, img_size_w=128)
SOURCES = (
    source("imagenet/model.py", Variant("1111", numbered), IMAGENET),
    source("cifar10/model.py", CIFAR_VARIANT, CIFAR),
    source("cifar100/model.py", CIFAR_VARIANT, CIFAR),
    source("cifar10-dvs/model.py", EVENT_VARIANT, EVENTS, **SQUARE),
    source("dvs128-gesture/model.py", EVENT_VARIANT, EVENTS | {"num_classes": 11}, **SQUARE),
)
