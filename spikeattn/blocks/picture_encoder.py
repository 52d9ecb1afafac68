"""Encoder blocks on pictures, for models whose stages are pictures of falling size.

    x = x + conv(neuron(x))                      ConvEncoderBlock only
    x = x + attention(neuron(x))                 on the tokens of the picture
    x = x + mlp(neuron(x))
"""

from typing import NamedTuple

from torch import Tensor, nn

from spikeattn.blocks.encoder import EncoderBlock, EncoderState
from spikeattn.blocks.residual import Residual, as_picture, as_tokens
from spikeattn.blocks.shortcut import BranchState
from spikeattn.types import detach_state


class PictureEncoderBlock(EncoderBlock):
    """An EncoderBlock that takes and returns pictures: `x, state = block(x, state=None)`, x (T, B, C, Y, X)."""

    def forward(self, x: Tensor, state: EncoderState | None = None) -> tuple[Tensor, EncoderState]:
        grid = (x.shape[-2], x.shape[-1])
        tokens, state = super().forward(as_tokens(x), state, grid=grid)
        return as_picture(tokens, grid), state


class ConvEncoderState(NamedTuple):
    """States of the convolution branch and of the encoder block behind it."""

    conv: BranchState | None = None
    encoder: EncoderState | None = None
    detach = detach_state


class ConvEncoderBlock(PictureEncoderBlock):
    """An encoder block with a convolution in front. conv: a layer on pictures with `init_firing(scale)`."""

    def __init__(self, dim: int, heads: int, *, conv: nn.Module, neuron: nn.Module, **options):
        super().__init__(dim, heads, neuron=neuron, **options)
        self.conv = Residual(conv, neuron=neuron.clone())

    def forward(self, x: Tensor, state: ConvEncoderState | None = None) -> tuple[Tensor, ConvEncoderState]:
        state = state or ConvEncoderState()
        x, conv = self.conv(x, state.conv)
        x, encoder = super().forward(x, state.encoder)
        return x, ConvEncoderState(conv, encoder)
