"""Spike-driven Transformer and STAtten: BICLab/Spike-Driven-Transformer and Intelligent-Computing-Lab-Yale/STAtten,
model/spikeformer.py of both, and the first of them as SpikingJelly 2.0 has it.

STAtten's code is the Spike-driven Transformer's with another attention; attention_mode "SDT" gives the old one, which
in event mode pools its queries as well. SpikingJelly 2.0 names the layers differently, has biases in the stem and
no unused parts.
"""

from spikeattn.interop.published.engine import FROM_CONV2D, Dead, Row, Settings, Source
from spikeattn.interop.published.neurons import LIF, PLIF, lif_config
from spikeattn.interop.published.rows import neuron_row, projection
from spikeattn.models import ModelConfig, SpikeDrivenConfig, SpikeDrivenTransformer, STAtten, STAttenConfig
from spikeattn.models.spikformer import stem

MODES = ("STAtten", "SDT")
IGNORED = frozenset({"qkv_bias", "qk_scale", "drop_rate", "attn_drop_rate", "drop_path_rate", "norm_layer", "sr_ratios",
                     "attn_mode", "get_embed", "cml", "pretrained", "pretrained_cfg"})
DEFAULTS = dict(img_size_h=128, img_size_w=128, patch_size=16, in_channels=2, num_classes=11, embed_dims=512,
                num_heads=8, mlp_ratios=4, depths=8, T=4, pooling_stat="1111", spike_mode="lif", dvs_mode=False,
                TET=False)


def attention_of(settings: Settings) -> tuple[str, dict]:
    """The mechanism and its options for one set of constructor arguments."""
    events, mode = settings["dvs_mode"], settings.get("attention_mode")
    if mode is None:
        return "sdsa", {"erode": "kv" if events else ""}
    if mode not in MODES:
        raise ValueError(f"load: attention_mode must be one of {MODES}, got {mode!r}. See the public file.")
    if mode == "SDT":
        return "sdsa", {"erode": "qkv" if events else ""}
    return "statten", {"chunk": settings["chunk_size"], "erode": bool(events)}


def common_sizes(settings: Settings) -> Settings:
    """The fields of a configuration that both repositories give alike."""
    pools = settings["pooling_stat"]
    if len(pools) != 4 or set(pools) - {"0", "1"}:
        raise ValueError(f"load: pooling_stat must be four bits, got {pools!r}. '1111' halves the picture four times.")
    return dict(
        dim=settings["embed_dims"], depth=settings["depths"], heads=settings["num_heads"],
        in_channels=settings["in_channels"], num_classes=settings["num_classes"], timesteps=settings["T"],
        stem=stem(settings["embed_dims"], pools),
    )


def configure(kind: type[SpikeDrivenConfig], settings: Settings, neuron: dict) -> SpikeDrivenConfig:
    mechanism, options = attention_of(settings)
    return kind(
        image_size=(settings["img_size_h"], settings["img_size_w"]), mlp_ratio=float(settings["mlp_ratios"]),
        readout="steps" if settings["TET"] else "mean", **common_sizes(settings),
        **lif_config(neuron, rows(settings), options, mechanism),
    )


def settings_of(config: ModelConfig) -> Settings:
    """The constructor arguments of the public classes for a model of ours (the inverse of `configure`)."""
    height, width = config.image_size
    part = config.attention[0]
    chunks = {"chunk_size": part.options.get("chunk", 2)} if part.name == "statten" else {}
    pools = "".join("1" if down == "pool" else "0" for _, down in config.stem)
    return dict(
        img_size_h=height, img_size_w=width, patch_size=2 ** pools.count("1"), in_channels=config.in_channels,
        num_classes=config.num_classes, embed_dims=config.dim, num_heads=config.heads, mlp_ratios=config.mlp_ratio,
        depths=config.depth, T=config.timesteps, pooling_stat=pools, TET=config.readout == "steps",
        spike_mode="plif" if config.neuron.name == "plif" else "lif", dvs_mode=bool(part.options.get("erode")),
        **chunks,
    )


