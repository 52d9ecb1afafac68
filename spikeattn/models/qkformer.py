"""QKFormer: a hierarchical spiking transformer, Q-K attention in the early stages, self-attention in the last.

    stage 1, 2   patch embedding with a spike shortcut, then blocks of token Q-K attention and MLP
    stage 3      the same with spiking self-attention (another mechanism by `attention=`)
    head         linear on the token mean; the stream holds sums of spikes 0, 1, 2, ...

Source: Zhou et al., "QKFormer: Hierarchical Spiking Transformer using Q-K Attention" (NeurIPS 2024), and its code in
three variants: ImageNet (pools early, 4-fold in the first embedding), CIFAR (none in the first) and event cameras
(two stages, 8-fold in the first).
Differs from the code in: the neuron behind the projection of the self-attention runs over time alone, not over
time and batch in one axis (`time_batch_merged=True` restores that; checkpoints of that code load with it on);
initialisation is ours (every layer fires).
"""

from dataclasses import dataclass

from torch import nn

from spikeattn.blocks import Embedding, EncoderBlock, SpikeEmbedding, SpikeShortcut, TimeBatchMergedShortcut
from spikeattn.models.config import Part
from spikeattn.models.hierarchical import HierarchicalConfig, HierarchicalTransformer


@dataclass(frozen=True, kw_only=True)
class QKFormerConfig(HierarchicalConfig):
    """time_batch_merged: the defect of the published code, see blocks/merged.py. Further fields: HierarchicalConfig."""

    time_batch_merged: bool = False


class QKFormer(HierarchicalTransformer):
    """A QKFormer of any size, with any attention in its last stage and any neuron."""

    citation = "zhou2024qkformer"
    config_class = QKFormerConfig
    shortcut = SpikeShortcut()

    def embedding(self, stage: int, channels: int, plan: Embedding, neuron: nn.Module) -> SpikeEmbedding:
        return SpikeEmbedding(channels, plan, neuron=neuron, bias=self.config.embedding_bias)

    def block(self, stage: int, index: int, neuron: nn.Module, tokens: int, **options) -> EncoderBlock:
        block = super().block(stage, index, neuron, tokens, **options)
        if self.config.time_batch_merged and stage == len(self.config.mixers):
            block.attn_shortcut = TimeBatchMergedShortcut()
        return block


def imagenet_embeddings(dim: int) -> tuple[Embedding, ...]:
    """Widths D/4, D/2, D; 4-fold, then 2-fold twice, the pools early."""
    half, quarter = dim // 2, dim // 4
    first = Embedding(((quarter // 2, "pool"), (quarter, "pool"), (quarter, "")), branch=1)
    return (first, *(Embedding(((width, "pool"), (width, ""))) for width in (half, dim)))


def cifar_embeddings(dim: int) -> tuple[Embedding, ...]:
    """Widths D/4, D/2, D; full size, then 2-fold twice, the pools late."""
    half, quarter = dim // 2, dim // 4
    first = Embedding(((quarter // 2, ""), (quarter, "")), branch=1)
    return (first, *(Embedding(((width, ""), (width, "pool"))) for width in (half, dim)))


def event_embeddings(dim: int) -> tuple[Embedding, ...]:
    """Widths D/2, D; 8-fold, then 2-fold."""
    half = dim // 2
    first = Embedding(((half // 8, ""), (half // 4, "pool"), (half // 2, "pool"), (half, "pool")), branch=2)
    return first, Embedding(((dim, ""), (dim, "pool")))


QK = Part("token_qk")


def imagenet(depth: int, dim: int, heads: int) -> QKFormerConfig:
    return QKFormerConfig(dim=dim, depth=depth, heads=heads, depths=(1, 2, depth - 3), mixers=(QK, QK),
                          embeddings=imagenet_embeddings(dim))


def cifar(depth: int, dim: int, heads: int = 8) -> QKFormerConfig:
    return QKFormerConfig(dim=dim, depth=depth, heads=heads, depths=(1, 1, depth - 2), mixers=(QK, QK),
                          embeddings=cifar_embeddings(dim), num_classes=10, image_size=(32, 32))


def dvs(dim: int, mlp_ratio: float, classes: int) -> QKFormerConfig:
    return QKFormerConfig(dim=dim, depth=2, heads=16, depths=(1, 1), mixers=(QK,), mlp_ratio=mlp_ratio,
                          embeddings=event_embeddings(dim), num_classes=classes, image_size=(128, 128),
                          in_channels=2, timesteps=16)


def tiny() -> QKFormerConfig:
    """For 8 x 8 pictures: full size in the first stage, then 4 x 4 pixels."""
    embeddings = Embedding(((16, ""), (16, "")), branch=1), Embedding(((32, ""), (32, "pool")))
    return QKFormerConfig(dim=32, depth=2, heads=2, depths=(1, 1), mixers=(QK,), num_classes=10, in_channels=1,
                          image_size=(8, 8), embeddings=embeddings)


MODELS = {
    "qkformer_10_384": imagenet(10, 384, 6),
    "qkformer_10_512": imagenet(10, 512, 8),
    "qkformer_10_768": imagenet(10, 768, 12),
    "qkformer_cifar_4_384": cifar(4, 384),
    "qkformer_dvs_2_256": dvs(256, 1.0, 10),
    "qkformer_dvs_gesture_2_256": dvs(256, 4.0, 11),
    "qkformer_tiny": tiny(),
}
