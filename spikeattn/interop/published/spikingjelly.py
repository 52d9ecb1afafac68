"""SpikingJelly 2.0's models: fangwei123456/spikingjelly, spikformer.py, qkformer.py and maxformer.py of
spikingjelly/activation_based/model.

They compute queries, keys and values by one matrix, and place biases and pools otherwise than the authors' code.
Their QKFormer has no time-and-batch defect; their Max-Former for large pictures adds the attention's spikes to the
stream; their Spikformer pools in front of its neurons and gives one row of logits for each time step.
"""

from spikeattn.interop.published.engine import (
    FROM_CONV1D,
    FROM_CONV2D,
    SAME,
    Dead,
    Row,
    Settings,
    Source,
    Transform,
)
from spikeattn.interop.published.neurons import LIF, lif_config
from spikeattn.interop.published.qkformer import architecture
from spikeattn.interop.published.rows import neuron_row
from spikeattn.models import (
    MaxFormer,
    MaxFormerConfig,
    ModelConfig,
    Part,
    QKFormer,
    QKFormerConfig,
    Spikformer,
    SpikformerConfig,
    maxformer,
    qkformer,
)
from spikeattn.models.spikformer import stem

FOLDER = "fangwei123456/spikingjelly:spikingjelly/activation_based/model"
NODE = LIF | {"type": "LIFNode"}
ATTENTION = {"detach_reset": True}


def layer(conv: str, norm: str, ours: str, name: str = "conv", transform: Transform = SAME) -> list[Row]:
    """A convolution of theirs and its norm -> our ConvNorm or (name "linear") Projection."""
    return [Row(conv, f"{ours}.{name}", transform), Row(norm, f"{ours}.norm")]


def matrix(conv: str, norm: str, ours: str, transform: Transform = FROM_CONV1D) -> list[Row]:
    return layer(conv, norm, ours, "linear", transform)


def fused(theirs: str, ours: str, names: str, neuron: str) -> list[Row]:
    """`theirs`.0 and .1 (convolution and norm) and `neuron` for several of our projections at once."""
    rows = []
    for index, name in enumerate(names):
        part = (index, len(names))
        rows += [Row(f"{theirs}.0", f"{ours}.{name}.linear", FROM_CONV1D, part=part),
                 Row(f"{theirs}.1", f"{ours}.{name}.norm", part=part),
                 Row(neuron, f"{ours}.{name}_neuron", neuron=True, part=part)]
    return rows


def attention(theirs: str, ours: str, names: str) -> list[Row]:
    """Their SpikingSelfAttention ("qkv") or QKAttention ("qk") and the neuron at its end."""
    return [*fused(f"{theirs}.{names}_conv_bn", f"{ours}.attn", names, f"{theirs}.{names}_lif"),
            neuron_row(f"{theirs}.attn_lif", f"{ours}.attn.attn_neuron"),
            *matrix(f"{theirs}.proj_conv_bn.0", f"{theirs}.proj_conv_bn.1", f"{ours}.attn.proj"),
            neuron_row(f"{theirs}.proj_lif", f"{ours}.attn_neuron")]


def attention_neurons(rows: list[Row]) -> dict:
    """What their attention sets for its own neurons."""
    paths = {row.theirs for row in rows if row.neuron and ".attn." in row.theirs and row.theirs.endswith("_lif")}
    return {path: ATTENTION | ({"v_threshold": 0.5} if path.endswith("attn_lif") else {}) for path in paths}


def nothing_dead(settings: Settings) -> list[Dead]:
    return []


# Spikformer


def spikformer_rows(settings: Settings) -> list[Row]:
    table = [Row("patch_embed", "stem"), Row("head", "head")]
    for i in range(4):
        theirs = f"patch_embed.stages.{i}"
        table += [*layer(f"{theirs}.conv_bn.block.0", f"{theirs}.conv_bn.block.1", f"stem.convs.{i}"),
                  neuron_row(f"{theirs}.neuron", f"stem.neurons.{i}")]
    theirs = "patch_embed.positional_encoding"
    table += [*layer(f"{theirs}.conv_bn.block.0", f"{theirs}.conv_bn.block.1", "stem.position"),
              neuron_row(f"{theirs}.neuron", "stem.position_neuron")]
    for i in range(settings["depths"]):
        block = f"blocks.{i}"  # the same in both
        table += [Row(block, block), *attention(f"{block}.attn", block, "qkv"),
                  *matrix(f"{block}.mlp.fc1.0", f"{block}.mlp.fc1.1", f"{block}.mlp.fc1"),
                  neuron_row(f"{block}.mlp.neuron1", f"{block}.mlp.neuron"),
                  *matrix(f"{block}.mlp.fc2.0", f"{block}.mlp.fc2.1", f"{block}.mlp.fc2"),
                  neuron_row(f"{block}.mlp.neuron2", f"{block}.mlp_neuron")]
    return table


