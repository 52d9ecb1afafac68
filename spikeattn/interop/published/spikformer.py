"""Spikformer: ZK-Zhou/spikformer, imagenet/model.py, cifar10/model.py and cifar10dvs/model.py.

The three files differ in how they write a matrix (Conv1d, Conv2d, Linear), in biases on q, k, v (CIFAR), in the
pools of the stem, in the scale of the attention (0.25 for events) and in what they leave unused.
"""

from dataclasses import dataclass

from spikeattn.interop.published.engine import REQUIRED, Dead, Row, Settings, Source
from spikeattn.interop.published.neurons import LIF, lif_config
from spikeattn.interop.published.rows import dead_layer_norms, neuron_row, projection, self_attention
from spikeattn.models import ModelConfig, Spikformer, SpikformerConfig
from spikeattn.models.spikformer import stem

REPOSITORY = "ZK-Zhou/spikformer"
IGNORED = frozenset({"qkv_bias", "qk_scale", "drop_rate", "attn_drop_rate", "drop_path_rate", "norm_layer",
                     "sr_ratios", "pretrained_cfg", "pretrained"})
STATIC = dict(img_size_h=224, img_size_w=224, patch_size=16, in_channels=3, num_classes=1000, embed_dims=512,
              num_heads=8, mlp_ratios=4, depths=8, T=4)
EVENTS = dict(img_size_h=128, img_size_w=128, patch_size=16, in_channels=2, num_classes=10, embed_dims=256,
              num_heads=16, mlp_ratios=4, depths=2, T=16)


@dataclass(frozen=True)
class Variant:
    """What distinguishes one of the three files."""

    pools: str
    attention_layer: str
    mlp_layer: str
    scale: float = 0.125
    events: bool = False

    @property
    def qkv_bias(self) -> bool:
        return self.attention_layer == "linear"  # nn.Linear is left at its default there

    def configure(self, settings: Settings, neuron: dict) -> SpikformerConfig:
        return SpikformerConfig(
            stem=stem(settings["embed_dims"], self.pools), qkv_bias=self.qkv_bias,
            **lif_config(neuron, rows(self, settings), {"scale": self.scale}), **sizes(settings),
        )


def sizes(settings: Settings) -> Settings:
    """The fields of a ModelConfig that are plain sizes."""
    return dict(
        dim=settings["embed_dims"], depth=settings["depths"], heads=settings["num_heads"],
        mlp_ratio=float(settings["mlp_ratios"]), in_channels=settings["in_channels"],
        num_classes=settings["num_classes"], image_size=(settings["img_size_h"], settings["img_size_w"]),
        timesteps=settings["T"],
    )


def settings_of(config: ModelConfig) -> Settings:
    """The constructor arguments of the public class for a model of ours (the inverse of `sizes`)."""
    rows, columns = config.image_size
    halvings = sum(down != "" for _, down in config.stem)
    return dict(img_size_h=rows, img_size_w=columns, patch_size=2**halvings, in_channels=config.in_channels,
                num_classes=config.num_classes, embed_dims=config.dim, num_heads=config.heads,
                mlp_ratios=config.mlp_ratio, depths=config.depth, T=config.timesteps)


def rows(variant: Variant, settings: Settings) -> list[Row]:
    table = [Row("patch_embed", "stem"), Row("head", "head")]
    for i in range(4):
        theirs = str(i or "")
        table += [Row(f"patch_embed.proj_conv{theirs}", f"stem.convs.{i}.conv"),
                  Row(f"patch_embed.proj_bn{theirs}", f"stem.convs.{i}.norm"),
                  neuron_row(f"patch_embed.proj_lif{theirs}", f"stem.neurons.{i}")]
    table += [Row("patch_embed.rpe_conv", "stem.position.conv"), Row("patch_embed.rpe_bn", "stem.position.norm"),
              neuron_row("patch_embed.rpe_lif", "stem.position_neuron")]
    for i in range(settings["depths"]):
        theirs, ours = f"block.{i}", f"blocks.{i}"
        table += [Row(theirs, ours), *self_attention(f"{theirs}.attn", f"{ours}.attn", variant.attention_layer),
                  neuron_row(f"{theirs}.attn.proj_lif", f"{ours}.attn_neuron"),
                  *projection(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1", variant.mlp_layer),
                  neuron_row(f"{theirs}.mlp.fc1_lif", f"{ours}.mlp.neuron"),
                  *projection(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2", variant.mlp_layer),
                  neuron_row(f"{theirs}.mlp.fc2_lif", f"{ours}.mlp_neuron")]
    return table


def dead(variant: Variant, settings: Settings) -> list[Dead]:
    dim = settings["embed_dims"]
    names = [f"block.{i}.{norm}" for i in range(settings["depths"]) for norm in ("norm1", "norm2")]
    if not variant.events:
        return dead_layer_norms(names, dim)
    patches = (settings["img_size_h"] // settings["patch_size"]) * (settings["img_size_w"] // settings["patch_size"])
    position = Dead("pos_embed", (1, patches, dim), 0.0, "position table that no forward pass uses")
    return [position, *dead_layer_norms([*names, "norm"], dim)]


def neuron(settings: Settings) -> dict:
    """What the files set: LIF with tau 2 everywhere, threshold 0.5 behind the attention."""
    return {"default": LIF,
            "overrides": {f"block.{i}.attn.attn_lif": {"v_threshold": 0.5} for i in range(settings["depths"])}}


def source(path: str, variant: Variant, defaults: Settings, **fixed) -> Source:
    return Source(
        name=f"{REPOSITORY}:{path}", classes=("Spikformer", "spikformer"), model=Spikformer,
        configure=variant.configure, neuron=neuron, defaults=defaults, ignored=IGNORED, fixed=fixed,
        rows=lambda settings: rows(variant, settings), dead=lambda settings: dead(variant, settings),
        settings_of=settings_of,
    )


# the CIFAR builder passes its arguments on without defaults of its own
CIFAR = STATIC | dict(img_size_h=32, img_size_w=32, patch_size=4) | dict.fromkeys(
    ("num_classes", "embed_dims", "num_heads", "mlp_ratios", "depths"), REQUIRED
)
SOURCES = (
    source("imagenet/model.py", Variant("1111", "conv1d", "conv2d"), STATIC),
    source("cifar10/model.py", Variant("0011", "linear", "linear"), CIFAR),
    source("cifar10dvs/model.py", Variant("1111", "conv1d", "conv1d", scale=0.25, events=True), EVENTS,
           img_size_h=128, img_size_w=128),
)
