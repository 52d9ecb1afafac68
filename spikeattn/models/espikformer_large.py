"""The large E-SpikeFormers, which the paper pre-trains as masked auto-encoders: 12 blocks of one width.

    early    x = x + conv3x3 neuron conv3x3 neuron(x), convolutions with biases
    late     x = x + BN(W_2 BN(W_1 neuron(x)))                              with `rep_branch`
             x = x + a * SSA(neuron(x)),  x = x + b * MLP(neuron(x))        a, b start at `layer_scale`
    head     linear on the pixel mean of the membrane; with `distilled` averaged with one on levels

The neurons are I-LIF without memory with levels 0 ... 8 divided by 8 (T x D = 1 x 8). The attention has the scale
0.125 and projections of two linear layers.

Source: Yao et al., "Scaling Spike-driven Transformer with Efficient Spike Firing Approximation Training" (TPAMI
2025), arXiv 2411.16061, and its code, SDT_V3/Classification/Model_Large/spikformer.py, where `rep_branch` is the
choice "base".
Differs from the code in: levels are rounded half to even (the code rounds half up); initialisation is ours (every
layer fires).
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.attention import Attention, PointRepProjection, ScoreAttention, SpikingSelfAttention
from spikeattn.attention.projection import spike_power
from spikeattn.blocks.conv_block import ConvBlock
from spikeattn.blocks.encoder import EncoderState
from spikeattn.blocks.layer_scale import LayerScale
from spikeattn.blocks.picture_encoder import PictureEncoderBlock
from spikeattn.blocks.residual import as_picture, as_tokens
from spikeattn.models.config import Part
from spikeattn.models.metaformer import MetaFormer, MetaFormerConfig, tiny
from spikeattn.neurons import Neuron
from spikeattn.types import State, detach_state


@dataclass(frozen=True, kw_only=True)
class ESpikformerLargeConfig(MetaFormerConfig):
    """rep_branch: a re-parameterised linear layer in front of each attention. layer_scale: start of a and b."""

    rep_branch: bool = False
    layer_scale: float = 1e-6


class LargeBlockState(NamedTuple):
    """States of the neuron of the linear branch (None without one) and of the encoder block."""

    rep: State = None
    encoder: EncoderState | None = None
    detach = detach_state


class LargeBlock(PictureEncoderBlock):
    """An encoder block on pictures with layer scales and perhaps a linear branch in front."""

    def __init__(self, dim: int, heads: int, *, attention: Attention, neuron: Neuron, rep_branch: bool,
                 layer_scale: float, **options):
        super().__init__(dim, heads, attention=LayerScale(attention, dim, layer_scale), neuron=neuron, **options)
        self.mlp = LayerScale(self.mlp, dim, layer_scale)
        self.rep_neuron = neuron.clone() if rep_branch else None
        self.rep = PointRepProjection(dim, dim, width=1.0, outer_norm=False) if rep_branch else None
        if rep_branch:
            self.rep.init_firing(self.shortcut.branch_scale(neuron.threshold_current), spike_power(neuron))

    def forward(self, x: Tensor, state: LargeBlockState | None = None) -> tuple[Tensor, LargeBlockState]:
        state = state or LargeBlockState()
        rep = None
        if self.rep is not None:
            grid = (x.shape[-2], x.shape[-1])
            spikes, rep = self.rep_neuron(x, state.rep)
            x = x + as_picture(self.rep(as_tokens(spikes)), grid)
        x, encoder = super().forward(x, state.encoder)
        return x, LargeBlockState(rep, encoder)


class ESpikformerLarge(MetaFormer):
    """A large E-SpikeFormer, with any attention and neuron."""

    citation = "yao2025sdt"
    config_class = ESpikformerLargeConfig
    own_attention = SpikingSelfAttention

    def conv_block(self, width: int, neuron: Neuron) -> ConvBlock:
        return ConvBlock(width, neuron=neuron, mlp_ratio=self.config.mlp_ratio, separable=None, bias=True)

    def encoder_block(self, width: int, attention: Attention, neuron: Neuron, tokens: int) -> LargeBlock:
        return LargeBlock(width, self.config.heads, attention=attention, neuron=neuron, tokens=tokens,
                          mlp_ratio=self.config.mlp_ratio, rep_branch=self.config.rep_branch,
                          layer_scale=self.config.layer_scale)

    def adapt(self, attention: ScoreAttention) -> None:
        attention.build_projections(PointRepProjection)

    def last_norm(self) -> nn.Module:
        return self.stages[-1].down.embed.norm  # behind the layer scales a bias would be multiplied by 1e-6


LEVELS = Part("ilif", {"levels": 8, "normalise": True})


def large(widths: tuple[int, int, int], rep_branch: bool) -> ESpikformerLargeConfig:
    return ESpikformerLargeConfig(
        widths=(widths[0] // 2, *widths), dim=widths[-1], depths=(1, 1, 2, 12), depth=12, strides=(2, 2, 2), heads=8,
        attention=(Part("ssa"),), neuron=LEVELS, timesteps=1, spiking_head=False, rep_branch=rep_branch,
    )


MODELS = {
    "espikformer_12_512": large((128, 256, 512), rep_branch=True),
    "espikformer_12_768": large((196, 384, 768), rep_branch=False),
    "espikformer_large_tiny": ESpikformerLargeConfig(**tiny("ssa"), neuron=LEVELS, timesteps=1, spiking_head=False,
                                                     rep_branch=True, layer_scale=0.125),
}
