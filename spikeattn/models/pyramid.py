"""Models of several stages whose blocks work on pictures, convolutions and attention alike.

    x        = stem(x)                           one convolution, a membrane leaves
    x        = down_s(x)                         s = 1 ...: neuron, convolution
    x        = block_si(x)                       any block on pictures (T, B, C, Y, X)
    logits_t = W mean_n(pixels_t) (+ b)
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from torch import Tensor, nn

from spikeattn.blocks.downsample import ConvStem, Downsample
from spikeattn.blocks.residual import as_tokens
from spikeattn.models.config import ModelConfig
from spikeattn.models.model import SpikingModel
from spikeattn.neurons import ACTIVATIONS, NEURONS, Neuron
from spikeattn.types import State, detach_state


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(ModelConfig):
    """widths: channels of each stage; `dim` is the last."""

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "widths", tuple(self.widths))
        if not self.widths or min(self.widths) < 1 or self.widths[-1] != self.dim:
            raise ValueError(
                f"{type(self).__name__}: widths must be positive and end with dim={self.dim}, got {self.widths}. "
                "`resized` (and create_model) keep them together."
            )

    def resized(self, **changes) -> Self:
        """Another `dim` scales all widths; other `widths` set `dim`."""
        if "widths" in changes:
            changes["dim"] = changes["widths"][-1]
        elif "dim" in changes:
            changes["widths"] = tuple(width * changes["dim"] // self.dim for width in self.widths)
        return replace(self, **changes)


class StageState(NamedTuple):
    """States of the downsampling (None in the first stage) and of each block."""

    down: State = None
    blocks: tuple[State, ...] = ()
    detach = detach_state


class PyramidState(NamedTuple):
    """States of the stages and of the neuron in front of the read-out, where there is one."""

    stages: tuple[StageState | None, ...] = ()
    head: State = None
    detach = detach_state


class Stage(nn.Module):
    """`x, state = stage(x, state=None)` on pictures; `down` is None in the first stage."""

    def __init__(self, down: Downsample | None, blocks: list[nn.Module]):
        super().__init__()
        self.down, self.blocks = down, nn.ModuleList(blocks)

    def forward(self, x: Tensor, state: StageState | None = None) -> tuple[Tensor, StageState]:
        state = state or StageState(blocks=(None,) * len(self.blocks))
        down, after = None, []
        if self.down is not None:
            x, down = self.down(x, state.down)
        for block, block_state in zip(self.blocks, state.blocks, strict=True):
            x, block_state = block(x, block_state)
            after.append(block_state)
        return x, StageState(down, tuple(after))


class SpikingPyramid(SpikingModel):
    """Stem, stages, read-out. A family gives `build_stem`, `build_down`, `build_blocks` and `build_head`."""

    def __init__(self, config: PyramidConfig):
        super().__init__(config)
        neuron = config.neuron.build(NEURONS | ACTIVATIONS)
        self.stem = self.build_stem(neuron)
        self.stages = nn.ModuleList()
        grid = self.stem.grid(config.image_size)
        for index in range(len(config.widths)):
            down = self.build_down(index, neuron) if index else None
            grid = down.grid(grid) if down else grid
            self.stages.append(Stage(down, self.build_blocks(index, neuron, grid)))
        self.build_head(neuron)
        self.finish()

    @abstractmethod
    def build_stem(self, neuron: Neuron) -> ConvStem: ...

    @abstractmethod
    def build_down(self, stage: int, neuron: Neuron) -> Downsample:
        """What stands in front of stage 1, 2, ..."""

    @abstractmethod
    def build_blocks(self, stage: int, neuron: Neuron, grid: tuple[int, int]) -> list[nn.Module]:
        """The blocks of a stage, whose pictures have `grid` = (Y, X)."""

    def build_head(self, neuron: Neuron) -> None:
        """Set `self.head`, and what stands in front of it."""
        self.head = nn.Linear(self.config.dim, self.config.num_classes)

    def stream_features(self, x: Tensor, state: PyramidState | None = None) -> tuple[Tensor, PyramidState]:
        state = state or PyramidState(stages=(None,) * len(self.stages))
        x = self.stem(x)
        after = []
        for stage, stage_state in zip(self.stages, state.stages, strict=True):
            x, stage_state = stage(x, stage_state)
            after.append(stage_state)
        return as_tokens(x), PyramidState(tuple(after), state.head)
