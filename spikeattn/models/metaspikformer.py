"""Meta-SpikeFormer, the second Spike-driven Transformer: convolutional stages, then spike-driven attention.

    early    x = x + SepConv(neuron(x)),  x = x + conv3x3 neuron conv3x3 neuron(x)
    late     x = x + SDSA(neuron(x)),  x = x + MLP(neuron(x));  RepConv as projections of the attention
    head     linear on the spikes of a neuron on the pixel mean; with `distilled` averaged with a second one

Source: Yao et al., "Spike-driven Transformer V2: Meta Spiking Neural Network Architecture Inspiring the Design of
Next-generation Neuromorphic Chips" (ICLR 2024) and its code, classification/models.py.
Differs from the code in: it runs one time step until told otherwise (here timesteps=4, the published fine-tuning);
a distilled model returns the average of its read-outs in training too (`distilled_logits` gives both);
initialisation is ours (every layer fires).
"""

from spikeattn.attention import Attention, RepProjection, ScoreAttention, SpikeDrivenSelfAttentionV2
from spikeattn.blocks.conv_block import ConvBlock
from spikeattn.blocks.picture_encoder import PictureEncoderBlock
from spikeattn.blocks.separable import SeparableConv
from spikeattn.models.config import Part
from spikeattn.models.metaformer import MetaFormer, MetaFormerConfig, five_stages, tiny
from spikeattn.neurons import Neuron


class MetaSpikformerConfig(MetaFormerConfig):
    """Fields: see MetaFormerConfig."""


class MetaSpikformer(MetaFormer):
    """A Meta-SpikeFormer of any size, with any attention and neuron."""

    citation = "yao2024sdt"
    config_class = MetaSpikformerConfig
    own_attention = SpikeDrivenSelfAttentionV2

    def conv_block(self, width: int, neuron: Neuron) -> ConvBlock:
        return ConvBlock(width, neuron=neuron, mlp_ratio=self.config.mlp_ratio, separable=SeparableConv)

    def encoder_block(self, width: int, attention: Attention, neuron: Neuron, tokens: int) -> PictureEncoderBlock:
        return PictureEncoderBlock(width, self.config.heads, attention=attention, neuron=neuron,
                                   mlp_ratio=self.config.mlp_ratio, tokens=tokens)

    def adapt(self, attention: ScoreAttention) -> None:
        if not isinstance(attention, SpikeDrivenSelfAttentionV2):
            attention.build_projections(RepProjection)


def metaspikformer(widths: tuple[int, int, int, int], **more) -> MetaSpikformerConfig:
    return MetaSpikformerConfig(**five_stages(widths) | dict(heads=8, attention=(Part("sdsa_v2"),)) | more)


MODELS = {
    "metaspikformer_8_256": metaspikformer((64, 128, 256, 360)),
    "metaspikformer_8_384": metaspikformer((96, 192, 384, 480)),
    "metaspikformer_8_512": metaspikformer((128, 256, 512, 640)),
    "metaspikformer_8_768": metaspikformer((192, 384, 768, 960)),
    "metaspikformer_dvs_8_256": metaspikformer((64, 128, 256, 360), in_channels=2, num_classes=10, timesteps=16,
                                               image_size=(128, 128)),
    "metaspikformer_tiny": MetaSpikformerConfig(**tiny("sdsa_v2")),
}
