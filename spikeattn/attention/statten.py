"""Spatial-temporal attention (STAtten): tokens of a few consecutive time steps attend to one another.

    Q, K, V = LIF(BN(W x))                       in {0, 1}
    chunk   = tau steps joined:                  (T, B, H, N, d) -> (T/tau, B, H, tau N, d)
    A       = Q (K^T V s)                        no softmax; integers times s
    out     = BN(W_o LIF(A))                     threshold 0.5; back at one token for each step

    s = 1/Y                                      Y rows of tokens
    s = 1/(Y^2 tau)                              event mode

In event mode x, Q, K and V are thickened by 3x3 maxima of stride 1 in the picture, and the block's input spikes
pass beside the attention:

    out     = BN(W_o (P * LIF(A) + P))           P = max3x3(x)

Every step of a chunk sees the others, later ones too: T must be a multiple of tau, and a stream advances by whole
chunks.

Source: Lee et al., "Spiking Transformer with Spatial-Temporal Attention" (CVPR 2025), arXiv 2409.19764, and its code.
The code multiplies by s between the two products; so does this.
"""

import math

from torch import Tensor

from spikeattn.attention.attention import check_grid
from spikeattn.attention.projection import SPIKE_POWER
from spikeattn.attention.score import ScoreAttention, ScoreAttentionState
from spikeattn.attention.sdsa import thicken
from spikeattn.attention.softmax import check_mask
from spikeattn.attention.ssa import deviation
from spikeattn.neurons import LIF, Neuron


class SpatialTemporalAttention(ScoreAttention):
    """Attention over the tokens of `chunk` time steps at once.

    scale: None for the published 1/Y (1/(Y^2 tau) in event mode), which needs `grid`, or a number.
    erode: event mode; needs `grid`. A mask says which tokens are seen, at all steps of the chunk.

    >>> import torch
    >>> attention = SpatialTemporalAttention(dim=16, heads=2, chunk=2).eval()
    >>> out, state = attention(torch.ones(4, 1, 6, 16), grid=(2, 3))
    >>> attention.stream_chunk, out.shape
    (2, torch.Size([4, 1, 6, 16]))
    """

    citation = "lee2025statten"

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, chunk: int = 2, scale: float | None = None, erode: bool = False):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias)
        if chunk < 1:
            raise ValueError(f"{type(self).__name__}: chunk must be at least 1 step, got {chunk}. The paper uses 2.")
        self.stream_chunk = self.chunk = chunk
        self.scale, self.erode = scale, erode
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def forward(self, x: Tensor, state: ScoreAttentionState | None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, ScoreAttentionState]:
        check_mask(type(self).__name__, mask)
        (q, k, v), state = self.project(x, state, grid)
        scale = self.scale
        if self.erode or scale is None:
            grid = check_grid(self, x, grid)
            scale = self.published_scale(grid[0]) if scale is None else scale
        if self.erode:
            if mask is not None:
                raise ValueError(
                    f"{type(self).__name__}: mask must be None in event mode, got {tuple(mask.shape)}. Its maxima over "
                    "neighbours mix the tokens before the attention; build it with erode=False."
                )
            x, q, k, v = (thicken(spikes, grid) for spikes in (x, q, k, v))
        current = self.merge(self.mix(self.split(q), self.split(k), self.split(v), mask, scale))
        spikes, attn_state = self.attn_neuron(current, state.attn)
        if self.erode:
            spikes = spikes * x + x
        return self.proj(spikes, grid), state._replace(attn=attn_state)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float = 1.0) -> Tensor:
        queries, keys, values = self.join(q), self.join(k), self.join(v)  # (T/tau, B, H, tau N, d)
        if mask is None:
            summary = self.product(keys.mT, values.mT) * scale  # (.., d, d): s K^T V
            return self.part(queries @ summary.to(queries.dtype))
        seen = self.join(mask.expand(*q.shape[:-1], k.shape[-2])).repeat(1, 1, 1, 1, self.chunk)
        scores = self.product(queries, keys) * seen
        return self.part(self.product(scores, values.mT) * scale)

    def published_scale(self, rows: float) -> float:
        return 1 / (rows * rows * self.chunk) if self.erode else 1 / rows

    def join(self, x: Tensor) -> Tensor:
        """(T, B, H, N, d) -> (T/tau, B, H, tau N, d)."""
        return x.unflatten(0, (-1, self.chunk)).permute(0, 2, 3, 1, 4, 5).flatten(3, 4)

    def part(self, x: Tensor) -> Tensor:
        """(T/tau, B, H, tau N, d) -> (T, B, H, N, d)."""
        return x.unflatten(3, (self.chunk, -1)).permute(0, 3, 1, 2, 4, 5).flatten(0, 1)

    def value_scale(self, tokens: int) -> float:
        return self.v_neuron.threshold_current

    def init_firing(self, tokens: int, output_scale: float) -> None:
        """Queries, keys and values start at the common rate f at which the mean current meets the threshold:

            s tau N d f^3 = threshold_current(output neuron)          f at the maxima in event mode
        """
        super().init_firing(tokens, output_scale)
        window = 9 if self.erode else 1
        scale = self.published_scale(math.sqrt(tokens)) if self.scale is None else self.scale
        keys = scale * self.chunk * tokens * (self.dim // self.heads)
        share = min(0.9, (self.attn_neuron.threshold_current / keys) ** (1 / 3))
        rate = min(0.4, max(0.05, 1 - (1 - share) ** (1 / window)))
        for projection, neuron in ((self.q, self.q_neuron), (self.k, self.k_neuron), (self.v, self.v_neuron)):
            self.init_input(projection, neuron.threshold_current * deviation(neuron, rate))
        if self.erode:  # the maxima of the input pass once or twice
            self.proj.init_firing(output_scale, 2.5 * (1 - (1 - SPIKE_POWER) ** window))
