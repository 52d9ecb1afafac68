"""Models of several stages: each makes the picture smaller and wider, then mixes its tokens.

    x        (T, B, C, Y, X)
    x        = embedding_s(x)                    stage s: fewer pixels, more channels
    x        = block_si(x)                       i = 1 ... depths[s]; a pixel is a token
    logits_t = W mean_n(tokens_t) + b
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn

from spikeattn.attention import ATTENTIONS
from spikeattn.blocks import Embedding, EncoderBlock, EncoderState
from spikeattn.models.config import ModelConfig, Part, attention_schedule
from spikeattn.models.model import SpikingModel
from spikeattn.neurons import ACTIVATIONS, NEURONS, Neuron
from spikeattn.types import State, detach_state


@dataclass(frozen=True, kw_only=True)
class HierarchicalConfig(ModelConfig):
    """embeddings, depths: one patch embedding and one number of blocks for each stage; `depth` is their sum.

    mixers: token mixers of all stages but the last, whose mixer is `attention`. mixer_heads: heads of these stages,
    as many as `heads` where none are given. embedding_bias: biases in front of the norms of the embeddings;
    output_bias: in front of the norm behind an attention.
    """

    embeddings: tuple[Embedding, ...]
    depths: tuple[int, ...]
    mixers: tuple[Part, ...]
    mixer_heads: tuple[int, ...] = ()
    embedding_bias: bool = False
    output_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        plans = (plan if isinstance(plan, Embedding) else Embedding(**plan) for plan in self.embeddings)
        object.__setattr__(self, "embeddings", tuple(plans))
        object.__setattr__(self, "depths", tuple(self.depths))
        object.__setattr__(self, "mixers", attention_schedule(tuple(self.mixers)))
        object.__setattr__(self, "mixer_heads", tuple(self.mixer_heads) or (self.heads,) * len(self.mixers))
        stages = len(self.embeddings)
        if not len(self.depths) == len(self.mixers) + 1 == len(self.mixer_heads) + 1 == stages or min(self.depths) < 1:
            raise ValueError(
                f"{type(self).__name__}: {stages} embeddings must come with {stages} depths of at least 1 and "
                f"{stages - 1} mixers and mixer_heads, got {self.depths}, {[part.name for part in self.mixers]}, "
                f"{self.mixer_heads}. Give one value for each stage."
            )
        if self.depth != sum(self.depths) or self.dim != self.embeddings[-1].width:
            raise ValueError(
                f"{type(self).__name__}: depth must be the sum of {self.depths} and dim the last width "
                f"{self.embeddings[-1].width}, got {self.depth} and {self.dim}. `resized` keeps them together."
            )

    def resized(self, **changes) -> Self:
        """Another `dim` scales all widths; another `depth` changes the last stage; `depths` sets `depth`."""
        if "dim" in changes and "embeddings" not in changes:
            changes["embeddings"] = tuple(plan.scaled(self.dim, changes["dim"]) for plan in self.embeddings)
        if "depth" in changes and "depths" not in changes:
            changes["depths"] = (*self.depths[:-1], changes["depth"] - sum(self.depths[:-1]))
        if "depths" in changes:
            changes["depth"] = sum(changes["depths"])
        if "heads" in changes and "mixer_heads" not in changes and set(self.mixer_heads) == {self.heads}:
            changes["mixer_heads"] = ()
        return replace(self, **changes)


class StageState(NamedTuple):
    """States of the embedding and of each block of one stage."""

    embedding: State = None
    blocks: tuple[EncoderState | None, ...] = ()
    detach = detach_state


class HierarchicalState(NamedTuple):
    """States of the stages and of the neuron in front of the read-out, where there is one."""

    stages: tuple[StageState | None, ...] = ()
    head: State = None
    detach = detach_state


class Stage(nn.Module):
    """`x, state = stage(x, state=None)`: pictures (T, B, C, Y, X) to smaller pictures."""

    def __init__(self, embedding: nn.Module, blocks: list[EncoderBlock]):
        super().__init__()
        self.embedding, self.blocks = embedding, nn.ModuleList(blocks)

    def forward(self, x: Tensor, state: StageState | None = None) -> tuple[Tensor, StageState]:
        state = state or StageState(blocks=(None,) * len(self.blocks))
        x, embedding = self.embedding(x, state.embedding)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(-2).mT  # (T, B, C, Y, X) -> (T, B, N, C)
        after = []
        for block, block_state in zip(self.blocks, state.blocks, strict=True):
            x, block_state = block(x, block_state, grid=grid)
            after.append(block_state)
        return x.mT.unflatten(-1, grid), StageState(embedding, tuple(after))


class HierarchicalTransformer(SpikingModel):
    """Stages and a read-out. A family gives `config_class`, `shortcut` and `embedding`."""

    shortcut: ClassVar[Any]

    def __init__(self, config: HierarchicalConfig):
        super().__init__(config)
        neuron = config.neuron.build(NEURONS | ACTIVATIONS)
        self.stages = nn.ModuleList()
        channels, size = config.in_channels, config.image_size
        for index, plan in enumerate(config.embeddings):
            embedding = self.embedding(index, channels, plan, neuron)
            channels, size = plan.width, embedding.grid(size)
            blocks = [self.block(index, i, neuron, size[0] * size[1]) for i in range(config.depths[index])]
            self.stages.append(Stage(embedding, blocks))
        self.build_head(neuron)
        self.finish()

    @abstractmethod
    def embedding(self, stage: int, channels: int, plan: Embedding, neuron: Neuron) -> nn.Module:
        """The patch embedding of one stage."""

    def block(self, stage: int, index: int, neuron: Neuron, tokens: int, **options) -> EncoderBlock:
        """One block; `options` are further arguments of EncoderBlock."""
        config = self.config
        last = stage == len(config.mixers)
        part = config.attention[index % len(config.attention)] if last else config.mixers[stage]
        return EncoderBlock(
            config.embeddings[stage].width, config.heads if last else config.mixer_heads[stage],
            attention=ATTENTIONS[part.name], neuron=neuron, mlp_ratio=config.mlp_ratio, shortcut=self.shortcut,
            tokens=tokens, output_bias=config.output_bias, **options, **part.options,
        )

    def build_head(self, neuron: Neuron) -> None:
        self.head = nn.Linear(self.config.dim, self.config.num_classes)

    def stream_features(self, x: Tensor, state: HierarchicalState | None = None) -> tuple[Tensor, HierarchicalState]:
        state = state or HierarchicalState((None,) * len(self.stages))
        after = []
        for stage, stage_state in zip(self.stages, state.stages, strict=True):
            x, stage_state = stage(x, stage_state)
            after.append(stage_state)
        return x.flatten(-2).mT, HierarchicalState(tuple(after), state.head)  # (T, B, D, Y, X) -> (T, B, N, D)
