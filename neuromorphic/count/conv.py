"""Convolutions, with exact taps: a kernel tap that falls on zero padding is no operation.

    y[o, p] = sum_{c, k} w[o, c, k] x[c, stride * p + dilation * k - padding] + b[o]

    taps(q)      pairs (p, k) along one axis that read pixel q:  stride * p + dilation * k - padding = q
    dense        sum over pixels of taps_y * taps_x * ..., times C_in * C_out / groups
    left_events  the same sum over the non-zero pixels; a pixel at the border meets fewer weights
    padding      R * K * C_in / groups - dense      terms that a rate-times-FLOPs count adds on top

A transposed convolution swaps the roles of input and output pixels; its taps are those inside the output.
"""

from functools import cache
from math import ceil, prod

import torch
from torch import Tensor

from neuromorphic.count.call import Call, Counter
from neuromorphic.count.measure import nonzeros, units
from neuromorphic.ledger import Row


@cache
def axis_taps(pixels: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> list[int]:
    """How many (output, tap) pairs read each pixel along one axis.

    >>> axis_taps(5, 5, kernel=3, stride=1, padding=1, dilation=1)
    [2, 3, 3, 3, 2]
    """
    taps = [0] * pixels
    for output in range(outputs):
        for k in range(kernel):
            pixel = stride * output + dilation * k - padding
            if 0 <= pixel < pixels:
                taps[pixel] += 1
    return taps


def transposed_axis_taps(pixels: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> list[int]:
    """How many kernel taps carry each pixel into the output of a transposed convolution."""
    where = ([stride * pixel + dilation * k - padding for k in range(kernel)] for pixel in range(pixels))
    return [sum(0 <= output < outputs for output in targets) for targets in where]


def tap_map(x: Tensor, out: Tensor, kernel: tuple[int, ...], stride, padding, dilation, transposed=False) -> Tensor:
    """Taps of every pixel of the picture (..., Y, X), int64."""
    dims, count = len(kernel), transposed_axis_taps if transposed else axis_taps
    taps = torch.ones([], dtype=torch.int64, device=x.device)
    for axis in range(dims):
        line = count(x.shape[axis - dims], out.shape[axis - dims], kernel[axis], stride[axis], padding[axis],
                     dilation[axis])
        taps = taps.unsqueeze(-1) * torch.tensor(line, dtype=torch.int64, device=x.device)
    return taps


def per_axis(value: list[int], dims: int) -> list[int]:
    return list(value) * dims if len(value) == 1 else list(value)


def count_convolution(call: Call) -> list[Row] | None:
    x, weight, out, groups = call["input"], call["weight"], call.result, call["groups"]
    if not call.constant(weight):
        return None  # a kernel that depends on the input: nobody has said how it is counted
    kernel = tuple(weight.shape[2:])
    stride, padding, dilation = (per_axis(call[n], len(kernel)) for n in ("stride", "padding", "dilation"))
    taps = tap_map(x, out, kernel, stride, padding, dilation, call["transposed"])
    in_channels = x.shape[-len(kernel) - 1]
    fan_out = weight.shape[1] if call["transposed"] else weight.shape[0] // groups
    pictures = x.numel() // prod(x.shape[-len(kernel):])  # batch * C_in
    dense = pictures * int(taps.sum()) * fan_out
    overlap = prod(kernel) if call["transposed"] else prod(ceil(k / s) for k, s in zip(kernel, stride, strict=True))
    pixels = x.numel() if call["transposed"] else out.numel() // weight.shape[0] * in_channels
    left = call.operand(x)
    levels = call.facts.levels(x)
    per_pixel = nonzeros(levels.reshape(-1, taps.numel()), 0, left).to(torch.int64)
    events = int((per_pixel * taps.flatten()).sum())
    call.facts.declare(out, affine=True)
    return [call.row(
        "conv",
        steps=call.facts.steps(x),
        geometry={"in": in_channels, "out": out.shape[-len(kernel) - 1], "groups": groups,
                  "taps": prod(kernel), "overlap": overlap, "pixels": prod(out.shape[-len(kernel):])},
        left=left,
        dense=dense,
        padding=pixels * prod(kernel) * fan_out - dense,
        bias=out.numel() if call["bias"] is not None else 0,
        left_events=events * fan_out,
        right_events=dense,
        coincidence=events * fan_out,
        left_units=units(levels, left, events, taps) * fan_out,
        reads_input=call.facts.of(x).reads_input,
        words={"output": out.numel()},
    )]  # fmt: skip


COUNTERS: dict[str, Counter] = {
    "aten::convolution": count_convolution,
}
