"""A learnable factor for each channel behind a layer: out = scale * layer(x).

Source: Touvron et al., "Going deeper with Image Transformers" (ICCV 2021).
"""

import torch
from torch import Tensor, nn

from spikeattn.types import State


class LayerScale(nn.Module):
    """`out, state = layer(x, state)` times `scale`, which starts at `start` and acts on the last axis."""

    citation = "touvron2021cait"

    def __init__(self, layer: nn.Module, dim: int, start: float = 1e-6):
        super().__init__()
        self.layer = layer
        self.scale = nn.Parameter(torch.full((dim,), start))

    def forward(self, x: Tensor, state: State = None, **options) -> tuple[Tensor, State]:
        out, state = self.layer(x, state, **options)
        return out * self.scale, state

    def init_firing(self, *arguments) -> None:
        self.layer.init_firing(*arguments)
