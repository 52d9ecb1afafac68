"""QKFormer: zhouchenlin2096/QKFormer, imagenet/qkformer.py and the model.py of cifar10, cifar100, cifar10-dvs and
dvs128-gesture.

The files differ in their stages, in the names of the last stage's attention and of the MLP's layers, and in where
the embeddings pool. In all of them the neuron behind the self-attention's projection runs over time and batch as
one axis; models loaded from them do the same (`config.time_batch_merged`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from spikeattn.blocks import Embedding
from spikeattn.interop.published.engine import REQUIRED, Dead, Row, Settings, Source
from spikeattn.interop.published.neurons import LIF, lif_config
from spikeattn.interop.published.rows import neuron_row, projection, query_key_attention, self_attention
from spikeattn.models import ModelConfig, Part, QKFormer, QKFormerConfig
from spikeattn.models.qkformer import cifar_embeddings, event_embeddings, imagenet_embeddings

REPOSITORY = "zhouchenlin2096/QKFormer"
IGNORED = frozenset({"qkv_bias", "qk_scale", "drop_rate", "attn_drop_rate", "drop_path_rate", "drop_block_rate",
                     "norm_layer", "sr_ratios", "pretrained_cfg", "pretrained", "in_chans", "no_weight_decay"})


@dataclass(frozen=True)
class Variant:
    """What distinguishes the files.

    attention, mlp: their names of the last stage's attention and of the MLP's layers. early: blocks of all stages but
    the last; last: blocks of the last one for their `depths`. heads: where the file fixes them. layers: their
    names inside the embeddings.
    """

    embeddings: Callable[[int], tuple[Embedding, ...]]
    attention: str
    mlp: tuple[str, str]
    early: tuple[int, ...]
    last: Callable[[int], int]
    heads: int | None
    layers: tuple[tuple[str, ...], ...]

    def depths(self, settings: Settings) -> tuple[int, ...]:
        return (*self.early, self.last(settings["depths"]))

    def configure(self, settings: Settings, neuron: dict) -> QKFormerConfig:
        depths = self.depths(settings)
        fields = lif_config(neuron, rows(self, settings), {"scale": 0.125})
        threshold = fields["attention"][0].options["attn_threshold"]
        return QKFormerConfig(
            dim=settings["embed_dims"], depth=sum(depths), depths=depths, heads=self.heads or settings["num_heads"],
            mlp_ratio=float(settings["mlp_ratios"]), in_channels=settings["in_channels"],
            num_classes=settings["num_classes"], image_size=(settings["img_size_h"], settings["img_size_w"]),
            timesteps=settings["T"], embeddings=self.embeddings(settings["embed_dims"]),
            mixers=(Part("token_qk", {"attn_threshold": threshold}),) * len(self.early), time_batch_merged=True,
            **fields,
        )


def settings_of(config: ModelConfig) -> Settings:
    """The constructor arguments of the public class for a model of ours."""
    rows, columns = config.image_size
    return dict(img_size_h=rows, img_size_w=columns, in_channels=config.in_channels, num_classes=config.num_classes,
                embed_dims=config.dim, num_heads=config.heads, mlp_ratios=config.mlp_ratio, depths=config.depth,
                T=config.timesteps)


def architecture(config: ModelConfig) -> tuple:
    """What two hierarchical models of the same weights share besides their sizes."""
    mixers = tuple((part.name, part.options.get("kernel")) for part in config.mixers)
    last = {(part.name, part.options.get("scale", 0.125)) for part in config.attention}
    biases = config.embedding_bias, config.output_bias, getattr(config, "attention_shortcut", None)
    return config.embeddings, config.depths, mixers, config.mixer_heads, config.heads, biases, last


def rows(variant: Variant, settings: Settings) -> list[Row]:
    table = [Row("head", "head")]
    for s, (depth, layers) in enumerate(zip(variant.depths(settings), variant.layers, strict=True)):
        theirs, ours = f"patch_embed{s + 1}", f"stages.{s}.embedding"
        table.append(Row(theirs, ours))
        places = [(name, f"convs.{j}", f"neurons.{j}") for j, name in enumerate(layers)]
        for name, convolution, neuron in (*places, ("proj_res", "shortcut", "shortcut_neuron")):
            table += [Row(f"{theirs}.{name}_conv", f"{ours}.{convolution}.conv"),
                      Row(f"{theirs}.{name}_bn", f"{ours}.{convolution}.norm"),
                      neuron_row(f"{theirs}.{name}_lif", f"{ours}.{neuron}")]
        last = s == len(variant.early)
        name, attention = (variant.attention, self_attention) if last else ("tssa", query_key_attention)
        for i in range(depth):
            theirs, ours = f"stage{s + 1}.{i}", f"stages.{s}.blocks.{i}"
            first, second = (f"{theirs}.mlp.{layer}" for layer in variant.mlp)
            table += [Row(theirs, ours), *attention(f"{theirs}.{name}", f"{ours}.attn", "conv1d"),
                      neuron_row(f"{theirs}.{name}.proj_lif", f"{ours}.attn_neuron"),
                      *projection(first, f"{ours}.mlp.fc1", "conv2d"),
                      neuron_row(f"{first}_lif", f"{ours}.mlp.neuron"),
                      *projection(second, f"{ours}.mlp.fc2", "conv2d"),
                      neuron_row(f"{second}_lif", f"{ours}.mlp_neuron")]
    return table


def neuron(variant: Variant, settings: Settings) -> dict:
    """What the files set: LIF with tau 2 everywhere, threshold 0.5 behind the attention."""
    names = [row.theirs for row in rows(variant, settings) if row.neuron and row.theirs.endswith("attn_lif")]
    return {"default": LIF, "overrides": {name: {"v_threshold": 0.5} for name in names}}


def dead(settings: Settings) -> list[Dead]:
    return []


def source(path: str, classes: tuple[str, ...], variant: Variant, defaults: Settings, *, builders: dict[str, Settings],
           ignored: tuple[str, ...] = ()) -> Source:
    return Source(
        name=f"{REPOSITORY}:{path}", classes=classes, builders=builders, model=QKFormer, configure=variant.configure,
        neuron=lambda settings: neuron(variant, settings), defaults=defaults, ignored=IGNORED | set(ignored),
        rows=lambda settings: rows(variant, settings), dead=dead, settings_of=settings_of, architecture=architecture,
    )


def all_but_early(early: tuple[int, ...]) -> Callable[[int], int]:
    return lambda depths: depths - sum(early)


LATER = ("proj3", "proj4")
IMAGENET = Variant(imagenet_embeddings, "attn", ("fc1", "fc2"), (1, 2), all_but_early((1, 2)), None,
                   (("proj", "proj1", "proj2"), LATER, LATER))
CIFAR = Variant(cifar_embeddings, "ssa", ("mlp1", "mlp2"), (1, 1), all_but_early((1, 1)), 8,
                (("proj", "proj1"), LATER, LATER))
EVENT = Variant(event_embeddings, "ssa", ("mlp1", "mlp2"), (1,), lambda depths: 1, 16,
                (("proj", "proj1", "proj2", "proj3"), ("proj", "proj4")))
SIZES = dict(img_size_h=128, img_size_w=128, patch_size=16, in_channels=2, num_classes=11, T=4) | dict.fromkeys(
    ("embed_dims", "num_heads", "mlp_ratios", "depths"), REQUIRED
)


def imagenet_builder(dim: int, heads: int) -> Settings:
    return dict(T=1, img_size_h=224, img_size_w=224, embed_dims=dim, num_heads=heads, mlp_ratios=4, in_channels=3,
                num_classes=1000, depths=10)


def event_builder(mlp_ratio: int, classes: int) -> Settings:
    return dict(embed_dims=256, num_heads=16, mlp_ratios=mlp_ratio, in_channels=2, num_classes=classes, depths=4)


SOURCES = (
    source("imagenet/qkformer.py", ("hierarchical_spiking_transformer",), IMAGENET, SIZES,
           builders={f"QKFormer_10_{64 * heads}": imagenet_builder(64 * heads, heads) for heads in (6, 8, 12)}),
    *(source(f"{name}/model.py", ("spiking_transformer", "QKFormer"), CIFAR, SIZES | {"num_heads": 8}, builders={})
      for name in ("cifar10", "cifar100")),
    source("cifar10-dvs/model.py", ("vit_snn",), EVENT, SIZES | {"num_heads": 16, "depths": 4},
           builders={"QKFormer": event_builder(1, 10)}),
    source("dvs128-gesture/model.py", ("vit_snn",), EVENT, SIZES | {"num_heads": 16, "depths": 4},
           builders={"QKFormer": event_builder(4, 11)}),
)