def architecture(config: ModelConfig) -> tuple:
    """What distinguishes models of this family besides their sizes."""
    mechanisms = {(part.name, part.options.get("chunk", 2), part.options.get("scale"), part.options.get("erode") or "")
                  for part in config.attention}
    return config.stem, config.qkv_bias, config.stem_bias, mechanisms


def statten_settings_of(config: ModelConfig) -> Settings:
    mode = "STAtten" if config.attention[0].name == "statten" else "SDT"
    return settings_of(config) | {"attention_mode": mode}


def rows(settings: Settings) -> list[Row]:
    table = [Row("patch_embed", "stem"), neuron_row("head_lif", "head_neuron"), Row("head", "head"),
             Row("patch_embed.rpe_conv", "stem.position.conv"), Row("patch_embed.rpe_bn", "stem.position.norm")]
    for i in range(4):
        theirs = str(i or "")
        table += [Row(f"patch_embed.proj_conv{theirs}", f"stem.convs.{i}.conv"),
                  Row(f"patch_embed.proj_bn{theirs}", f"stem.convs.{i}.norm"),
                  neuron_row(f"patch_embed.proj_lif{theirs}", f"stem.neurons.{i}" if i < 3 else "stem.position_neuron")]
    gate = gate_names(settings)[0]
    for i in range(settings["depths"]):
        theirs, ours = f"block.{i}", f"blocks.{i}"
        table += [Row(theirs, ours), neuron_row(f"{theirs}.attn.shortcut_lif", f"{ours}.attn_neuron"),
                  neuron_row(f"{theirs}.attn.{gate}", f"{ours}.attn.attn_neuron"),
                  neuron_row(f"{theirs}.mlp.fc1_lif", f"{ours}.mlp_neuron"),
                  neuron_row(f"{theirs}.mlp.fc2_lif", f"{ours}.mlp.neuron")]
        table += [neuron_row(f"{theirs}.attn.{name}_lif", f"{ours}.attn.{name}_neuron") for name in "qkv"]
        for name in ("attn.q", "attn.k", "attn.v", "attn.proj", "mlp.fc1", "mlp.fc2"):
            table += projection(f"{theirs}.{name}", f"{ours}.{name}", "conv2d")
    return table


def gate_names(settings: Settings) -> tuple[str, str]:
    """Their attention neuron in use, and the one beside it that is never called."""
    names = ("talking_heads_lif", "attn_lif")
    return names if attention_of(settings)[0] == "sdsa" else names[::-1]


def dead(settings: Settings) -> list[Dead]:
    heads, blocks = settings["num_heads"], [f"block.{i}" for i in range(settings["depths"])]
    table = [Dead(f"{block}.attn.talking_heads.weight", (heads, heads, 1), 0.0, "convolution over heads that no "
                  "forward pass uses") for block in blocks]
    if settings["spike_mode"] == "plif":
        unused = ["patch_embed.rpe_lif", *(f"{block}.attn.{gate_names(settings)[1]}" for block in blocks)]
        table += [Dead(f"{name}.w", (), 0.0, "decay of a neuron that no forward pass uses") for name in unused]
    return table


def neuron(settings: Settings) -> dict:
    """What the files set: LIF or parametric LIF with tau 2, threshold 0.5 at the attention."""
    known = {"lif": LIF, "plif": PLIF}
    if settings["spike_mode"] not in known:
        raise ValueError(f"load: spike_mode must be one of {list(known)}, got {settings['spike_mode']!r}.")
    gates = [f"block.{i}.attn.{gate_names(settings)[0]}" for i in range(settings["depths"])]
    return {"default": known[settings["spike_mode"]], "overrides": {gate: {"v_threshold": 0.5} for gate in gates}}


def jelly_configure(settings: Settings, neuron: dict) -> SpikeDrivenConfig:
    return SpikeDrivenConfig(
        mlp_ratio=float(settings["mlp_ratio"]), stem_bias=True, **common_sizes(settings),
        **lif_config(neuron, jelly_rows(settings), {"erode": ""}, "sdsa"),
    )


def jelly_settings_of(config: ModelConfig) -> Settings:
    known = settings_of(config) | {"mlp_ratio": config.mlp_ratio}
    return {name: known[name] for name in JELLY}


