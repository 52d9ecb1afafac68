"""The product of spikes: scores u_ij = sum_c q_ic k_jc, exact integers."""

import torch
from torch import Tensor

# Integers up to here are exact in the type that sums them.
EXACT = {torch.float32: 2**24, torch.float64: 2**53, torch.int32: 2**31 - 1}


def score_dtype(q: Tensor, k: Tensor) -> torch.dtype:
    """float32 or wider for floating spikes, int32 for integer ones."""
    dtype = torch.promote_types(q.dtype, k.dtype)
    return torch.promote_types(dtype, torch.float32) if dtype.is_floating_point else torch.int32


def ternary_matmul(q: Tensor, k: Tensor) -> Tensor:
    dtype = score_dtype(q, k)
    # Integer products have no fast kernel on most devices; float64 holds every int32 sum exactly.
    exact = torch.float64 if dtype == torch.int32 else dtype
    return (q.to(exact) @ k.to(exact).mT).to(dtype)


def ternary_matmul_backward(grad: Tensor, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """dQ = G K, dK = G^T Q."""
    dtype = torch.promote_types(score_dtype(q, k), grad.dtype)
    g = grad.to(dtype)
    return g @ k.to(dtype), g.mT @ q.to(dtype)


def check_spikes(name: str, q: Tensor, k: Tensor) -> None:
    """Spikes are integers, small enough that every sum of d products is exact."""
    largest = 1.0
    for letter, spikes in (("q", q), ("k", k)):
        if spikes.numel() == 0:
            continue
        if spikes.is_floating_point() and not bool((spikes == spikes.round()).all()):
            raise ValueError(
                f"{name}: {letter} must hold spikes in {{-1, 0, 1}} (or integer levels), got fractions or NaN. "
                "Pass the output of a neuron, not its current."
            )
        low, high = spikes.aminmax()
        largest *= max(abs(float(low)), abs(float(high)))
    limit = EXACT[score_dtype(q, k)]
    if largest * q.shape[-1] > limit:
        raise ValueError(
            f"{name}: scores must be at most {limit} in size to be exact, got d * max|q| * max|k| = "
            f"{largest * q.shape[-1]:g}. Pass ternary spikes or small levels, or float64."
        )
