"""Meta-SpikeFormer: BICLab/Spike-Driven-Transformer-V2, classification/models.py."""

from spikeattn.interop.published import metaformer
from spikeattn.interop.published.engine import Row, Settings, Source
from spikeattn.interop.published.neuron_parts import with_neurons
from spikeattn.interop.published.neurons import LIF
from spikeattn.interop.published.rows import neuron_row
from spikeattn.models import MetaSpikformer, MetaSpikformerConfig, Part


def configure(settings: Settings, neuron: dict) -> MetaSpikformerConfig:
    config = MetaSpikformerConfig(**metaformer.sizes(settings), attention=(Part("sdsa_v2"),),
                                  distilled=settings["kd"], timesteps=settings["T"])
    return with_neurons(MetaSpikformer, config, neuron, rows(settings))


def neuron(settings: Settings) -> dict:
    """LIF with tau 2 everywhere, threshold 0.5 behind the attention."""
    return {"default": LIF, "overrides": {f"{block}.attn.attn_lif": {"v_threshold": 0.5} for block in metaformer.LATE}}


def rows(settings: Settings) -> list[Row]:
    distilled = [Row("head_kd", "head_distilled")] if settings["kd"] else []
    return [*metaformer.stage_rows("lif", early, late), *distilled]


def early(theirs: str, ours: str) -> list[Row]:
    conv, layer = f"{theirs}.Conv", f"{ours}.conv.layer"
    return [Row(conv, layer), neuron_row(f"{conv}.lif1", f"{ours}.conv.neuron"),
            Row(f"{conv}.pwconv1", f"{layer}.expand.conv"), Row(f"{conv}.bn1", f"{layer}.expand.norm"),
            neuron_row(f"{conv}.lif2", f"{layer}.neuron"), Row(f"{conv}.dwconv", f"{layer}.depthwise"),
            Row(f"{conv}.pwconv2", f"{layer}.project.conv"), Row(f"{conv}.bn2", f"{layer}.project.norm")]


def late(theirs: str, ours: str) -> list[Row]:
    return [*metaformer.attention_neurons(theirs, ours, "lif"), *metaformer.rep_projections(theirs, ours),
            *metaformer.mlp(theirs, ours, "lif")]


def settings_of(config: MetaSpikformerConfig) -> Settings:
    return metaformer.settings_of(config) | {"kd": config.distilled, "T": config.timesteps}


SOURCES = (
    Source(
        name="BICLab/Spike-Driven-Transformer-V2:classification/models.py", classes=("Spiking_vit_MetaFormer",),
        model=MetaSpikformer, configure=configure, neuron=neuron, ignored=metaformer.IGNORED,
        defaults=metaformer.DEFAULTS | {"kd": False, "T": 1},
        fixed={"mlp_ratios": 4},  # written into the forward pass of the convolutional blocks
        builders={
            "metaspikformer_8_384": {"embed_dim": [96, 192, 384, 480]},
            "metaspikformer_8_512": {"embed_dim": [128, 256, 512, 640]},
            "metaspikformer_8_768": {"embed_dim": [192, 384, 768, 960]},
        },
        rows=rows, dead=lambda settings: [], settings_of=settings_of, architecture=metaformer.architecture,
    ),
)
