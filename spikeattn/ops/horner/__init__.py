"""Horner: what T terms, most significant first, amount to in a code of base b.

    acc <- b * acc + x_t         t = 1 ... T         b = 1, 2 (one shift) or 3 (one shift and one addition)
"""

import torch
from torch import Tensor

from spikeattn.ops.op import Op


def _run(terms: Tensor, base: int) -> Tensor:
    dtype = terms.dtype if terms.dtype == torch.float64 else torch.int64
    total = terms[0].to(dtype, copy=True)
    for term in terms[1:]:
        total = base * total + term.to(dtype)
    return total


def _fake(terms: Tensor, base: int) -> Tensor:
    return terms.new_empty(terms.shape[1:], dtype=terms.dtype if terms.dtype == torch.float64 else torch.int64)


HORNER = Op("horner", "(Tensor terms, int base) -> Tensor", reference=_run, fake=_fake)


def horner(terms: Tensor, base: int) -> Tensor:
    """terms (T, ...) -> (...), int64; float64 terms stay float64. Other floats must hold whole numbers.

    >>> horner(torch.tensor([[1], [-1], [0]]), 3).tolist()       # 9 - 3 + 0
    [6]
    """
    return HORNER(terms, base)