def spikformer_configure(settings: Settings, neuron: dict) -> SpikformerConfig:
    pools = {4: "0011", 16: "1111"}
    if settings["patch_size"] not in pools:
        raise ValueError(f"load: patch_size must be 4 or 16, got {settings['patch_size']!r}. The class has no other.")
    plan = stem(settings["embed_dims"], pools[settings["patch_size"]])
    return SpikformerConfig(
        dim=settings["embed_dims"], depth=settings["depths"], heads=settings["num_heads"], output_bias=False,
        mlp_ratio=float(settings["mlp_ratio"]), in_channels=settings["in_channels"], mlp_bias=False, readout="steps",
        num_classes=settings["num_classes"], image_size=(settings["img_size_h"], settings["img_size_w"]),
        timesteps=settings["T"], stem=tuple((width, down and "pool_current") for width, down in plan),
        **lif_config(neuron, spikformer_rows(settings), {"scale": 0.125}),
    )


def spikformer_settings(config: ModelConfig) -> Settings:
    rows, columns = config.image_size
    halvings = sum(down != "" for _, down in config.stem)
    return dict(img_size_h=rows, img_size_w=columns, patch_size=2**halvings, in_channels=config.in_channels,
                num_classes=config.num_classes, embed_dims=config.dim, num_heads=config.heads,
                mlp_ratio=config.mlp_ratio, depths=config.depth, T=config.timesteps)


def spikformer_neuron(settings: Settings) -> dict:
    return {"default": NODE, "overrides": attention_neurons(spikformer_rows(settings))}


# QKFormer


def chain_rows(theirs: str, ours: str, layers: int) -> list[Row]:
    """conv1, bn1 and so on -> the chain of an embedding."""
    return [row for j in range(layers)
            for row in layer(f"{theirs}.conv{j + 1}", f"{theirs}.bn{j + 1}", f"{ours}.convs.{j}")]


def qkformer_rows(settings: Settings) -> list[Row]:
    table = [Row("head", "head")]
    for s, depth in enumerate(settings["depths"]):
        theirs, ours, layers = f"patch_embed{s + 1}", f"stages.{s}.embedding", 2 if s else 3
        table += [Row(theirs, ours), *chain_rows(theirs, ours, layers),
                  *(neuron_row(f"{theirs}.lif{j + 1}", f"{ours}.neurons.{j}") for j in range(layers)),
                  *layer(f"{theirs}.shortcut.0", f"{theirs}.shortcut.1", f"{ours}.shortcut"),
                  neuron_row(f"{theirs}.shortcut.2", f"{ours}.shortcut_neuron")]
        for i in range(depth):
            theirs, ours = f"stage{s + 1}.{i}", f"stages.{s}.blocks.{i}"
            table += [Row(theirs, ours), *attention(f"{theirs}.attn", ours, "qkv" if s == 2 else "qk"),
                      *mlp_rows(f"{theirs}.mlp", ours, FROM_CONV1D, hidden="lif1", end="lif2")]
    return table


def mlp_rows(theirs: str, ours: str, transform: Transform, *, hidden: str, end: str) -> list[Row]:
    """fc1, bn1, fc2, bn2; `hidden` and `end` name the neurons of the hidden layer and of the block's shortcut."""
    return [*matrix(f"{theirs}.fc1", f"{theirs}.bn1", f"{ours}.mlp.fc1", transform),
            *matrix(f"{theirs}.fc2", f"{theirs}.bn2", f"{ours}.mlp.fc2", transform),
            neuron_row(f"{theirs}.{hidden}", f"{ours}.mlp.neuron"), neuron_row(f"{theirs}.{end}", f"{ours}.mlp_neuron")]


