"""Max-Former: a hierarchical spiking transformer that keeps high frequencies.

    stage 1, 2   patch embedding with extra max pools, then blocks of depth-wise convolution (or nothing) and MLP
    stage 3      blocks of spiking self-attention and MLP (another mechanism by `attention=`)
    head         linear on a neuron's spikes, whose current is the token mean

All shortcuts are membrane shortcuts: the stream is real, only spikes enter the weights. With mlp_ratio = 1 the MLP
has a shortcut around each of its two layers.

Source: Fang et al., "Spiking Neural Networks Need High-Frequency Information" (NeurIPS 2025), and its code for
ImageNet, CIFAR and event cameras. `ms_qkformer_*` is its baseline on the same skeleton: QKFormer with membrane
shortcuts. Differs from the code in: initialisation is ours (every layer fires).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from spikeattn.blocks import Embedding, EncoderBlock, MembraneEmbedding, MembraneShortcut, SpikeShortcut
from spikeattn.models.config import Part
from spikeattn.models.hierarchical import HierarchicalConfig, HierarchicalState, HierarchicalTransformer


@dataclass(frozen=True, kw_only=True)
class MaxFormerConfig(HierarchicalConfig):
    """attention_shortcut: "membrane", or "spike" (x + neuron(attention(x)), real numbers enter the attention's weights)
    for the last stage, as SpikingJelly 2.0 has it. Further fields: HierarchicalConfig.
    """

    attention_shortcut: str = "membrane"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention_shortcut not in ("membrane", "spike"):
            raise ValueError(
                f"MaxFormerConfig: attention_shortcut must be 'membrane' or 'spike', got {self.attention_shortcut!r}. "
                "The paper's is 'membrane'."
            )


class MaxFormer(HierarchicalTransformer):
    """A Max-Former of any size, with any mixers, any attention in its last stage and any neuron."""

    citation = "fang2025maxformer"
    config_class = MaxFormerConfig
    shortcut = MembraneShortcut()

    def embedding(self, stage: int, channels: int, plan: Embedding, neuron: nn.Module) -> MembraneEmbedding:
        return MembraneEmbedding(channels, plan, neuron=neuron, first=stage == 0, bias=self.config.embedding_bias)

    def block(self, stage: int, index: int, neuron: nn.Module, tokens: int, **options) -> EncoderBlock:
        block = super().block(stage, index, neuron, tokens, inner_shortcut=self.config.mlp_ratio == 1, **options)
        if self.config.attention_shortcut == "spike" and stage == len(self.config.mixers):
            block.attn_shortcut = SpikeShortcut()
        return block

    def build_head(self, neuron: nn.Module) -> None:
        self.head_neuron = neuron.clone()
        super().build_head(neuron)

    def classify(self, tokens: Tensor, state: HierarchicalState) -> tuple[Tensor, HierarchicalState]:
        spikes, head = self.head_neuron(tokens.mean(2), state.head)
        return self.head(spikes), state._replace(head=head)


def imagenet_embeddings(dim: int) -> tuple[Embedding, ...]:
    """Widths D/4, D/2, D; 4-fold by strides, then 2-fold twice by max pools on both branches."""
    quarter = dim // 4
    first = Embedding(((quarter // 2, "stride"), (quarter, "stride"), (quarter, "")), branch=1)
    return first, *later_embeddings(dim)


def cifar_embeddings(dim: int) -> tuple[Embedding, ...]:
    """Widths D/4, D/2, D; full size, then 2-fold twice."""
    return Embedding(((dim // 8, ""), (dim // 4, "")), branch=1), *later_embeddings(dim)


def later_embeddings(dim: int, shortcut: str = "pool") -> tuple[Embedding, ...]:
    return tuple(Embedding(((width, "pool"), (width, "")), shortcut=shortcut) for width in (dim // 2, dim))


def event_embeddings(dim: int) -> tuple[Embedding, ...]:
    """Widths D/2, D; 8-fold, then 2-fold."""
    half = dim // 2
    first = Embedding(((half // 8, ""), (half // 4, "pool"), (half // 2, "pool"), (half, "pool")), branch=2)
    return first, later_embeddings(dim)[1]


def baseline_embeddings(dim: int) -> tuple[Embedding, ...]:
    """QKFormer's widths and pools, the shortcuts smaller by stride."""
    quarter = dim // 4
    first = Embedding(((quarter // 2, "pool"), (quarter, "pool"), (quarter, "")), branch=1)
    return first, *later_embeddings(dim, "stride")


def dwc(kernel: int) -> Part:
    return Part("dwc", {"kernel": kernel})


def imagenet(dim: int) -> MaxFormerConfig:
    return MaxFormerConfig(dim=dim, depth=10, heads=dim // 64, depths=(1, 2, 7), mixers=(dwc(7), dwc(5)),
                           embeddings=imagenet_embeddings(dim))


def baseline(dim: int) -> MaxFormerConfig:
    return MaxFormerConfig(dim=dim, depth=10, heads=dim // 64, depths=(1, 2, 7), mixers=(Part("token_qk"),) * 2,
                           embeddings=baseline_embeddings(dim))


def cifar(dim: int) -> MaxFormerConfig:
    return MaxFormerConfig(dim=dim, depth=4, heads=8, depths=(1, 1, 2), mixers=(Part("identity"), dwc(3)),
                           embeddings=cifar_embeddings(dim), num_classes=10, image_size=(32, 32))


def dvs(dim: int, classes: int) -> MaxFormerConfig:
    return MaxFormerConfig(dim=dim, depth=2, heads=16, depths=(1, 1), mixers=(dwc(3),), mlp_ratio=1.0,
                           embeddings=event_embeddings(dim), num_classes=classes, image_size=(128, 128),
                           in_channels=2, timesteps=16)


def tiny() -> MaxFormerConfig:
    """For 8 x 8 pictures: full size in the first stage, then 4 x 4 pixels."""
    embeddings = Embedding(((16, ""), (16, "")), branch=1), Embedding(((32, "pool"), (32, "")), shortcut="pool")
    return MaxFormerConfig(dim=32, depth=2, heads=2, depths=(1, 1), mixers=(dwc(3),), num_classes=10, in_channels=1,
                           image_size=(8, 8), embeddings=embeddings)


MODELS = {
    "maxformer_10_384": imagenet(384),
    "maxformer_10_512": imagenet(512),
    "maxformer_10_768": imagenet(768),
    "maxformer_cifar_4_384": cifar(384),
    "maxformer_dvs_2_256": dvs(256, 10),
    "maxformer_dvs_gesture_2_256": dvs(256, 11),
    "ms_qkformer_10_384": baseline(384),
    "ms_qkformer_10_512": baseline(512),
    "ms_qkformer_10_768": baseline(768),
    "maxformer_tiny": tiny(),
}
