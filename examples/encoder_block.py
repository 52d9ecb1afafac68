"""A bipolar spiking encoder block inside a network of your own."""

import torch
from torch import nn

from spikeattn.attention import BipolarSelfAttention
from spikeattn.blocks import EncoderBlock
from spikeattn.neurons import LIF

embed, head = nn.Linear(12, 64), nn.Linear(64, 10)
block = EncoderBlock(64, heads=4, attention=BipolarSelfAttention, neuron=LIF.from_tau(2.0), tokens=16)

frames = torch.randn(4, 8, 16, 12)  # (T, B, N, features): 4 time steps, 8 samples, 16 tokens
tokens, state = block(embed(frames))  # state: begins at rest, comes back explicit
logits = head(tokens.mean(dim=(0, 2)))  # mean over time and tokens
logits.square().mean().backward()
print(logits.shape, "gradient of the embedding:", embed.weight.grad.norm().item() > 0)
