"""Products with circulant and causal Toeplitz attention matrices, by FFT and by gathering.

    corr:    A[i, j] = w[(j - i) mod N]     row i is w rolled right by i
    conv:    A[i, j] = w[(i - j) mod N]     row i is w reversed, then rolled
    causal:  A[i, j] = exp(z[i - j]) / sum over k <= i of exp(z[k])     for j <= i, else 0

The FFT forms never build A: O(N log N) a channel instead of O(N^2).
"""

import torch
from torch import Tensor

# The causal FFT error is absolute, about 15 * eps * exp(max z), while row i is divided by at least exp(z[0]):
# about 1e-4 at the limit in float32 and 1e-11 in float64.
CAUSAL_SPREAD_LIMIT = {torch.float32: 4.0, torch.float64: 8.0}
ORIENTATIONS = ("corr", "conv")


def _wide(x: Tensor) -> Tensor:
    """float32 or wider: the FFT of half-precision numbers loses what the attention weighs."""
    return x if x.dtype in CAUSAL_SPREAD_LIMIT else x.float()


def _check(row: Tensor, values: Tensor, where: str) -> None:
    if row.ndim < 1 or values.ndim < 2 or row.shape[-1] != values.shape[-2]:
        raise ValueError(
            f"{where}: the row must be (..., N) and the values (..., N, d) with one N, "
            f"got {tuple(row.shape)} and {tuple(values.shape)}. Put tokens on the last axis of the row "
            "and on the axis before the last of the values."
        )


def _check_orientation(orientation: str, where: str) -> None:
    if orientation not in ORIENTATIONS:
        raise ValueError(
            f'{where}: orientation must be "corr" or "conv", got {orientation!r}. '
            'Use "corr" for row i = w rolled right by i, "conv" for the circular convolution.'
        )


def circulant(row: Tensor, orientation: str = "corr") -> Tensor:
    """The N x N matrix whose rows are rotations of one row.

    row (..., N) -> (..., N, N); any dtype.

    >>> circulant(torch.tensor([5, 6, 7]))
    tensor([[5, 6, 7],
            [7, 5, 6],
            [6, 7, 5]])
    >>> circulant(torch.tensor([5, 6, 7]), "conv")[1]
    tensor([6, 5, 7])
    """
    _check_orientation(orientation, "circulant")
    tokens = torch.arange(row.shape[-1], device=row.device)
    ahead = tokens[None, :] - tokens[:, None]  # (N, N): j - i
    index = (ahead if orientation == "corr" else -ahead) % row.shape[-1]
    return row[..., index]


def circulant_matmul(row: Tensor, values: Tensor, orientation: str = "corr") -> Tensor:
    """The circulant matrix of `row` times `values`, by FFT.

        corr:  out = irfft( conj(rfft row) * rfft values )      correlation
        conv:  out = irfft( rfft row * rfft values )            convolution

    row (..., N), values (..., N, d) -> (..., N, d); leading axes broadcast. The result has the dtype of
    `values`; half precision is computed in float32. `n=N` goes to the inverse transform, so odd N is exact
    too; padding N to a power of two would no longer be circular.

    >>> second = torch.tensor([0.0, 1.0, 0.0])
    >>> circulant_matmul(second, torch.tensor([[1.0], [2.0], [3.0]])).round().squeeze(-1)
    tensor([2., 3., 1.])
    """
    _check_orientation(orientation, "circulant_matmul")
    _check(row, values, "circulant_matmul")
    spectrum = torch.fft.rfft(_wide(row), dim=-1)
    if orientation == "corr":
        spectrum = spectrum.conj()
    product = spectrum.unsqueeze(-1) * torch.fft.rfft(_wide(values), dim=-2)
    return torch.fft.irfft(product, n=values.shape[-2], dim=-2).to(values.dtype)


