"""Spikformer: spiking self-attention with spike shortcuts.

    stem     convolution, norm, neuron, pool at each stage; a residual position stage; spikes leave
    block    x = x + neuron(BN(W_o attention(x))),  x = x + neuron(BN(W_2 neuron(BN(W_1 x))))
    head     linear on the token mean; the stream holds sums of spikes 0, 1, 2, ...

Source: Zhou et al., "Spikformer: When Spiking Neural Network Meets Transformer" (ICLR 2023), and its code in two
variants: CIFAR (biases on the q, k, v projections, pools behind the last two stages) and ImageNet (none, four
pools).
Differs from the code in: the LayerNorms, position table and final norm that it builds and never uses are left
out; initialisation is ours (every layer fires).
"""

from spikeattn.blocks import SpikeShortcut, SpikformerStem
from spikeattn.blocks.stem import Stage
from spikeattn.models.config import Part
from spikeattn.models.isotropic import IsotropicConfig, SpikingTransformer


class SpikformerConfig(IsotropicConfig):
    """Fields: see IsotropicConfig."""


class Spikformer(SpikingTransformer):
    """A Spikformer of any size, with any attention and neuron."""

    citation = "zhou2023spikformer"
    config_class = SpikformerConfig
    stem_class = SpikformerStem
    shortcut = SpikeShortcut()


def stem(dim: int, pools: str) -> tuple[Stage, ...]:
    """The published stem: widths D/8, D/4, D/2, D; a pool behind each stage whose bit is 1.

    >>> stem(64, "0011")
    ((8, ''), (16, ''), (32, 'pool'), (64, 'pool'))
    """
    widths = (dim // 8, dim // 4, dim // 2, dim)
    return tuple(zip(widths, ("pool" if bit == "1" else "" for bit in pools), strict=True))


def imagenet(depth: int, dim: int, heads: int) -> SpikformerConfig:
    return SpikformerConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "1111"))


def cifar(depth: int, dim: int, heads: int = 12) -> SpikformerConfig:
    return SpikformerConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "0011"), qkv_bias=True,
                            num_classes=10, image_size=(32, 32))


def dvs(depth: int, dim: int, heads: int) -> SpikformerConfig:
    return SpikformerConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "1111"), num_classes=10,
                            image_size=(128, 128), in_channels=2, timesteps=16,
                            attention=(Part("ssa", {"scale": 0.25}),))


def digits(depth: int, dim: int, heads: int) -> SpikformerConfig:
    """For 8 x 8 pictures: patches of 2 by a strided convolution, no pooling, so 16 tokens."""
    return SpikformerConfig(dim=dim, depth=depth, heads=heads, stem=((dim // 2, ""), (dim, "stride")),
                            num_classes=10, in_channels=1, image_size=(8, 8), mlp_ratio=2.0)


MODELS = {
    "spikformer_8_384": imagenet(8, 384, 12),
    "spikformer_6_512": imagenet(6, 512, 8),
    "spikformer_8_512": imagenet(8, 512, 8),
    "spikformer_10_512": imagenet(10, 512, 8),
    "spikformer_8_768": imagenet(8, 768, 12),
    "spikformer_cifar_4_256": cifar(4, 256, 8),
    "spikformer_cifar_2_384": cifar(2, 384),
    "spikformer_cifar_4_384": cifar(4, 384),
    "spikformer_dvs_2_256": dvs(2, 256, 16),
    "spikformer_digits_2_64": digits(2, 64, 4),
    "spikformer_tiny": digits(1, 32, 2),
}
