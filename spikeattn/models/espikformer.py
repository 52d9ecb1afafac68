"""E-SpikeFormer, the third Spike-driven Transformer: integer neurons, wide values, a convolution in every block.

    early    x = x + SepConv(neuron(x)),  x = x + conv3x3 neuron conv3x3 neuron(x)
    late     x = x + SepConv3x3(neuron(x)),  x = x + E-SDSA(neuron(x)),  x = x + MLP(neuron(x))
    head     linear on the levels 0 ... 4 of a neuron on the pixel mean

The neurons are I-LIF without memory, levels 0 ... 4 divided by 4; so one time step (T x D = 1 x 4). Around other
mechanisms, whose scores are integers, levels are not divided; those with values get the value width of E-SDSA.

Source: Yao et al., "Scaling Spike-driven Transformer with Efficient Spike Firing Approximation Training" (TPAMI
2025), arXiv 2411.16061, and its code, SDT_V3/Classification/Model_Base/models.py. The large ones are in
espikformer_large.py.
Differs from the code in: initialisation is ours (every layer fires).
"""

from spikeattn.attention import Attention, ScoreAttention, SpikeDrivenSelfAttentionV3
from spikeattn.attention.projection import Projection
from spikeattn.blocks.conv_block import ConvBlock
from spikeattn.blocks.picture_encoder import ConvEncoderBlock
from spikeattn.blocks.separable import SpikingSeparableConv
from spikeattn.models.config import Part
from spikeattn.models.metaformer import MetaFormer, MetaFormerConfig, five_stages, tiny
from spikeattn.neurons import Neuron

VALUE_RATIO = 4  # width of the values over that of queries and keys


class ESpikformerConfig(MetaFormerConfig):
    """Fields: see MetaFormerConfig."""


class ESpikformer(MetaFormer):
    """An E-SpikeFormer of any size, with any attention and neuron."""

    citation = "yao2025sdt"
    config_class = ESpikformerConfig
    own_attention = SpikeDrivenSelfAttentionV3

    def conv_block(self, width: int, neuron: Neuron) -> ConvBlock:
        return ConvBlock(width, neuron=neuron, mlp_ratio=self.config.mlp_ratio, separable=SpikingSeparableConv)

    def encoder_block(self, width: int, attention: Attention, neuron: Neuron, tokens: int) -> ConvEncoderBlock:
        return ConvEncoderBlock(width, self.config.heads, conv=SpikingSeparableConv(width, neuron=neuron, kernel=3),
                                attention=attention, neuron=neuron, mlp_ratio=self.config.mlp_ratio, tokens=tokens)

    def adapt(self, attention: ScoreAttention) -> None:
        if not isinstance(attention, SpikeDrivenSelfAttentionV3):
            attention.build_projections(Projection, value_dim=VALUE_RATIO * attention.dim)


LEVELS = Part("ilif", {"levels": 4, "normalise": True})


def espikformer(widths: tuple[int, int, int, int], **more) -> ESpikformerConfig:
    return ESpikformerConfig(**five_stages(widths) | dict(
        heads=8, attention=(Part("sdsa_v3"),), neuron=LEVELS, timesteps=1,
    ) | more)


MODELS = {
    "espikformer_t": espikformer((24, 48, 96, 128)),
    "espikformer_s": espikformer((32, 64, 128, 192)),
    "espikformer_m": espikformer((48, 96, 192, 240)),
    "espikformer_l": espikformer((64, 128, 256, 360)),
    "espikformer_dvs_s": espikformer((32, 64, 128, 192), in_channels=2, num_classes=10, timesteps=16,
                                     image_size=(128, 128)),
    "espikformer_tiny": ESpikformerConfig(**tiny("sdsa_v3"), neuron=LEVELS, timesteps=1),
}
