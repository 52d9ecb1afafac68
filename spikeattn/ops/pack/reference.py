"""Spikes as bit planes: one bit for |s|, one for s < 0, eight channels to a byte, lowest bit first."""

import torch
from torch import Tensor


def pack(spikes: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D) in {-1, 0, 1} -> magnitude and sign planes, uint8 (..., ceil(D / 8)), padded with zeros."""
    return _pack_bits(spikes != 0), _pack_bits(spikes < 0)


def unpack(magnitude: Tensor, sign: Tensor | None, size: int, dtype: torch.dtype) -> Tensor:
    spikes = _unpack_bits(magnitude, size)
    if sign is not None:
        spikes = spikes * (1 - 2 * _unpack_bits(sign, size))
    return spikes.to(dtype)


def packed_matmul(q: Tensor, q_sign: Tensor, k: Tensor, k_sign: Tensor) -> Tensor:
    """u_ij = sum_c q_ic k_jc from planes: ones where both fire, minus two where their signs differ. int32.

        u = popcount(|q| & |k|) - 2 popcount(|q| & |k| & (sign q ^ sign k))
    """
    q, q_sign = q.unsqueeze(-2), q_sign.unsqueeze(-2)  # (..., N, 1, bytes)
    k, k_sign = k.unsqueeze(-3), k_sign.unsqueeze(-3)  # (..., 1, M, bytes)
    both = q & k
    return _popcount(both) - 2 * _popcount(both & (q_sign ^ k_sign))


def check_ternary(spikes: Tensor) -> None:
    if not bool(((spikes == 0) | (spikes == 1) | (spikes == -1)).all()):
        raise ValueError("pack: spikes must be -1, 0 or 1, got other values. Pack graded spikes level by level.")


def _pack_bits(bits: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(bits.to(torch.uint8), (0, -bits.shape[-1] % 8))
    octets = padded.unflatten(-1, (padded.shape[-1] // 8, 8))
    return (octets << _places(bits)).sum(-1, dtype=torch.uint8)


def _unpack_bits(plane: Tensor, size: int) -> Tensor:
    bits = (plane.unsqueeze(-1) >> _places(plane)) & 1
    return bits.flatten(-2)[..., :size].to(torch.int8)


def _places(like: Tensor) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)


def _popcount(planes: Tensor) -> Tensor:
    return ((planes.unsqueeze(-1) >> _places(planes)) & 1).sum((-2, -1), dtype=torch.int32)
