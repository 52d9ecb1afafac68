"""The skeleton of Meta-SpikeFormer and E-SpikeFormer: convolutional stages, then transformer stages.

    stem     x = BN(conv7x7 x), stride 2
    early    conv blocks: separable convolution, two 3x3 convolutions; a 3x3 convolution of stride 2 in front of each
             further stage
    late     encoder blocks on the pixels as tokens
    f_t      = mean_n(pixels_t),  s_t = neuron(f_t)
    logits_t = W s_t + b,  or W f_t + b without `spiking_head`
    logits_t = (that + W' s_t + b') / 2          with `distilled`: a second read-out, trained on a teacher's labels

The published code returns both read-outs of a distilled model while it trains; `distilled_logits` gives them.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from spikeattn.attention import ATTENTIONS, Attention, ScoreAttention
from spikeattn.blocks.conv_block import ConvBlock
from spikeattn.blocks.downsample import ConvStem, Downsample
from spikeattn.models.config import Part
from spikeattn.models.model import init_head
from spikeattn.models.pyramid import PyramidConfig, PyramidState, SpikingPyramid
from spikeattn.neurons import Neuron
from spikeattn.types import State


@dataclass(frozen=True, kw_only=True)
class MetaFormerConfig(PyramidConfig):
    """depths: blocks of each stage, convolutional in the first `conv_stages`; `depth` counts the encoder blocks.

    strides: of the convolution in front of stage 1, 2, ... spiking_head: the read-out sees spikes, not the membrane.
    distilled: a second read-out, always on spikes.
    """

    depths: tuple[int, ...]
    strides: tuple[int, ...]
    conv_stages: int = 3
    spiking_head: bool = True
    distilled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("depths", "strides"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        stages = len(self.widths)
        if not len(self.depths) == len(self.strides) + 1 == stages > self.conv_stages:
            raise ValueError(
                f"{type(self).__name__}: {stages} widths must come with {stages} depths, {stages - 1} strides and "
                f"fewer conv_stages, got {self.depths}, {self.strides} and {self.conv_stages}. Give one for each stage."
            )
        if self.depth != sum(self.depths[self.conv_stages:]):
            raise ValueError(
                f"{type(self).__name__}: depth must count the encoder blocks of {self.depths}, got {self.depth}. "
                "`resized` keeps them together."
            )

    def resized(self, **changes) -> Self:
        """Also: other `depths` set `depth`; another `depth` changes the first stage of encoder blocks."""
        first = changes.get("conv_stages", self.conv_stages)
        if "depths" in changes:
            changes["depth"] = sum(changes["depths"][first:])
        elif "depth" in changes:
            new = self.depths[first] + changes["depth"] - self.depth
            changes["depths"] = (*self.depths[:first], new, *self.depths[first + 1:])
        return super().resized(**changes)


class MetaFormer(SpikingPyramid):
    """A family gives `own_attention`, `conv_block`, `encoder_block` and `adapt`."""

    own_attention: ClassVar[type[Attention]]

    def build_stem(self, neuron: Neuron) -> ConvStem:
        return ConvStem(self.config.in_channels, self.config.widths[0], kernel=7, stride=2, bias=True,
                        scale=neuron.threshold_current)

    def build_down(self, stage: int, neuron: Neuron) -> Downsample:
        config = self.config
        return Downsample(config.widths[stage - 1], config.widths[stage], neuron=neuron, bias=True,
                          stride=config.strides[stage - 1])

    def build_blocks(self, stage: int, neuron: Neuron, grid: tuple[int, int]) -> list[nn.Module]:
        config = self.config
        width, depth = config.widths[stage], config.depths[stage]
        if stage < config.conv_stages:
            return [self.conv_block(width, neuron) for _ in range(depth)]
        before, tokens = sum(config.depths[config.conv_stages:stage]), grid[0] * grid[1]
        blocks = []
        for index in range(before, before + depth):
            part = config.attention[index % len(config.attention)]
            inner = self.attention_neuron(part, neuron)
            block = self.encoder_block(width, self.build_attention(part, width, inner, tokens), neuron, tokens)
            if inner is not neuron and block.attn_neuron is not None:
                block.attn_neuron = inner.clone()
            blocks.append(block)
        return blocks

    def attention_neuron(self, part: Part, neuron: Neuron) -> Neuron:
        """The neuron around and inside an attention: other mechanisms than the published one need whole levels."""
        own = ATTENTIONS[part.name] is self.own_attention
        return neuron if own or neuron.alphabet != "graded" else neuron.clone(normalise=False)

    @abstractmethod
    def conv_block(self, width: int, neuron: Neuron) -> ConvBlock:
        """A block of the early stages."""

    @abstractmethod
    def encoder_block(self, width: int, attention: Attention, neuron: Neuron, tokens: int) -> nn.Module:
        """A block of the late stages."""

    def build_attention(self, part: Part, width: int, neuron: Neuron, tokens: int) -> Attention:
        """The published mechanism, or another one on the projections of this host."""
        kind, options = ATTENTIONS[part.name], dict(part.options)
        if issubclass(kind, ScoreAttention) and neuron.alphabet == "graded":
            options = {"attn_threshold": neuron.threshold} | options  # the neurons of these hosts have one threshold
        attention = kind.in_host(width, self.config.heads, neuron=neuron, tokens=tokens, bias=False, **options)
        if isinstance(attention, ScoreAttention):
            self.adapt(attention)
        return attention

    @abstractmethod
    def adapt(self, attention: ScoreAttention) -> None:
        """Give any mechanism the projections of this host, so that the number of parameters stays."""

    def build_head(self, neuron: Neuron) -> None:
        super().build_head(neuron)
        # before a read-out the levels of graded neurons are not divided
        self.head_neuron = neuron.clone(normalise=False) if neuron.alphabet == "graded" else neuron.clone()
        if self.config.distilled:
            self.head_distilled = nn.Linear(self.config.dim, self.config.num_classes)
            init_head(self.head_distilled)
        # a token mean is near the biases of the norms behind it: if all are zero the last neuron is silent
        nn.init.normal_(self.last_norm().bias, std=self.head_neuron.threshold_current)

    def last_norm(self) -> nn.Module:
        """A norm whose bias reaches the neuron in front of the read-out."""
        return self.stages[-1].blocks[-1].mlp.fc2.norm

    def classify(self, tokens: Tensor, state: PyramidState) -> tuple[Tensor, State]:
        (logits, distilled), state = self._read_outs(tokens, state)
        return logits if distilled is None else (logits + distilled) / 2, state

    def distilled_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two read-outs (T, B, K) of a distilled model: for the labels, and for a teacher's labels."""
        if not self.config.distilled:
            raise ValueError(
                f"{type(self).__name__}.distilled_logits: the model must have distilled=True, got False. "
                "Build it with create_model(..., distilled=True)."
            )
        return self._read_outs(*self.stream_features(self.over_time(x)))[0]

    def _read_outs(self, tokens: Tensor, state: PyramidState) -> tuple[tuple[Tensor, Tensor | None], PyramidState]:
        features = tokens.mean(2)
        spikes, after = self.head_neuron(features, state.head)
        logits = self.head(spikes if self.config.spiking_head else features)
        distilled = self.head_distilled(spikes) if self.config.distilled else None
        return (logits, distilled), state._replace(head=after)

    def reset_classifier(self, num_classes: int) -> None:
        """Fresh read-outs for another number of classes."""
        super().reset_classifier(num_classes)
        if self.config.distilled:
            self.head_distilled = nn.Linear(self.config.dim, num_classes, device=self.head.weight.device,
                                            dtype=self.head.weight.dtype)
            init_head(self.head_distilled)


def five_stages(widths: tuple[int, int, int, int]) -> dict:
    """Fields for the published widths (a, b, c, d): stages of a/2, a, b, c, d; the last keeps the size.

    >>> five_stages((64, 128, 256, 360))["widths"]
    (32, 64, 128, 256, 360)
    """
    stages = (widths[0] // 2, *widths)
    return dict(widths=stages, dim=stages[-1], depths=(1, 1, 2, 6, 2), depth=8, strides=(2, 2, 2, 1))


def tiny(attention: str) -> dict:
    """Fields of a model that runs in milliseconds: one block of each kind, 64 tokens, no stride but the stem's."""
    return dict(widths=(16, 32), dim=32, depths=(1, 1), depth=1, strides=(1,), conv_stages=1, heads=2,
                num_classes=10, in_channels=1, image_size=(16, 16), attention=(Part(attention),))
