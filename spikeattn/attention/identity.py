"""No mixing: the control in which every token stays alone.

    out = x

An encoder block with this attention has no attention branch at all; its MLP is all that is left.

Source: the identity mixer of Fang et al., "Spiking Neural Networks Need High-Frequency Information" (NeurIPS 2025,
Max-Former), which stands in the first stage of the CIFAR models and is an ablation elsewhere.
"""

from typing import Self

from torch import Tensor

from spikeattn.attention.attention import Attention
from spikeattn.neurons import Activation, Neuron


class Identity(Attention):
    """x as it is.

    >>> import torch
    >>> Identity(4, 1)(torch.ones(1, 1, 2, 4))[0].sum()
    tensor(8.)
    """

    citation = "fang2025maxformer"

    @classmethod
    def in_host(cls, dim: int, heads: int, *, neuron: Neuron | Activation, tokens: int, bias: bool,
                **options) -> Self:
        return cls(dim, heads, **options)

    def forward(self, x: Tensor, state: None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, None]:
        self.check_input(x)
        return x, None

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Nothing to initialise."""
