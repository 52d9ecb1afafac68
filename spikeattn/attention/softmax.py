"""Multi-head softmax attention, the baseline every spiking mechanism is compared with.

    Q, K, V = BN(W_q x), BN(W_k x), BN(W_v x)          real
    A       = softmax(Q K^T / sqrt(d))                 per head; rows sum to 1
    out     = BN(W_o A V)

No neurons: the ANN twin of the spiking attentions, with the same projections and norms. Time steps do not
interact, and there is no state.

Source: Vaswani et al., "Attention Is All You Need" (NeurIPS 2017), Eq. 1.
Differs from the paper in: a batch norm behind each projection, as in the spiking hosts, so that both networks
have the same parameters.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from spikeattn.attention.attention import Attention
from spikeattn.attention.projection import Projection


class SoftmaxAttention(Attention):
    """Softmax attention over tokens, (T, B, N, D) -> (T, B, N, D).

    bias: biases of W_q, W_k, W_v (W_o always has one). causal: token i sees tokens 0 ... i only.
    A mask is boolean, True = may attend, broadcastable to (T, B, H, N, M); a query that may attend to nothing
    gets 0 before the output projection.

    >>> import torch
    >>> attention = SoftmaxAttention(dim=8, heads=2).eval()
    >>> out, state = attention(torch.randn(1, 3, 5, 8))
    >>> out.shape, state
    (torch.Size([1, 3, 5, 8]), None)
    """

    citation = "vaswani2017attention"

    def __init__(self, dim: int, heads: int, *, bias: bool = False, causal: bool = False):
        super().__init__(dim, heads)
        self.causal = causal
        self.q, self.k, self.v = (Projection(dim, dim, bias=bias) for _ in range(3))
        self.proj = Projection(dim, dim, bias=True)
        self.init_firing(tokens=64, output_scale=1.0)

    def forward(self, x: Tensor, state: None = None, *, grid: tuple[int, int] | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, None]:
        self.check_input(x)
        check_mask(type(self).__name__, mask)
        steps, batch, tokens, _ = x.shape
        # the fast kernels take (batch, H, N, d): time steps are independent, so T joins the batch
        q, k, v = (self.split(layer(x)).flatten(0, 1) for layer in (self.q, self.k, self.v))
        if mask is not None:
            if self.causal:
                mask = mask & causal_mask(tokens, x.device)
            mask = mask.expand(steps, batch, self.heads, tokens, tokens).flatten(0, 1)
        mixed = functional.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal and mask is None)
        return self.proj(self.merge(mixed.unflatten(0, (steps, batch)))), None

    def init_firing(self, tokens: int, output_scale: float) -> None:
        for projection in (self.q, self.k, self.v):
            projection.init_firing(1.0)
        self.proj.init_firing(output_scale, input_power=mixed_power(tokens))


def check_mask(owner: str, mask: Tensor | None) -> None:
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(
            f"{owner}: mask must be boolean, True = may attend, got {mask.dtype}. "
            "From an additive mask: mask == 0."
        )


def causal_mask(tokens: int, device: torch.device) -> Tensor:
    """(N, N), True where the key is not later than the query.

    >>> causal_mask(2, torch.device("cpu"))
    tensor([[ True, False],
            [ True,  True]])
    """
    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()


def mixed_power(tokens: int) -> float:
    """Mean square of softmax-weighted sums of unit-variance values over `tokens` keys.

    Scores ~ N(0, 1) make the squared weights of a row sum to about E[e^2s] / (N E[e^s]^2) = e / N, at most 1.
    """
    return min(1.0, math.e / tokens)
