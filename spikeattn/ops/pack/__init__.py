"""Spikes in one or two bits each (the mathematics is in README.md)."""

from typing import NamedTuple

import torch
from torch import Tensor

from spikeattn.ops.op import Op

from . import reference
from .reference import check_ternary

__all__ = ["Planes", "pack", "packed_matmul", "unpack"]


class Planes(NamedTuple):
    """Packed spikes: eight channels to a byte along the last axis, lowest bit first, padded with zeros.

    magnitude: |s|; sign: 1 where s = -1, or None for binary spikes, which need no sign; size: channels D;
    dtype: the type of the spikes that were packed.
    """

    magnitude: Tensor
    sign: Tensor | None
    size: int
    dtype: torch.dtype


def _fake_pack(spikes):
    shape = (*spikes.shape[:-1], (spikes.shape[-1] + 7) // 8)
    return spikes.new_empty(shape, dtype=torch.uint8), spikes.new_empty(shape, dtype=torch.uint8)


def _fake_unpack(magnitude, sign, size, dtype):
    return magnitude.new_empty((*magnitude.shape[:-1], size), dtype=dtype)


PACK = Op(
    "pack", "(Tensor spikes) -> (Tensor, Tensor)",
    reference=reference.pack, fake=_fake_pack, check=check_ternary,
)
UNPACK = Op(
    "unpack", "(Tensor magnitude, Tensor? sign, SymInt size, ScalarType dtype) -> Tensor",
    reference=reference.unpack, fake=_fake_unpack,
)


def pack(spikes: Tensor) -> Planes:
    """Ternary or binary spikes as bit planes of magnitude and sign.

    spikes: (..., D) in {-1, 0, 1} of any type. An unsigned type (bool, uint8) can hold binary spikes only and gets
    one plane, D / 8 bytes; every other type gets two, D / 4 bytes, whatever its values, so that the form of the
    result never depends on the data. Convert binary float spikes with `.bool()` to save the second.

    >>> planes = pack(torch.tensor([1., -1., 0., 1.]))
    >>> planes.magnitude.tolist(), planes.sign.tolist()      # 1 + 2 + 8, and 2
    ([11], [2])
    """
    if spikes.ndim == 0 or spikes.is_complex():
        raise ValueError(
            f"pack: spikes must be real and of shape (..., D), got {spikes.dtype} of {tuple(spikes.shape)}. "
            "Keep the channel axis."
        )
    magnitude, sign = PACK(spikes)
    unsigned = spikes.dtype in (torch.bool, torch.uint8)
    return Planes(magnitude, None if unsigned else sign, spikes.shape[-1], spikes.dtype)


def unpack(planes: Planes) -> Tensor:
    """The spikes that `pack` was given, in their type and shape.

    >>> unpack(pack(torch.tensor([1., -1., 0., 1.]))).tolist()
    [1.0, -1.0, 0.0, 1.0]
    """
    if planes.magnitude.shape[-1] != (planes.size + 7) // 8:
        raise ValueError(
            f"unpack: {planes.size} channels need {(planes.size + 7) // 8} bytes, got {planes.magnitude.shape[-1]}. "
            "Pass what pack returned."
        )
    return UNPACK(planes.magnitude, planes.sign, planes.size, planes.dtype)


def packed_matmul(q: Planes, k: Planes) -> Tensor:
    """Scores of packed spikes by counting bits, int32 (..., N, M): what `ternary_matmul` gives on the same spikes.

    >>> q, k = pack(torch.tensor([[1., -1., 0.]])), pack(torch.tensor([[1., 1., 1.], [-1., 1., 0.]]))
    >>> packed_matmul(q, k)
    tensor([[ 0, -2]], dtype=torch.int32)
    """
    if q.size != k.size:
        raise ValueError(f"packed_matmul: q and k must have the same d, got {q.size} and {k.size}. Pack one head.")
    signs = [torch.zeros_like(p.magnitude) if p.sign is None else p.sign for p in (q, k)]
    return reference.packed_matmul(q.magnitude, signs[0], k.magnitude, signs[1])
