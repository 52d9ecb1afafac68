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
from spikeattn.attention.projection import Projection, spike_power
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
            attention = self.build_attention(config.attention[index % len(config.attention)], width, neuron, tokens)
            blocks.append(self.encoder_block(width, attention, neuron, tokens))
        return blocks

    @abstractmethod
    def conv_block(self, width: int, neuron: Neuron) -> ConvBlock:
        """A block of the early stages."""

    @abstractmethod
    def encoder_block(self, width: int, attention: Attention, neuron: Neuron, tokens: int) -> nn.Module:
        """A block of the late stages."""

    def build_attention(self, part: Part, width: int, neuron: Neuron, tokens: int) -> Attention:
        """The published mechanism, or another one on the projections of this host."""
        kind, options = ATTENTIONS[part.name], dict(part.options)
        power = spike_power(neuron)
        foreign = issubclass(kind, ScoreAttention) and not issubclass(kind, self.own_attention)
        if foreign and neuron.alphabet == "graded":
            # scores are integers: levels as they are; the host's neurons all have one threshold
            options = {"attn_threshold": neuron.threshold} | options
            neuron = neuron.clone(normalise=False)
        attention = kind.in_host(width, self.config.heads, neuron=neuron, tokens=tokens, bias=False, **options)
        if foreign and isinstance(attention.q, Projection):
            self.adapt(attention)
        if isinstance(attention, ScoreAttention):
            attention.input_power = power
        return attention

    @abstractmethod
    def adapt(self, attention: ScoreAttention) -> None:
        """Give another mechanism the projections of this host, so that the number of parameters stays."""

    def build_head(self, neuron: Neuron) -> None:
        super().build_head(neuron)
        # before a read-out the levels of graded neurons are not divided
        self.head_neuron = neuron.clone(normalise=False) if neuron.alphabet == "graded" else neuron.clone()
        if self.config.distilled:
            self.head_distilled = nn.Linear(self.config.dim, self.config.num_classes)
            init_head(self.head_distilled)
        # a token mean is near its norm's bias: with zero biases the last neuron would be silent
        last = self.stages[-1].blocks[-1].mlp.fc2.norm
        nn.init.normal_(last.bias, std=self.head_neuron.threshold_current)

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
