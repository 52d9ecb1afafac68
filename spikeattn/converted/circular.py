"""The mixing of CAT, kept in floating point: what makes a converted cat_* network a hybrid.

    real = unit * integer,   y = circulant(softmax(z)) V            z_n = coefficients (B, N, H), or
                                                                    z_n = q_n . mean_m k_m / sqrt(d)

The linear layers around it run on spikes. Its FFT multiplies real numbers, so every operation is charged as floating
point, and the network is never called spike-driven.

Source: Yamada, "Circular-convolutional attention" (NeurIPS 2025); equations in spikeattn.attention.cat.
"""

from torch import Tensor

from spikeattn.attention import CircularAttention
from spikeattn.converted.elementwise import real
from spikeattn.converted.node import Node


class CircularMixing(Node):
    """Values, then coefficients (B, N, H) or q and k: integers (B, N, D) -> real (B, N, D).

    units: what one step of each input is worth.
    """

    mix, refuses_fft = CircularAttention.mix, CircularAttention.refuses_fft

    def __init__(self, *, units: list[float], heads: int, orientation: str, causal: bool, normaliser: str,
                 implementation: str):
        super().__init__({"units": tuple(units), "heads": heads, "orientation": orientation, "causal": causal,
                          "normaliser": normaliser, "implementation": implementation}, {})

    def forward(self, *inputs: Tensor) -> Tensor:
        values, *rest = (real(x, unit) for x, unit in zip(inputs, self.units, strict=True))
        z = rest[0].mT if len(rest) == 1 else averaged_key(*rest, heads=self.heads, causal=self.causal)
        values = values.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, d)
        return self.mix(z, values).transpose(1, 2).flatten(2)


def averaged_key(q: Tensor, k: Tensor, *, heads: int, causal: bool) -> Tensor:
    """q_n . mean_m k_m / sqrt(d) per head, over m <= n where causal: (B, N, D) -> (B, H, N)."""
    q, k = (x.unflatten(-1, (heads, -1)) for x in (q, k))  # (B, N, H, d)
    key = k.mean(1, keepdim=True)
    if causal:
        seen = k.new_ones(k.shape[1]).cumsum(0)
        key = k.cumsum(1) / seen[:, None, None]
    return (q * key).sum(-1).mT * q.shape[-1] ** -0.5