def three(settings: Settings, *names: str) -> None:
    for name in names:
        if not isinstance(settings[name], list | tuple) or len(settings[name]) != 3:
            raise ValueError(f"load: {name} must have one value for each of the 3 stages, got {settings[name]!r}.")


def qkformer_configure(settings: Settings, neuron: dict) -> QKFormerConfig:
    three(settings, "depths", "num_heads")
    if settings["qka_type"] not in ("token", "channel"):
        raise ValueError(f"load: qka_type must be 'token' or 'channel', got {settings['qka_type']!r}.")
    fields = lif_config(neuron, qkformer_rows(settings), {"scale": 0.125})
    gate = Part(f"{settings['qka_type']}_qk", {"attn_threshold": fields["attention"][0].options["attn_threshold"]})
    *early, last = settings["num_heads"]
    return QKFormerConfig(
        dim=settings["embed_dims"], depth=sum(settings["depths"]), depths=settings["depths"], heads=last,
        mixer_heads=early, mixers=(gate, gate), embeddings=qkformer.imagenet_embeddings(settings["embed_dims"]),
        embedding_bias=True, output_bias=False, **hierarchical_sizes(settings), **fields,
    )


def hierarchical_sizes(settings: Settings) -> Settings:
    return dict(mlp_ratio=float(settings["mlp_ratio"]), in_channels=settings["in_channels"], timesteps=settings["T"],
                num_classes=settings["num_classes"], image_size=settings["image_size"])


def qkformer_settings(config: ModelConfig) -> Settings:
    return dict(in_channels=config.in_channels, num_classes=config.num_classes, embed_dims=config.dim,
                num_heads=(*config.mixer_heads, config.heads), depths=config.depths, mlp_ratio=config.mlp_ratio,
                qka_type=config.mixers[0].name.removesuffix("_qk"), T=config.timesteps, image_size=config.image_size)


def qkformer_neuron(settings: Settings) -> dict:
    return {"default": NODE | {"detach_reset": False}, "overrides": attention_neurons(qkformer_rows(settings))}


# Max-Former


def maxformer_rows(settings: Settings) -> list[Row]:
    cifar = settings["cifar"]
    table = [Row("head", "head"), neuron_row("head_lif", "head_neuron")]
    for s, depth in enumerate(settings["depths"]):
        theirs, ours = f"patch_embed{s + 1}", f"stages.{s}.embedding"
        table += [Row(theirs, ours), *maxformer_embedding(theirs, ours, first=s == 0, cifar=cifar)]
        for i in range(depth):
            theirs, ours = f"stage{s + 1}.{i}", f"stages.{s}.blocks.{i}"
            alone = cifar and s == 0  # no mixer: their block is the MLP itself
            table += mlp_rows(theirs if alone else f"{theirs}.mlp", ours, FROM_CONV2D, hidden="lif2", end="lif1")
            if s < 2 and not alone:
                table += [*layer(f"{theirs}.dwconv", f"{theirs}.bn", f"{ours}.attn"),
                          neuron_row(f"{theirs}.lif", f"{ours}.attn_neuron")]
            elif s == 2:
                table += cifar_attention(f"{theirs}.attn", ours) if cifar else attention(f"{theirs}.attn", ours, "qkv")
            table.append(Row(theirs, ours))
    return table


def maxformer_embedding(theirs: str, ours: str, *, first: bool, cifar: bool) -> list[Row]:
    if first and cifar:
        return [*layer(f"{theirs}.conv", f"{theirs}.bn", f"{ours}.convs.0"),
                *layer(f"{theirs}.branch.1", f"{theirs}.branch.2", f"{ours}.convs.1"),
                *layer(f"{theirs}.shortcut.1", f"{theirs}.shortcut.2", f"{ours}.shortcut"),
                neuron_row(f"{theirs}.branch.0", f"{ours}.neurons.0"),
                neuron_row(f"{theirs}.shortcut.0", f"{ours}.neurons.0")]
    return [*chain_rows(theirs, ours, 3 if first else 2),
            *layer(f"{theirs}.shortcut.0", f"{theirs}.shortcut.1", f"{ours}.shortcut"),
            *(neuron_row(f"{theirs}.lif{j + 1}", f"{ours}.neurons.{j}") for j in range(2))]


