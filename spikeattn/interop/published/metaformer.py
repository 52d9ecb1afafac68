"""Rows shared by Spike-driven Transformer V2 and V3: stem, stages and read-outs have the same names in both.

Their neurons are called lif in V2 and spike in V3; their first two stages are called 1_1 and 1_2.
"""

from collections.abc import Callable, Iterator

from spikeattn.interop.published.engine import REQUIRED, Row, Settings
from spikeattn.interop.published.rows import neuron_row, projection
from spikeattn.models.metaformer import MetaFormerConfig, five_stages

DEFAULTS = dict(img_size_h=224, img_size_w=224, in_channels=3, num_classes=1000, embed_dim=REQUIRED, num_heads=8,
                mlp_ratios=4)
# depths only spaces out the drop-path rates: stages three and four always have 6 and 2 blocks
IGNORED = frozenset({"patch_size", "qkv_bias", "qk_scale", "drop_rate", "attn_drop_rate", "drop_path_rate",
                     "norm_layer", "depths", "sr_ratios", "pretrained", "pretrained_cfg"})
DOWN = {"downsample1_2": "stages.1.down", "downsample2": "stages.2.down", "downsample3": "stages.3.down",
        "downsample4": "stages.4.down"}
EARLY = {"ConvBlock1_1.0": "stages.0.blocks.0", "ConvBlock1_2.0": "stages.1.blocks.0",
         "ConvBlock2_1.0": "stages.2.blocks.0", "ConvBlock2_2.0": "stages.2.blocks.1"}
LATE = {f"block{number}.{i}": f"stages.{number}.blocks.{i}" for number, depth in ((3, 6), (4, 2)) for i in range(depth)}


def sizes(settings: Settings) -> Settings:
    """The fields of a MetaFormerConfig that are plain sizes."""
    widths = settings["embed_dim"]
    if len(widths) != 4:
        raise ValueError(f"load: embed_dim must have four widths, got {widths}. The public class has four stages.")
    return five_stages(tuple(widths)) | dict(
        heads=settings["num_heads"], mlp_ratio=float(settings["mlp_ratios"]), in_channels=settings["in_channels"],
        num_classes=settings["num_classes"], image_size=(settings["img_size_h"], settings["img_size_w"]),
    )


def settings_of(config: MetaFormerConfig) -> Settings:
    """The constructor arguments of the public class for a model of ours (the inverse of `sizes`)."""
    return dict(embed_dim=list(config.widths[1:]), num_heads=config.heads, mlp_ratios=config.mlp_ratio,
                in_channels=config.in_channels, num_classes=config.num_classes, img_size_h=config.image_size[0],
                img_size_w=config.image_size[1])


def architecture(config: MetaFormerConfig) -> tuple:
    return (config.widths, config.depths, config.strides, config.conv_stages, config.spiking_head, config.distilled,
            {part.name for part in config.attention}, {part.options.get("value_ratio") for part in config.attention})


def stage_rows(neuron: str, early: Callable, late: Callable) -> Iterator[Row]:
    """All rows of a model; early(theirs, ours), late(theirs, ours) give those inside a block."""
    yield from (Row("downsample1_1", "stem"), Row("downsample1_1.encode_conv", "stem.embed.conv"),
                Row("downsample1_1.encode_bn", "stem.embed.norm"))
    for theirs, ours in DOWN.items():
        yield from (Row(theirs, ours), neuron_row(f"{theirs}.encode_{neuron}", f"{ours}.neuron"),
                    Row(f"{theirs}.encode_conv", f"{ours}.embed.conv"),
                    Row(f"{theirs}.encode_bn", f"{ours}.embed.norm"))
    for theirs, ours in EARLY.items():
        yield from (Row(theirs, ours), *early(theirs, ours), *conv_mlp(theirs, ours, neuron))
    for theirs, ours in LATE.items():
        yield from (Row(theirs, ours), *late(theirs, ours))
    yield from (neuron_row(neuron, "head_neuron"), Row("head", "head"))


def conv_mlp(theirs: str, ours: str, neuron: str) -> list[Row]:
    table = [neuron_row(f"{theirs}.{neuron}1", f"{ours}.mlp.neuron"),
             neuron_row(f"{theirs}.{neuron}2", f"{ours}.mlp.layer.neuron")]
    for i in (1, 2):
        table += [Row(f"{theirs}.conv{i}", f"{ours}.mlp.layer.fc{i}.conv"),
                  Row(f"{theirs}.bn{i}", f"{ours}.mlp.layer.fc{i}.norm")]
    return table


def mlp(theirs: str, ours: str, neuron: str) -> list[Row]:
    return [Row(f"{theirs}.mlp", f"{ours}.mlp"), neuron_row(f"{theirs}.mlp.fc1_{neuron}", f"{ours}.mlp_neuron"),
            *projection(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1", "conv1d"),
            neuron_row(f"{theirs}.mlp.fc2_{neuron}", f"{ours}.mlp.neuron"),
            *projection(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2", "conv1d")]


def attention_neurons(theirs: str, ours: str, neuron: str) -> list[Row]:
    return [Row(f"{theirs}.attn", f"{ours}.attn"), neuron_row(f"{theirs}.attn.head_{neuron}", f"{ours}.attn_neuron"),
            *(neuron_row(f"{theirs}.attn.{name}_{neuron}", f"{ours}.attn.{name}_neuron")
              for name in ("q", "k", "v", "attn"))]


def rep_projections(theirs: str, ours: str) -> list[Row]:
    """q, k, v, proj as RepConv with one more norm behind it."""
    table = []
    for name in ("q", "k", "v", "proj"):
        body, target = f"{theirs}.attn.{name}_conv.0.body", f"{ours}.attn.{name}"
        table += [Row(f"{body}.0", f"{target}.mix"), Row(f"{body}.1.bn", f"{target}.mix_norm"),
                  Row(f"{body}.2.0", f"{target}.depthwise"), Row(f"{body}.2.1", f"{target}.project"),
                  Row(f"{body}.2.2", f"{target}.project_norm"),
                  Row(f"{theirs}.attn.{name}_conv.1", f"{target}.norm")]
    return table
