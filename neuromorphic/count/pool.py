"""Pooling, with exact windows: padding takes part in nothing.

    max        for each window of k pixels: k - 1 CMP
    average    for each window of k pixels: k - 1 ADD, and one factor 1/k (a shift where k is a power of two)
"""

from math import prod

from neuromorphic.count.call import Call, Counter, scaling
from neuromorphic.count.conv import per_axis, tap_map
from neuromorphic.ledger import Row


def _window(call: Call) -> tuple[int, int, int]:
    """(pixels read by all windows together, number of windows, kernel size)."""
    x, out = call["self"], call.result
    sizes = call["kernel_size"]
    dims = {"1d": 1, "2d": 2, "3d": 3}[call.name.removesuffix("_with_indices")[-2:]]
    kernel = per_axis(sizes, dims)
    stride = per_axis(call["stride"] or sizes, dims)
    padding, dilation = per_axis(call["padding"] or [0], dims), per_axis(call["dilation"] or [1], dims)
    taps = tap_map(x, out, tuple(kernel), stride, padding, dilation)
    return int(taps.sum()) * (x.numel() // prod(x.shape[-dims:])), out.numel(), prod(kernel)


def _count_max(call: Call) -> list[Row]:
    read, windows, kernel = _window(call)
    return [call.row("pool", geometry={"taps": kernel}, counts={"CMP": read - windows})] if read > windows else []


def _count_average(call: Call) -> list[Row]:
    read, windows, kernel = _window(call)
    divisor = call["divisor_override"] or kernel
    counts = {"ADD": read - windows} | scaling(1 / divisor, windows)
    return [call.row("pool", geometry={"taps": kernel}, counts=counts)]


def _count_adaptive(call: Call) -> list[Row] | None:
    """Windows of equal size only: those of unequal size overlap, and nobody has said how they are counted."""
    x, out = call["self"], call.result
    if x.numel() % out.numel() or any(a % b for a, b in zip(x.shape[1:], out.shape[1:], strict=True)):
        return None
    window = x.numel() // out.numel()
    counts = {"ADD": x.numel() - out.numel()} | scaling(1 / window, out.numel())
    return [call.row("pool", geometry={"taps": window}, counts=counts)] if window > 1 else []


COUNTERS: dict[str, Counter] = {
    "aten::max_pool1d": _count_max,
    "aten::max_pool2d_with_indices": _count_max,
    "aten::max_pool3d_with_indices": _count_max,
    "aten::avg_pool1d": _count_average,
    "aten::avg_pool2d": _count_average,
    "aten::avg_pool3d": _count_average,
    "aten::_adaptive_avg_pool2d": _count_adaptive,
    "aten::_adaptive_avg_pool3d": _count_adaptive,
}
