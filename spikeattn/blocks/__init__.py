"""Blocks: shortcuts, MLP, stems and the encoder block. They take any attention and any neuron."""

from spikeattn.blocks.encoder import EncoderBlock, EncoderState
from spikeattn.blocks.mlp import MLP
from spikeattn.blocks.sequential import SpikingSequential
from spikeattn.blocks.shortcut import MembraneShortcut, SpikeShortcut
from spikeattn.blocks.stem import ConvNorm, SpikePool, SpikformerStem, SpikingformerStem, Stem

__all__ = [
    "MLP", "ConvNorm", "EncoderBlock", "EncoderState", "MembraneShortcut", "SpikePool", "SpikeShortcut",
    "SpikformerStem", "SpikingSequential", "SpikingformerStem", "Stem",
]
