"""E-SpikeFormer: BICLab/Spike-Driven-Transformer-V3, SDT_V3/Classification/Model_Base/models.py.

Two classes of the file load: the model, and `MS_Block`, a block with RepConv projections that stands alone, as a
layer over pictures (B, C, Y, X). The code has no time axis: neurons without memory make every step alike.
"""

from torch import Tensor, nn

from spikeattn.attention import SpikeDrivenSelfAttentionV2
from spikeattn.blocks import PictureEncoderBlock
from spikeattn.interop.published import metaformer
from spikeattn.interop.published.engine import FROM_CONV2D, REQUIRED, Row, Settings, Source
from spikeattn.interop.published.neuron_parts import ILIF, with_neurons
from spikeattn.interop.published.rows import neuron_row
from spikeattn.models import ESpikformer, ESpikformerConfig, ModelConfig, Part
from spikeattn.models.model import override_neurons
from spikeattn.neurons import NEURONS

FILE = "BICLab/Spike-Driven-Transformer-V3:SDT_V3/Classification/Model_Base/models.py"


def configure(settings: Settings, neuron: dict) -> ESpikformerConfig:
    config = ESpikformerConfig(**metaformer.sizes(settings), attention=(Part("sdsa_v3"),),
                               distilled=settings["kd"], timesteps=settings["T"])
    return with_neurons(ESpikformer, config, neuron, rows(settings))


def neuron(settings: Settings) -> dict:
    """Levels 0 ... 4 divided by 4, but not in front of the read-out."""
    return {"default": ILIF, "overrides": {"spike": {"norm": 1}}}


def rows(settings: Settings) -> list[Row]:
    distilled = [Row("head_kd", "head_distilled")] if settings["kd"] else []
    return [*metaformer.stage_rows("spike", early, late), *distilled]


def early(theirs: str, ours: str) -> list[Row]:
    return separable(f"{theirs}.Conv", ours)


def late(theirs: str, ours: str) -> list[Row]:
    table = [*separable(f"{theirs}.conv", ours), *metaformer.attention_neurons(theirs, ours, "spike"),
             *metaformer.mlp(theirs, ours, "spike")]
    for name in ("q", "k", "v", "proj"):
        table += [Row(f"{theirs}.attn.{name}_conv.0", f"{ours}.attn.{name}.linear", FROM_CONV2D),
                  Row(f"{theirs}.attn.{name}_conv.1", f"{ours}.attn.{name}.norm")]
    return table


def separable(theirs: str, ours: str) -> list[Row]:
    layer = f"{ours}.conv.layer"
    table = [Row(theirs, layer), neuron_row(f"{theirs}.spike1", f"{ours}.conv.neuron"),
             neuron_row(f"{theirs}.spike2", f"{layer}.neuron"), neuron_row(f"{theirs}.spike3", f"{layer}.mixed_neuron")]
    for name, part in (("pwconv1", "expand"), ("dwconv", "depthwise"), ("pwconv2", "project")):
        table += [Row(f"{theirs}.{name}.0", f"{layer}.{part}.conv"), Row(f"{theirs}.{name}.1", f"{layer}.{part}.norm")]
    return table


def settings_of(config: ESpikformerConfig) -> Settings:
    return metaformer.settings_of(config) | {"kd": config.distilled, "T": config.timesteps}


class SingleBlock(nn.Module):
    """`MS_Block` of the file: (B, C, Y, X) -> (B, C, Y, X), attention with RepConv, then MLP; one time step."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        neuron = config.neuron.build(NEURONS)
        attention = SpikeDrivenSelfAttentionV2(config.dim, config.heads, neuron=neuron, attn_threshold=neuron.threshold,
                                               scale=(config.dim // config.heads) ** -0.5)
        self.block = PictureEncoderBlock(config.dim, config.heads, attention=attention, neuron=neuron,
                                         mlp_ratio=config.mlp_ratio)
        override_neurons(self, config.neuron_overrides)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.config.dim:
            raise ValueError(
                f"SingleBlock: x must be (B, {self.config.dim}, Y, X), got {tuple(x.shape)}. "
                "It has no time axis; put further steps into the batch."
            )
        return self.block(x.unsqueeze(0))[0].squeeze(0)


def configure_block(settings: Settings, neuron: dict) -> ModelConfig:
    config = ModelConfig(dim=settings["dim"], depth=1, heads=settings["num_heads"],
                         mlp_ratio=float(settings["mlp_ratio"]), attention="sdsa_v2", neuron="ilif", timesteps=1)
    return with_neurons(SingleBlock, config, neuron, block_rows(settings))


def block_rows(settings: Settings) -> list[Row]:
    return [Row("blk", "block"), *metaformer.attention_neurons("blk", "block", "spike"),
            *metaformer.rep_projections("blk", "block"), *metaformer.mlp("blk", "block", "spike")]


SOURCES = (
    Source(
        name=FILE, classes=("Spiking_vit_MetaFormer_Spike_SepConv",), model=ESpikformer, configure=configure,
        neuron=neuron, defaults=metaformer.DEFAULTS | {"kd": False, "T": 1}, ignored=metaformer.IGNORED,
        builders={
            "Efficient_Spiking_Transformer_t": {"embed_dim": [24, 48, 96, 128]},
            "Efficient_Spiking_Transformer_s": {"embed_dim": [32, 64, 128, 192]},
            "Efficient_Spiking_Transformer_m": {"embed_dim": [48, 96, 192, 240]},
            "Efficient_Spiking_Transformer_l": {"embed_dim": [64, 128, 256, 360]},
        },
        rows=rows, dead=lambda settings: [], settings_of=settings_of, architecture=metaformer.architecture,
    ),
    Source(
        name=f"{FILE}#MS_Block", classes=("MS_Block",), model=SingleBlock, configure=configure_block,
        neuron=lambda settings: {"default": ILIF, "overrides": {}},
        defaults=dict(dim=REQUIRED, num_heads=REQUIRED, mlp_ratio=4.0),
        ignored=frozenset({"qkv_bias", "qk_scale", "drop", "attn_drop", "drop_path", "norm_layer", "sr_ratio"}),
        rows=block_rows, dead=lambda settings: [],
        settings_of=lambda config: dict(dim=config.dim, num_heads=config.heads, mlp_ratio=config.mlp_ratio),
        architecture=lambda config: (),
    ),
)
