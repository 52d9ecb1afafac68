"""SpikingResformer: xyshi2000/SpikingResformer, models/spikingresformer.py.

One class; its builders differ in widths, in the prologue and, for gestures, in the neuron (PLIF).
"""

from spikeattn.interop.published.engine import FROM_CONV2D, REQUIRED, Row, Settings, Source
from spikeattn.interop.published.neuron_parts import ATAN_LIF, with_neurons
from spikeattn.interop.published.rows import neuron_row
from spikeattn.models import SpikingResformer, SpikingResformerConfig

LAYERS = {"DSSA": "attention", "GWFFN": "ffn"}
PAIR = ["DSSA", "GWFFN"]
PLAIN = "3x3"  # our word for the prologue that two builders pass as a module
DEFAULTS = dict(layers=REQUIRED, planes=REQUIRED, num_heads=REQUIRED, patch_sizes=REQUIRED, img_size=224, T=4,
                in_channels=3, num_classes=1000, prologue=None, group_size=64, activation="LIF")


def builder(planes: list[int], heads: list[int], **more) -> Settings:
    return dict(layers=[PAIR, PAIR * 2, PAIR * 3], planes=planes, num_heads=heads, patch_sizes=[4, 2, 1]) | more


BUILDERS = {
    "spikingresformer_ti": builder([64, 192, 384], [1, 3, 6]),
    "spikingresformer_s": builder([64, 256, 512], [1, 4, 8]),
    "spikingresformer_m": builder([64, 384, 768], [1, 6, 12]),
    "spikingresformer_l": builder([128, 512, 1024], [2, 8, 16]),
    "spikingresformer_dvsg": builder([32, 96, 192], [1, 3, 6], prologue=PLAIN, group_size=32, activation="PLIF"),
    "spikingresformer_cifar": builder([64, 192, 384], [1, 3, 6], prologue=PLAIN),
}


def configure(settings: Settings, neuron: dict) -> SpikingResformerConfig:
    if settings["prologue"] not in (None, PLAIN):
        raise ValueError(
            f"load: prologue must be None (7x7 and pool) or {PLAIN!r}, got {settings['prologue']!r}. "
            "Other stems have no counterpart here."
        )
    unknown = sorted({name for stage in settings["layers"] for name in stage} - LAYERS.keys())
    if unknown:
        raise ValueError(f"load: layers must be among {sorted(LAYERS)}, got {unknown}. Check the config.")
    layers = tuple(tuple(LAYERS[name] for name in stage) for stage in settings["layers"])
    planes, heads = tuple(settings["planes"]), tuple(settings["num_heads"])
    config = SpikingResformerConfig(
        widths=planes, dim=planes[-1], stage_heads=heads, heads=heads[-1], layers=layers,
        depth=sum(map(len, layers)), patches=tuple(settings["patch_sizes"]), group_size=settings["group_size"],
        prologue="pool" if settings["prologue"] is None else "plain", image_size=settings["img_size"],
        in_channels=settings["in_channels"], num_classes=settings["num_classes"], timesteps=settings["T"],
        readout="steps", attention="dssa",
    )
    return with_neurons(SpikingResformer, config, neuron, rows(settings))


def neuron(settings: Settings) -> dict:
    return {"default": ATAN_LIF | {"type": settings["activation"]}, "overrides": {}}


def rows(settings: Settings) -> list[Row]:
    table = [Row("prologue", "stem"), Row("prologue.0", "stem.embed.conv"), Row("prologue.1.bn", "stem.embed.norm"),
             Row("classifier", "head")]
    for stage, layers in enumerate(settings["layers"]):
        offset = 1 if stage else 0
        if stage:
            theirs, ours = f"layers.{stage}.0", f"stages.{stage}.down"
            table += [Row(theirs, ours), neuron_row(f"{theirs}.activation", f"{ours}.neuron"),
                      Row(f"{theirs}.conv", f"{ours}.embed.conv"), Row(f"{theirs}.norm.bn", f"{ours}.embed.norm")]
        for index, name in enumerate(layers):
            theirs, ours = f"layers.{stage}.{index + offset}", f"stages.{stage}.blocks.{index}"
            table += [*(attention if name == "DSSA" else feed_forward)(theirs, ours), Row(theirs, ours)]
    return table


def attention(theirs: str, ours: str) -> list[Row]:
    # the running firing rates are buffers of the attention itself, under their names
    return [Row(theirs, f"{ours}.attn"),
            neuron_row(f"{theirs}.activation_in", f"{ours}.neuron"),
            neuron_row(f"{theirs}.activation_attn", f"{ours}.attn.attn_neuron"),
            neuron_row(f"{theirs}.activation_out", f"{ours}.attn.out_neuron"),
            Row(f"{theirs}.W", f"{ours}.attn.reduce"), Row(f"{theirs}.norm.bn", f"{ours}.attn.norm"),
            Row(f"{theirs}.Wproj", f"{ours}.attn.proj.linear", FROM_CONV2D),
            Row(f"{theirs}.norm_proj.bn", f"{ours}.attn.proj.norm")]


def feed_forward(theirs: str, ours: str) -> list[Row]:
    table = [neuron_row(f"{theirs}.up.0", f"{ours}.neuron"),
             neuron_row(f"{theirs}.conv.0.0", f"{ours}.layer.group_neuron"),
             neuron_row(f"{theirs}.down.0", f"{ours}.layer.down_neuron")]
    for name, part in (("up", "up"), ("conv.0", "group"), ("down", "down")):
        table += [Row(f"{theirs}.{name}.1", f"{ours}.layer.{part}.conv"),
                  Row(f"{theirs}.{name}.2.bn", f"{ours}.layer.{part}.norm")]
    return table


def settings_of(config: SpikingResformerConfig) -> Settings:
    names = {ours: theirs for theirs, ours in LAYERS.items()}
    return dict(
        layers=[[names[layer] for layer in stage] for stage in config.layers], planes=list(config.widths),
        num_heads=list(config.stage_heads), patch_sizes=list(config.patches), img_size=config.image_size[0],
        T=config.timesteps, in_channels=config.in_channels, num_classes=config.num_classes,
        prologue=None if config.prologue == "pool" else PLAIN, group_size=config.group_size,
        activation="PLIF" if config.neuron.name == "plif" else "LIF",
    )


def architecture(config: SpikingResformerConfig) -> tuple:
    return config.image_size, config.mlp_ratio, {part.name for part in config.attention}


SOURCES = (
    Source(
        name="xyshi2000/SpikingResformer:models/spikingresformer.py", classes=("SpikingResformer",),
        model=SpikingResformer, configure=configure, neuron=neuron, defaults=DEFAULTS, builders=BUILDERS,
        rows=rows, dead=lambda settings: [], settings_of=settings_of, architecture=architecture,
    ),
)
