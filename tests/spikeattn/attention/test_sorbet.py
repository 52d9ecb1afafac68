"""Sorbet's power-of-two softmax against fractions."""

import math
from fractions import Fraction

import torch

from spikeattn.attention import PowerOfTwoSoftmaxAttention

D = 4  # sqrt(D) = 2


def weights_by_fractions(row):
    """Ceil of the halved scores, powers of two, over the nearest power of two of their sum."""
    powers = [Fraction(2) ** math.ceil(Fraction(int(score), 2)) for score in row]
    total, low = sum(powers), Fraction(1, 2**16)
    while 2 * low <= total:
        low *= 2
    nearest = low if abs(total - low) < abs(total - 2 * low) else 2 * low
    return [power / nearest for power in powers]


def test_weights_are_the_code_s():
    attention = PowerOfTwoSoftmaxAttention(D, 1)
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randint(-1, 2, (n, D), generator=generator).double() for n in (40, 7))
    weights = attention.mix(q, k, torch.eye(7, dtype=torch.float64), None)
    for row, scores in zip(weights.tolist(), (q @ k.mT).tolist(), strict=True):
        assert row == [float(weight) for weight in weights_by_fractions(scores)]
        assert 0.75 <= sum(row) < 1.5


def test_gradient_passes_the_ceiling():
    attention = PowerOfTwoSoftmaxAttention(D, 1)
    q, k = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.eye(4)
    q.requires_grad_()
    attention.mix(q, k, torch.arange(4.0).unsqueeze(1), None).sum().backward()
    assert q.grad.isfinite().all() and q.grad.count_nonzero() > 0
