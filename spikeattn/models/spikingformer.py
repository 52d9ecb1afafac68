"""Spikingformer: spiking self-attention with membrane shortcuts.

    stem     convolutions that pass membranes on; every later layer sees spikes only
    block    x = x + BN(W_o attention(neuron(x))),  x = x + BN(W_2 neuron(BN(W_1 neuron(x))))
    head     linear on the token mean of the membrane stream, no neuron before it

Source: Zhou et al., "Spikingformer: Spike-driven Residual Learning for Transformer-based Spiking Neural Network"
(2023), arXiv 2304.11954, and its code (imagenet, cifar10, cifar100, cifar10-dvs, dvs128-gesture model.py).
Differs from the code in: the LayerNorms that it builds and never uses are left out, so the parameter count is
the public one minus 4 D per block; initialisation is ours (every layer fires).
"""

from spikeattn.blocks import MembraneShortcut, SpikingformerStem
from spikeattn.blocks.stem import Stage
from spikeattn.models.config import Part
from spikeattn.models.isotropic import IsotropicConfig, SpikingTransformer


class SpikingformerConfig(IsotropicConfig):
    """Fields: see IsotropicConfig."""


class Spikingformer(SpikingTransformer):
    """A Spikingformer of any size, with any attention and neuron."""

    citation = "zhou2023spikingformer"
    config_class = SpikingformerConfig
    stem_class = SpikingformerStem
    shortcut = MembraneShortcut()


def stem(dim: int, pools: str) -> tuple[Stage, ...]:
    """The published stem: widths D/8, D/4, D/2, D, D; `pools` says behind which of the first four a pool stands.

    >>> stem(64, "0011")
    ((8, ''), (16, ''), (32, ''), (64, 'pool'), (64, 'pool'))
    """
    widths = (dim // 8, dim // 4, dim // 2, dim, dim)
    return tuple(zip(widths, ("", *("pool" if bit == "1" else "" for bit in pools)), strict=True))


def imagenet(depth: int, dim: int, heads: int) -> SpikingformerConfig:
    return SpikingformerConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "1111"))


def cifar(depth: int, dim: int, heads: int = 12) -> SpikingformerConfig:
    return SpikingformerConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "0011"), num_classes=10,
                               image_size=(32, 32))


def dvs(depth: int, dim: int, heads: int, classes: int) -> SpikingformerConfig:
    return SpikingformerConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "1111"), num_classes=classes,
                               image_size=(128, 128), in_channels=2, timesteps=16,
                               neuron=Part("lif", {"beta": 1 - 1 / 1.5, "gain": 1 / 1.5}))


def digits(depth: int, dim: int, heads: int) -> SpikingformerConfig:
    """For 8 x 8 pictures: patches of 2 by a strided convolution, no pooling, so 16 tokens."""
    return SpikingformerConfig(dim=dim, depth=depth, heads=heads, stem=((dim // 2, ""), (dim, "stride")),
                               num_classes=10, in_channels=1, image_size=(8, 8), mlp_ratio=2.0)


MODELS = {
    "spikingformer_8_384": imagenet(8, 384, 12),
    "spikingformer_6_512": imagenet(6, 512, 8),
    "spikingformer_8_512": imagenet(8, 512, 8),
    "spikingformer_10_512": imagenet(10, 512, 8),
    "spikingformer_8_768": imagenet(8, 768, 12),
    "spikingformer_cifar_4_256": cifar(4, 256, 8),
    "spikingformer_cifar_2_384": cifar(2, 384),
    "spikingformer_cifar_4_384": cifar(4, 384),
    "spikingformer_dvs_2_256": dvs(2, 256, 16, 10),
    "spikingformer_dvs_gesture_2_256": dvs(2, 256, 16, 11),
    "spikingformer_digits_2_64": digits(2, 64, 4),
    "spikingformer_tiny": digits(1, 32, 2),
}
