"""Products with weights: linear layers, whatever name PyTorch gives them.

    y[r, o] = sum_i x[r, i] w[i, o] + b[o]

    dense        R * I * O            left_events  nnz(x) * O            left_units  sum |x| * O
    bias         R * O additions
"""

from torch import Tensor

from neuromorphic.count.call import Call
from neuromorphic.count.measure import units
from neuromorphic.ledger import Row


def weighted(call: Call, x: Tensor, inner: int, outer: int, bias: int) -> Row:
    """x, whose elements each meet `outer` weights, in a sum over `inner` of them."""
    return call.row(
        "linear",
        steps=call.facts.steps(x),
        geometry={"in": inner, "out": outer},
        left=(left := call.operand(x)),
        dense=x.numel() * outer,
        bias=bias,
        left_events=left.nonzero * outer,
        right_events=x.numel() * outer,
        coincidence=left.nonzero * outer,
        left_units=units(x, left, left.nonzero) * outer,
        reads_input=call.facts.of(x).reads_input,
    )


def product_with_weights(call: Call, left: Tensor, right: Tensor, bias: int) -> list[Row]:
    """left (..., N, K) times right (..., K, M), one of which is weights; the result is affine in the other."""
    call.facts.declare(call.result, affine=True)
    if call.constant(right):
        return [weighted(call, left, left.shape[-1], right.shape[-1] if right.ndim > 1 else 1, bias)]
    return [weighted(call, right, left.shape[-1], left.shape[-2] if left.ndim > 1 else 1, bias)]
