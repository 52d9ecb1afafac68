"""Max-Former: bic-L/MaxFormer, the max_former.py of imagenet, cifar10-100 and event, and imagenet/ms_qkformer.py.

The files differ in their mixers, in the names inside the first embedding and in the number of stages; `depths` of
their constructors has no effect. The last file is the baseline: QKFormer with membrane shortcuts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spikeattn.blocks import Embedding
from spikeattn.interop.published.engine import Dead, Row, Settings, Source
from spikeattn.interop.published.neurons import LIF, lif_config
from spikeattn.interop.published.qkformer import architecture
from spikeattn.interop.published.rows import neuron_row, projection, query_key_attention, self_attention
from spikeattn.models import MaxFormer, MaxFormerConfig, ModelConfig, Part
from spikeattn.models import maxformer as models

REPOSITORY = "bic-L/MaxFormer"

@dataclass(frozen=True)
class Variant:
    """What distinguishes the files.

    depths: blocks of each stage. mixers: (mechanism, its options, their name of its module) of the early stages.
    heads(settings): heads of every attention. embeddings: the plans. first, later: their names of the layers of the
    first embedding and of the others, the shortcut last; {} stands for conv, bn and lif.
    """

    depths: tuple[int, ...]
    mixers: tuple[tuple[str, dict, str], ...]
    heads: Callable[[Settings], int]
    embeddings: Callable[[int], tuple[Embedding, ...]]
    first: tuple[str, ...]
    later: tuple[str, ...] = ("max_embed1.embed_{}", "embed1.embed_{}", "max_embed2.embed_{}")

    def configure(self, settings: Settings, neuron: dict) -> MaxFormerConfig:
        fields = lif_config(neuron, rows(self, settings), {"scale": 0.125})
        gates = {"token_qk": {"attn_threshold": fields["attention"][0].options["attn_threshold"]}}
        mixers = tuple(Part(name, options | gates.get(name, {})) for name, options, _ in self.mixers)
        return MaxFormerConfig(
            dim=settings["embed_dims"], depth=sum(self.depths), depths=self.depths, heads=self.heads(settings),
            mlp_ratio=float(settings["mlp_ratios"]), in_channels=settings["in_channels"], mixers=mixers,
            num_classes=settings["num_classes"], image_size=settings["image_size"], timesteps=settings["T"],
            embeddings=self.embeddings(settings["embed_dims"]), **fields,
        )


def settings_of(config: ModelConfig) -> Settings:
    """The constructor arguments of the public class for a model of ours."""
    return dict(in_channels=config.in_channels, num_classes=config.num_classes, embed_dims=config.dim,
                mlp_ratios=config.mlp_ratio, T=config.timesteps, image_size=config.image_size)


def rows(variant: Variant, settings: Settings) -> list[Row]:
    table = [Row("head", "head"), neuron_row("head_lif", "head_neuron")]
    for s, depth in enumerate(variant.depths):
        table += embedding_rows(f"patch_embed{s + 1}", f"stages.{s}.embedding", variant.later if s else variant.first,
                                first=s == 0)
        for i in range(depth):
            theirs, ours = f"stage{s + 1}.{i}", f"stages.{s}.blocks.{i}"
            table += [Row(theirs, ours), *mixer_rows(variant, s, theirs, ours),
                      neuron_row(f"{theirs}.mlp.fc1_lif", f"{ours}.mlp_neuron"),
                      *projection(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1", "conv2d"),
                      neuron_row(f"{theirs}.mlp.fc2_lif", f"{ours}.mlp.neuron"),
                      *projection(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2", "conv2d")]
    return table


def embedding_rows(theirs: str, ours: str, layers: tuple[str, ...], *, first: bool) -> Iterator[Row]:
    """The layers of one embedding; the first convolution of the first one sees the picture."""
    yield Row(theirs, ours)
    for j, layer in enumerate(layers):
        place = f"{ours}.convs.{j}" if j < len(layers) - 1 else f"{ours}.shortcut"
        yield Row(f"{theirs}.{layer.format('conv')}", f"{place}.conv")
        yield Row(f"{theirs}.{layer.format('bn')}", f"{place}.norm")
        if first <= j < len(layers) - 1:
            yield neuron_row(f"{theirs}.{layer.format('lif')}", f"{ours}.neurons.{j - first}")
    if layers == CIFAR_FIRST:  # its two branches have equal neurons on one input; ours share one
        yield neuron_row(f"{theirs}.embed2.embed_lif", f"{ours}.neurons.0")


def mixer_rows(variant: Variant, stage: int, theirs: str, ours: str) -> list[Row]:
    mechanism, _, name = variant.mixers[stage] if stage < len(variant.mixers) else ("ssa", {}, "attn")
    if mechanism == "identity":
        return []
    if mechanism == "dwc":
        layer = f"{theirs}.mixer.{name}"
        return [Row(layer, f"{ours}.attn.conv"), Row(f"{layer}_bn", f"{ours}.attn.norm"),
                neuron_row(f"{layer}_neuron", f"{ours}.attn_neuron")]
    attention = query_key_attention if mechanism == "token_qk" else self_attention
    return [*attention(f"{theirs}.{name}", f"{ours}.attn", "conv1d"),
            neuron_row(f"{theirs}.{name}.x_lif", f"{ours}.attn_neuron")]


def neuron(variant: Variant, settings: Settings) -> dict:
    """What the files set: LIF with tau 2 everywhere, threshold 0.5 behind the attention."""
    names = [row.theirs for row in rows(variant, settings) if row.neuron and row.theirs.endswith("attn_lif")]
    return {"default": LIF, "overrides": {name: {"v_threshold": 0.5} for name in names}}


def dead(settings: Settings) -> list[Dead]:
    return []


def source(path: str, classes: tuple[str, ...], variant: Variant, defaults: Settings,
           builders: dict[str, Settings]) -> Source:
    return Source(
        name=f"{REPOSITORY}:{path}", classes=classes, builders=builders, model=MaxFormer, configure=variant.configure,
        neuron=lambda settings: neuron(variant, settings), defaults=defaults,
        ignored=frozenset({"depths", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}),
        rows=lambda settings: rows(variant, settings), dead=dead, settings_of=settings_of, architecture=architecture,
    )


def heads_of_64(settings: Settings) -> int:
    return settings["embed_dims"] // 64


FLAT = ("proj_{}", "proj_{}1", "proj_{}2", "rpe_{}")
CIFAR_FIRST = ("proj_{}", "embed1.embed_{}", "embed2.embed_{}")
DWC7, DWC5, DWC3 = (("dwc", {"kernel": kernel}, name) for kernel, name in ((7, "conv5"), (5, "conv"), (3, "conv")))
IMAGENET = Variant((1, 2, 7), (DWC7, DWC5), heads_of_64, models.imagenet_embeddings,
                   tuple(f"embed{j}.embed_{{}}" for j in (1, 2, 3, 4)))
CIFAR = Variant((1, 1, 2), (("identity", {}, "mixer"), DWC3), lambda settings: 8, models.cifar_embeddings, CIFAR_FIRST)
EVENT = Variant((1, 1), (DWC3,), lambda settings: 16, models.event_embeddings,
                ("proj_{}", *(f"max_embed{j}.embed_{{}}" for j in (1, 2, 3)), "embed1.embed_{}"))
BASELINE = Variant((1, 2, 7), (("token_qk", {}, "attn"),) * 2, heads_of_64, models.baseline_embeddings, FLAT,
                   ("proj3_{}", "proj4_{}", "proj_res_{}"))
SIZES = dict(in_channels=2, num_classes=11, embed_dims=512, mlp_ratios=4, T=4)


def sizes(image: int) -> Settings:
    return SIZES | {"image_size": (image, image)}  # the classes take any; ours records the one they are meant for


def builders(prefix: str) -> dict[str, Settings]:
    return {f"{prefix}_10_{dim}": dict(embed_dims=dim, mlp_ratios=4, in_channels=3, num_classes=1000, T=1)
            for dim in (384, 512, 768)}


SOURCES = (
    source("imagenet/max_former.py", ("Max_Former", "maxformer"), IMAGENET, sizes(224), builders("maxformer")),
    source("cifar10-100/max_former.py", ("Max_Former", "max_former", "maxformer"), CIFAR, sizes(32), {}),
    source("event/max_former.py", ("Max_Former", "max_former", "maxformer"), EVENT, sizes(128), {}),
    source("imagenet/ms_qkformer.py", ("MS_QKformer", "ms_qkformer"), BASELINE, sizes(224), builders("ms_qkformer")),
)