def cifar_attention(theirs: str, ours: str) -> list[Row]:
    return [neuron_row(f"{theirs}.input_lif", f"{ours}.attn_neuron"),
            *fused(f"{theirs}.qkv", f"{ours}.attn", "qkv", f"{theirs}.qkv_lif"),
            neuron_row(f"{theirs}.attn_lif", f"{ours}.attn.attn_neuron"),
            *matrix(f"{theirs}.proj.0", f"{theirs}.proj.1", f"{ours}.attn.proj")]


def maxformer_configure(settings: Settings, neuron: dict) -> MaxFormerConfig:
    three(settings, "depths")
    cifar, dim = settings["cifar"], settings["embed_dims"]
    mixers = (Part("identity"), maxformer.dwc(3)) if cifar else (maxformer.dwc(7), maxformer.dwc(5))
    embeddings = maxformer.cifar_embeddings if cifar else maxformer.imagenet_embeddings
    return MaxFormerConfig(
        dim=dim, depth=sum(settings["depths"]), depths=settings["depths"], heads=8 if cifar else max(1, dim // 64),
        mixers=mixers, embeddings=embeddings(dim), embedding_bias=not cifar, output_bias=cifar,
        attention_shortcut="membrane" if cifar else "spike", **hierarchical_sizes(settings),
        **lif_config(neuron, maxformer_rows(settings), {"scale": 0.125}),
    )


def maxformer_settings(config: ModelConfig) -> Settings:
    return dict(in_channels=config.in_channels, num_classes=config.num_classes, embed_dims=config.dim,
                depths=config.depths, mlp_ratio=config.mlp_ratio, cifar=not config.embedding_bias,
                T=config.timesteps, image_size=config.image_size)


def maxformer_neuron(settings: Settings) -> dict:
    default = NODE | {"detach_reset": settings["cifar"]}
    return {"default": default, "overrides": attention_neurons(maxformer_rows(settings))}


COMMON = dict(T=4, in_channels=3, num_classes=1000, mlp_ratio=4.0)
SPIKFORMER = COMMON | dict(img_size_h=224, img_size_w=224, patch_size=16, embed_dims=256, num_heads=8, depths=4)
SMALL = SPIKFORMER | dict(embed_dims=384, num_heads=12)
PICTURE = {"image_size": (224, 224)}  # the hierarchical classes take any; ours records the one they are meant for
QKFORMER = COMMON | PICTURE | dict(embed_dims=384, num_heads=(3, 6, 6), depths=(1, 2, 7), qka_type="token")
MAXFORMER = COMMON | PICTURE | dict(embed_dims=384, depths=(1, 2, 7), cifar=False)
IGNORED = frozenset({"spiking_neuron", "backend"})
SOURCES = (
    Source(
        name=f"{FOLDER}/spikformer.py", classes=("Spikformer",), model=Spikformer, configure=spikformer_configure,
        neuron=spikformer_neuron, defaults=SPIKFORMER, rows=spikformer_rows, dead=nothing_dead, ignored=IGNORED,
        settings_of=spikformer_settings, builders={
            "spikformer_ti": SPIKFORMER, "spikformer_s": SMALL | {"depths": 6},
            "spikformer_cifar10": SMALL | dict(img_size_h=32, img_size_w=32, patch_size=4, num_classes=10)},
    ),
    Source(
        name=f"{FOLDER}/qkformer.py", classes=("QKFormer",), model=QKFormer, configure=qkformer_configure,
        neuron=qkformer_neuron, defaults=QKFORMER, rows=qkformer_rows, dead=nothing_dead, ignored=IGNORED,
        settings_of=qkformer_settings, architecture=architecture,
        builders={"qkformer_10_384": {"num_heads": (6, 6, 6)}},
    ),
    Source(
        name=f"{FOLDER}/maxformer.py", classes=("MaxFormer",), model=MaxFormer, configure=maxformer_configure,
        neuron=maxformer_neuron, defaults=MAXFORMER, rows=maxformer_rows, dead=nothing_dead, ignored=IGNORED,
        settings_of=maxformer_settings, architecture=architecture,
        builders={"maxformer_10_384": {}, "maxformer_cifar": dict(depths=(1, 1, 2), cifar=True, num_classes=100)},
    ),
)
