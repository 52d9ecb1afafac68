"""Normalisation layers.

    batch norm with running statistics behind a weight layer     folded into its weights: free, and listed as free
    elsewhere                                                    1 MUL + 1 ADD for each element
    layer norm, group norm, batch norm on its own statistics, for each row of n elements:
        mean        n - 1 ADD, 1 MUL              centre  n ADD
        variance    n MUL, n - 1 ADD, 1 MUL       root    1 ADD (epsilon), 1 SQRT, 1 DIV
        normalise   n MUL                         affine  n MUL, n ADD where there are weights
    RMS norm leaves out the mean and the centring.
"""

from neuromorphic.count.call import Call, Counter
from neuromorphic.ledger import Row


def row_norm(call: Call, rows: int, n: int, *, scale: bool, shift: bool, centred: bool = True) -> list[Row]:
    """`rows` rows of n elements, normalised by their own statistics."""
    mean = {"ADD": 2 * n - 1, "MUL": 1} if centred else {"ADD": 0, "MUL": 0}
    per_row = {
        "ADD": mean["ADD"] + n - 1 + 1 + n * shift,
        "MUL": mean["MUL"] + n + 1 + n + n * scale,
        "SQRT": 1,
        "DIV": 1,
    }
    counts = {name: count * rows for name, count in per_row.items()}
    return [call.row("norm", geometry={"n": n}, counts=counts)]


def _count_layer_norm(call: Call) -> list[Row]:
    n = 1
    for size in call["normalized_shape"]:
        n *= size
    weight, bias = call["weight"] is not None, call["bias"] is not None
    return row_norm(call, call.result.numel() // n, n, scale=weight, shift=bias)


def _count_group_norm(call: Call) -> list[Row]:
    rows = call["N"] * call["group"]
    weight, bias = call["weight"] is not None, call["bias"] is not None
    return row_norm(call, rows, call.result.numel() // rows, scale=weight, shift=bias)


def _count_rms_norm(call: Call) -> list[Row]:
    n = 1
    for size in call["normalized_shape"]:
        n *= size
    return row_norm(call, call.result.numel() // n, n, scale=call["weight"] is not None, shift=False, centred=False)


def _count_stored_norm(call: Call) -> list[Row]:
    """Batch norm on running statistics: an affine map per channel."""
    if call.facts.of(call["input"]).affine:
        call.facts.declare(call.result, affine=True)
        return []
    return [call.row("norm", counts={"MUL": call.result.numel(), "ADD": call.result.numel()})]


def _count_batch_norm(call: Call) -> list[Row]:
    if not call["training"]:
        return _count_stored_norm(call)
    x = call["input"]
    weight, bias = call["weight"] is not None, call["bias"] is not None
    return row_norm(call, x.shape[1], x.numel() // x.shape[1], scale=weight, shift=bias)


COUNTERS: dict[str, Counter] = {
    "aten::_native_batch_norm_legit_no_training": _count_stored_norm,
    "aten::_native_batch_norm_legit": _count_batch_norm,
    "aten::native_batch_norm": _count_batch_norm,
    "aten::cudnn_batch_norm": _count_batch_norm,
    "aten::_batch_norm_no_update": _count_stored_norm,
    "aten::native_layer_norm": _count_layer_norm,
    "aten::native_group_norm": _count_group_norm,
    "aten::_fused_rms_norm": _count_rms_norm,
}
