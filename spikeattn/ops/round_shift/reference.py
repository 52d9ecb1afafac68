"""Division by a power of two, rounded, on integers."""

import torch
from torch import Tensor


def round_shift(a: Tensor, shift: Tensor) -> Tensor:
    """(a + 2**(s-1)) >> s for s > 0, a << -s otherwise: halves go upwards."""
    right, left = shift.clamp(min=1), (-shift).clamp(min=0)
    # the last bit shifted out is the half: adding it afterwards cannot overflow, adding 2**(s-1) before could
    return torch.where(shift > 0, (a >> right) + ((a >> (right - 1)) & 1), a << left)


def check_integers(name: str, a: Tensor) -> None:
    if a.dtype != torch.int64:
        raise TypeError(f"{name}: integers must be int64, got {a.dtype}. Convert them once, where they are made.")


def check_shifts(a: Tensor, shift: Tensor) -> None:
    if bool((shift.abs() > 62).any()):
        raise ValueError(
            f"round_shift: shifts must be from -62 to 62, got one of {shift.abs().max().item()}. Use other units."
        )