def jelly_rows(settings: Settings) -> list[Row]:
    """SpikingJelly 2.0's names; it builds nothing that it does not use."""
    table = [Row("patch_embed", "stem"), neuron_row("head_lif", "head_neuron"), Row("head", "head"),
             Row("patch_embed.rpe_conv", "stem.position.conv"), Row("patch_embed.rpe_bn", "stem.position.norm"),
             neuron_row("patch_embed.final_lif", "stem.position_neuron")]
    for i in range(4):
        stage = f"patch_embed.stages.{i}" if i < 3 else "patch_embed.final_stage"
        table += [Row(f"{stage}.0", f"stem.convs.{i}.conv"), Row(f"{stage}.1", f"stem.convs.{i}.norm")]
        table += [neuron_row(f"{stage}.2", f"stem.neurons.{i}")] if i < 3 else []
    for i in range(settings["depths"]):
        theirs, ours = f"blocks.{i}", f"blocks.{i}"
        table += [Row(theirs, ours), neuron_row(f"{theirs}.attn.shortcut_lif", f"{ours}.attn_neuron"),
                  neuron_row(f"{theirs}.mlp.lif1", f"{ours}.mlp_neuron"),
                  neuron_row(f"{theirs}.mlp.lif2", f"{ours}.mlp.neuron")]
        table += [neuron_row(f"{theirs}.attn.{name}_lif", f"{ours}.attn.{name}_neuron") for name in (*"qkv", "attn")]
        for name in ("q", "k", "v", "proj"):
            table += projection(f"{theirs}.attn.{name}", f"{ours}.attn.{name}", "conv2d")
        for j in (1, 2):
            table += [Row(f"{theirs}.mlp.fc{j}", f"{ours}.mlp.fc{j}.linear", FROM_CONV2D),
                      Row(f"{theirs}.mlp.bn{j}", f"{ours}.mlp.fc{j}.norm")]
    return table


def jelly_neuron(settings: Settings) -> dict:
    """Nodes as the library builds them: no detached reset but in the attention, threshold 0.5 at its gates."""
    thresholds = {"shortcut": 1.0, "q": 1.0, "k": 1.0, "v": 1.0, "attn": 0.5}
    overrides = {f"blocks.{i}.attn.{name}_lif": {"detach_reset": True, "v_threshold": threshold}
                 for i in range(settings["depths"]) for name, threshold in thresholds.items()}
    return {"default": LIF | {"type": "LIFNode", "detach_reset": False}, "overrides": overrides}


JELLY = dict(T=4, in_channels=3, num_classes=1000, embed_dims=384, num_heads=8, depths=8, mlp_ratio=4.0,
             pooling_stat="1111")
SOURCES = (
    Source(
        name="BICLab/Spike-Driven-Transformer:model/spikeformer.py", classes=("SpikeDrivenTransformer", "sdt"),
        model=SpikeDrivenTransformer, configure=lambda settings, own: configure(SpikeDrivenConfig, settings, own),
        neuron=neuron, defaults=DEFAULTS, ignored=IGNORED, rows=rows, dead=dead, settings_of=settings_of,
        architecture=architecture,
    ),
    Source(
        name="Intelligent-Computing-Lab-Yale/STAtten:model/spikeformer.py", classes=("SpikeDrivenTransformer", "sdt"),
        model=STAtten, configure=lambda settings, own: configure(STAttenConfig, settings, own), neuron=neuron,
        defaults=DEFAULTS | {"attention_mode": "STAtten", "chunk_size": 2}, ignored=IGNORED, rows=rows, dead=dead,
        settings_of=statten_settings_of, architecture=architecture,
    ),
    Source(
        name="fangwei123456/spikingjelly:spikingjelly/activation_based/model/spike_driven_transformer.py",
        classes=("SpikeDrivenTransformer", "sdt_8_384"), model=SpikeDrivenTransformer, configure=jelly_configure,
        neuron=jelly_neuron, defaults=JELLY, ignored=frozenset({"backend"}), rows=jelly_rows, dead=lambda settings: [],
        settings_of=jelly_settings_of, architecture=architecture,
    ),
)
