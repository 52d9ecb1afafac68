"""Products of two matrices. Where one is weights it is a linear layer, else a product of two activations.

    y[n, m] = sum_k a[n, k] b[k, m]

    dense         N * K * M
    left_events   nnz(a) * M                     one-sided: every non-zero of a meets M values
    right_events  nnz(b) * N
    coincidence   sum_k nnz(a[:, k]) * nnz(b[k, :])          terms in which both are non-zero
"""

import torch
from torch import Tensor

from neuromorphic.count.call import Call, Counter
from neuromorphic.count.linear import product_with_weights
from neuromorphic.count.measure import nonzeros, units
from neuromorphic.ledger import Row
from spikeattn.ops.ternary_matmul import leading_axes


def product(call: Call, left: Tensor, right: Tensor, *, op: str | None = None, bias: int = 0) -> Row:
    """Both operands are activations: (..., N, K) times (..., K, M); leading axes broadcast."""
    lead = leading_axes(left, right)
    n, k, m = left.shape[-2], left.shape[-1], right.shape[-1]
    left, right = left.expand(*lead, n, k), right.expand(*lead, k, m)
    a, b = call.operand(left), call.operand(right)
    fans = nonzeros(call.facts.levels(left), -2, a), nonzeros(call.facts.levels(right), -1, b)  # (..., K)
    fan_left, fan_right = (fan.to(torch.int64) for fan in fans)
    return call.row(
        op or ("score_value" if a.declared == "pow2" else "matmul"),
        steps=max(call.facts.steps(left), call.facts.steps(right)),
        geometry={"k": k, "m": m} | ({"n": n} if lead else {}),  # without leading axes n may be the batch
        left=a,
        right=b,
        dense=lead.numel() * n * k * m,
        bias=bias,
        left_events=a.nonzero * m,
        right_events=b.nonzero * n,
        coincidence=int((fan_left * fan_right).sum()),
        left_units=units(left, a, a.nonzero) * m,
        right_units=units(right, b, b.nonzero) * n,
    )


def count_product(call: Call, left: Tensor, right: Tensor, bias: int = 0) -> list[Row]:
    if call.constant(left) or call.constant(right):
        return product_with_weights(call, left, right, bias)
    left = left.unsqueeze(0) if left.ndim == 1 else left
    right = right.unsqueeze(-1) if right.ndim == 1 else right
    return [product(call, left, right, bias=bias)]


def _plain(left: str, right: str) -> Counter:
    return lambda call: count_product(call, call[left], call[right])


def _biased(left: str, right: str) -> Counter:
    """beta * self + alpha * (left @ right): the added term counts as a bias."""
    return lambda call: count_product(call, call[left], call[right], call.result.numel() if call["beta"] != 0 else 0)


COUNTERS: dict[str, Counter] = {
    "aten::mm": _plain("self", "mat2"),
    "aten::bmm": _plain("self", "mat2"),
    "aten::mv": _plain("self", "vec"),
    "aten::dot": _plain("self", "tensor"),
    "aten::addmm": _biased("mat1", "mat2"),
    "aten::addmv": _biased("mat", "vec"),
    "aten::baddbmm": _biased("batch1", "batch2"),
    "aten::addbmm": _biased("batch1", "batch2"),
    "spikeattn::ternary_matmul": lambda call: [product(call, call["q"], call["k"].mT)],
}
