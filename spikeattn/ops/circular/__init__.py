"""Circulant and causal Toeplitz products, the core of circular attention (the maths is in README.md)."""

from .reference import (
    CAUSAL_SPREAD_LIMIT,
    ORIENTATIONS,
    causal_matmul,
    causal_matmul_fft,
    causal_matmul_gather,
    causal_spread,
    circulant,
    circulant_matmul,
    circulant_matmul_gather,
)

__all__ = [
    "CAUSAL_SPREAD_LIMIT",
    "ORIENTATIONS",
    "causal_matmul",
    "causal_matmul_fft",
    "causal_matmul_gather",
    "causal_spread",
    "circulant",
    "circulant_matmul",
    "circulant_matmul_gather",
]
