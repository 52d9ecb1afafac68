"""Blocks: shortcuts, MLP, stems and the encoder block. They take any attention and any neuron."""

from spikeattn.blocks.conv_block import ConvBlock, ConvMLP
from spikeattn.blocks.downsample import ConvStem, Downsample
from spikeattn.blocks.encoder import EncoderBlock, EncoderState
from spikeattn.blocks.group_ffn import GroupFFN
from spikeattn.blocks.merged import TimeBatchMergedShortcut
from spikeattn.blocks.mlp import MLP
from spikeattn.blocks.patch_embedding import Embedding, MembraneEmbedding, PatchEmbedding, SpikeEmbedding
from spikeattn.blocks.picture_encoder import ConvEncoderBlock, PictureEncoderBlock
from spikeattn.blocks.residual import AttentionResidual, Residual
from spikeattn.blocks.separable import SeparableConv, SpikingSeparableConv
from spikeattn.blocks.sequential import SpikingSequential
from spikeattn.blocks.shortcut import MembraneShortcut, SpikeShortcut
from spikeattn.blocks.spike_driven_stem import SpikeDrivenStem
from spikeattn.blocks.stem import ConvNorm, SpikePool, SpikformerStem, SpikingformerStem, Stem

__all__ = [
    "MLP", "AttentionResidual", "ConvBlock", "ConvEncoderBlock", "ConvMLP", "ConvNorm", "ConvStem", "Downsample",
    "Embedding", "EncoderBlock", "EncoderState", "GroupFFN", "MembraneEmbedding", "MembraneShortcut",
    "PatchEmbedding", "PictureEncoderBlock", "Residual", "SeparableConv", "SpikeDrivenStem", "SpikeEmbedding",
    "SpikePool", "SpikeShortcut", "SpikformerStem", "SpikingSeparableConv", "SpikingSequential", "SpikingformerStem",
    "Stem", "TimeBatchMergedShortcut",
]
