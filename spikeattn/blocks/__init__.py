"""Blocks: shortcuts, MLP, stems and the encoder block. They take any attention and any neuron."""

from spikeattn.blocks.encoder import EncoderBlock, EncoderState
from spikeattn.blocks.merged import TimeBatchMerged
from spikeattn.blocks.mlp import MLP
from spikeattn.blocks.patch_embedding import Embedding, MembraneEmbedding, PatchEmbedding, SpikeEmbedding
from spikeattn.blocks.sequential import SpikingSequential
from spikeattn.blocks.shortcut import MembraneShortcut, SpikeShortcut
from spikeattn.blocks.spike_driven_stem import SpikeDrivenStem
from spikeattn.blocks.stem import ConvNorm, SpikePool, SpikformerStem, SpikingformerStem, Stem

__all__ = [
    "MLP", "ConvNorm", "Embedding", "EncoderBlock", "EncoderState", "MembraneEmbedding", "MembraneShortcut",
    "PatchEmbedding", "SpikeDrivenStem", "SpikeEmbedding", "SpikePool", "SpikeShortcut", "SpikformerStem", "SpikingSequential",
    "SpikingformerStem", "Stem", "TimeBatchMerged",
]