def circulant_matmul_gather(row: Tensor, values: Tensor, orientation: str = "corr") -> Tensor:
    """The circulant matrix of `row` times `values`, with the matrix built: O(N^2).

    >>> second = torch.tensor([0.0, 1.0, 0.0])
    >>> circulant_matmul_gather(second, torch.tensor([[1.0], [2.0], [3.0]])).squeeze(-1)
    tensor([2., 3., 1.])
    """
    _check(row, values, "circulant_matmul_gather")
    return circulant(row, orientation).to(values.dtype) @ values


def causal_spread(z: Tensor) -> Tensor:
    """R = max over the row of z, minus z[0]: what decides the accuracy of the causal FFT form.

    (..., N) -> (...). The range of z is not the point: with z[0] the largest, R is 0 whatever the rest is.

    >>> causal_spread(torch.tensor([[1.0, 3.0, -9.0], [0.0, -50.0, -1.0]]))
    tensor([2., 0.])
    """
    return z.amax(-1) - z[..., 0]


def causal_matmul_fft(z: Tensor, values: Tensor) -> Tensor:
    """Causal circular attention by a zero-padded FFT, trustworthy while `causal_spread(z)` is small.

        e[k]   = exp(z[k] - max z)                                 numerators, at most 1
        out[i] = (e * values)[i] / (e[0] + ... + e[i])             linear convolution / prefix sum

    z (..., N), values (..., N, d) -> (..., N, d). The error is about 15 * eps * exp(R) of the values' size:
    `causal_matmul` looks at R first.

    >>> causal_matmul_fft(torch.zeros(2), torch.tensor([[2.0], [4.0]])).squeeze(-1)
    tensor([2., 3.])
    """
    _check(z, values, "causal_matmul_fft")
    tokens, wide = values.shape[-2], _wide(z)
    numerator = torch.exp(wide - wide.detach().amax(-1, keepdim=True))
    spectrum = torch.fft.rfft(numerator, n=2 * tokens, dim=-1).unsqueeze(-1)
    product = spectrum * torch.fft.rfft(_wide(values), n=2 * tokens, dim=-2)
    mixed = torch.fft.irfft(product, n=2 * tokens, dim=-2)[..., :tokens, :]
    return (mixed / numerator.cumsum(-1).unsqueeze(-1)).to(values.dtype)


def causal_matmul_gather(z: Tensor, values: Tensor) -> Tensor:
    """Causal circular attention with the Toeplitz matrix built: O(N^2), accurate for every z.

    >>> causal_matmul_gather(torch.zeros(2), torch.tensor([[2.0], [4.0]])).squeeze(-1)
    tensor([2., 3.])
    """
    _check(z, values, "causal_matmul_gather")
    tokens = z.shape[-1]
    visible = torch.ones(tokens, tokens, dtype=torch.bool, device=z.device).tril()
    scores = circulant(_wide(z), "conv").masked_fill(~visible, -torch.inf)
    return scores.softmax(-1).to(values.dtype) @ values


def causal_matmul(z: Tensor, values: Tensor) -> Tensor:
    """Causal circular attention: by FFT while that is accurate, else with the matrix built.

    The guard reads R = `causal_spread(z)`: the FFT runs when every row has R <= 4 (float32) or 8 (float64).
    A program that is being compiled or exported cannot look at values, so there the matrix is always built:
    the same numbers, O(N^2).

    >>> causal_matmul(torch.tensor([0.0, 90.0]), torch.tensor([[2.0], [4.0]])).squeeze(-1)
    tensor([2., 2.])
    """
    form = causal_matmul_fft if _fft_is_accurate(z) else causal_matmul_gather
    return form(z, values)


def _fft_is_accurate(z: Tensor) -> bool:
    if torch.compiler.is_compiling() or z.is_meta or z.numel() == 0:
        return False
    wide = _wide(z.detach())
    return bool((causal_spread(wide) <= CAUSAL_SPREAD_LIMIT[wide.dtype]).all())
