"""Models of one width: a stem, L equal encoder blocks, a linear read-out.

    tokens   (T, B, N, D) = stem(x)
    tokens   = block_i(tokens)                   i = 1 ... L
    logits_t = W mean_n(tokens_t) + b
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn

from spikeattn.attention import ATTENTIONS
from spikeattn.blocks import EncoderBlock, EncoderState, MembraneShortcut
from spikeattn.blocks.stem import Stage
from spikeattn.models.config import ModelConfig
from spikeattn.models.model import SpikingModel
from spikeattn.neurons import ACTIVATIONS, NEURONS, Activation, Neuron
from spikeattn.types import State, detach_state


@dataclass(frozen=True, kw_only=True)
class IsotropicConfig(ModelConfig):
    """stem: (width, downsampling) of each convolution. qkv_bias: biases in front of the q, k, v norms; output_bias: in
    front of the norm behind the attention; mlp_bias: in front of those of the MLP.
    """

    stem: tuple[Stage, ...]
    qkv_bias: bool = False
    output_bias: bool = True
    mlp_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "stem", tuple((width, down) for width, down in self.stem))

    def resized(self, **changes) -> Self:
        """Another `dim` scales the widths of the stem, unless a stem is given."""
        if "dim" in changes and "stem" not in changes:
            changes["stem"] = tuple((width * changes["dim"] // self.dim, down) for width, down in self.stem)
        return replace(self, **changes)


class ModelState(NamedTuple):
    """States of the stem, of each block, and of the neuron in front of the read-out where there is one."""

    stem: State = None
    blocks: tuple[EncoderState | None, ...] = ()
    head: State = None
    detach = detach_state


class SpikingTransformer(SpikingModel):
    """Stem, blocks of one width, read-out. A family gives `config_class`, `stem_class` and `shortcut`."""

    stem_class: ClassVar[type]
    shortcut: ClassVar[Any] = MembraneShortcut()

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        neuron = config.neuron.build(NEURONS | ACTIVATIONS)
        self.stem = self.build_stem(neuron)
        rows, columns = self.stem.grid(config.image_size)
        self.blocks = nn.ModuleList(self._block(index, neuron, rows * columns) for index in range(config.depth))
        self.build_head(neuron)
        self.finish()

    def build_stem(self, neuron: Neuron | Activation) -> nn.Module:
        """The stem: pictures in, a picture of tokens out."""
        return self.stem_class(self.config.in_channels, self.config.stem, neuron=neuron)

    def build_head(self, neuron: Neuron | Activation) -> None:
        """Set `self.head`, and what stands in front of it."""
        self.head = nn.Linear(self.config.dim, self.config.num_classes)

    def _block(self, index: int, neuron, tokens: int) -> EncoderBlock:
        config = self.config
        part = config.attention[index % len(config.attention)]
        return EncoderBlock(
            config.dim, config.heads, attention=ATTENTIONS[part.name], neuron=neuron, mlp_ratio=config.mlp_ratio,
            shortcut=self.shortcut, bias=config.qkv_bias, tokens=tokens, inner_shortcut=self.inner_shortcut(),
            output_bias=config.output_bias, mlp_bias=config.mlp_bias,
            **part.options,
        )

    def inner_shortcut(self) -> bool:
        """Whether each of the MLP's two projections has a shortcut of its own."""
        return False

    def stream_features(self, x: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        state = state or ModelState(blocks=(None,) * len(self.blocks))
        x, stem = self.stem(x, state.stem)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(-2).mT  # (T, B, D, Y, X) -> (T, B, N, D)
        after = []
        for block, block_state in zip(self.blocks, state.blocks, strict=True):
            x, block_state = block(x, block_state, grid=grid)
            after.append(block_state)
        return x, ModelState(stem, tuple(after), state.head)
