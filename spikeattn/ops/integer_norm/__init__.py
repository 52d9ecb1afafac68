"""Layer norm and RMS norm in integers (the mathematics is in README.md)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeattn.ops.op import Op, explained
from spikeattn.ops.round_shift.reference import check_integers

from . import reference
from .reference import FRACTION

__all__ = ["NormConstants", "integer_norm", "integer_rms_norm", "l1_norm", "norm_constants", "rms_norm_constants"]

GAMMA_BITS = 16  # of gamma sqrt(D) / output unit, sign included
_SCHEMA = "(Tensor x, Tensor table, Tensor gamma, Tensor beta, int epsilon, int drop, int shift, int largest) -> Tensor"


def _fake(x, *constants):
    return x.new_empty(x.shape)


INTEGER_NORM = Op("integer_norm", _SCHEMA, reference=reference.integer_norm, fake=_fake, check=reference.check_size)
INTEGER_RMS_NORM = Op("integer_rms_norm", _SCHEMA, reference=reference.integer_rms_norm, fake=_fake,
                      check=reference.check_size)


@dataclass(frozen=True)
class NormConstants:
    """A norm as integers. table: (2, 2**bits), reciprocal roots; gamma, beta: (D,); all int64.

    epsilon: added to the sum of squares; drop: low bits of c left out (< 0: put behind it, where there is room);
    shift: of the output, before the row's own;
    largest: the size of inputs up to which nothing overflows.
    """

    table: Tensor
    gamma: Tensor
    beta: Tensor
    epsilon: int
    drop: int
    shift: int
    largest: int


@explained(INTEGER_NORM)
def integer_norm(x: Tensor, constants: NormConstants) -> Tensor:
    """Layer norm over the last axis, integers in and out.

        c_i = D x_i - sum_j x_j                                  no division by D
        v   = sum_i c_i^2 + epsilon                              after a fixed shift of c
        y_i = round_shift(c_i m(v) gamma_i) + beta_i             m(v) = v^-1/2 from a leading one and a table

    x: int64 (..., D), at most `constants.largest` in size. Source: de-biased integer norms as in I-BERT (arXiv
    2101.01321). Differs from the paper in: a table for the root instead of Newton steps, no division.

    >>> one = norm_constants(torch.ones(2), torch.zeros(2), eps=1e-5, input_unit=1.0, output_unit=2.0**-10, bits=8)
    >>> integer_norm(torch.tensor([[100, -100]]), one).tolist()      # 1 and -1, in units of 1/1024
    [[1024, -1024]]
    """
    check_integers("integer_norm", x)
    return INTEGER_NORM(x, constants.table, constants.gamma, constants.beta, constants.epsilon, constants.drop,
                        constants.shift, constants.largest)


@explained(INTEGER_RMS_NORM)
def integer_rms_norm(x: Tensor, constants: NormConstants) -> Tensor:
    """The same without the mean: c_i = x_i, y = gamma x / sqrt(mean x^2 + eps) + beta.

    >>> one = rms_norm_constants(torch.ones(2), torch.zeros(2), eps=1e-5, input_unit=1.0, output_unit=2.0**-10, bits=8)
    >>> integer_rms_norm(torch.tensor([[100, 100]]), one).tolist()
    [[1024, 1024]]
    """
    check_integers("integer_rms_norm", x)
    return INTEGER_RMS_NORM(x, constants.table, constants.gamma, constants.beta, constants.epsilon, constants.drop,
                            constants.shift, constants.largest)


def norm_constants(gamma: Tensor, beta: Tensor, *, eps: float, input_unit: float, output_unit: float | Tensor,
                   bits: int = 4, largest: int = 2**19) -> NormConstants:
    """Layer norm as integers: x = input_unit * integer in, y = output_unit * integer out.

    gamma, beta: (D,) real; output_unit: one, or one per channel. bits: b of the table, 0 to 12. largest: the
    largest input in size.
    """
    D = gamma.shape[-1]
    # sum c^2 = D^2 sum x^2 - D (sum x)^2 <= D^3 largest^2
    return _constants(gamma, beta, D**3 * eps / input_unit**2, D**1.5 * largest, output_unit, bits, largest)


def rms_norm_constants(gamma: Tensor, beta: Tensor, *, eps: float, input_unit: float, output_unit: float | Tensor,
                       bits: int = 4, largest: int = 2**19) -> NormConstants:
    """RMS norm as integers, as `norm_constants`."""
    D = gamma.shape[-1]
    return _constants(gamma, beta, D * eps / input_unit**2, D**0.5 * largest, output_unit, bits, largest)


def _constants(gamma: Tensor, beta: Tensor, epsilon: float, root: float, output_unit: float | Tensor, bits: int,
               largest: int) -> NormConstants:
    """root: the largest that sqrt(sum c^2) can be."""
    if not 0 <= bits <= 12:
        raise ValueError(f"integer_norm: the table has 2**bits entries an octave, 0 <= bits <= 12, got {bits}. Use 4.")
    D = gamma.shape[-1]
    drop = -16
    while (root / 2**drop + math.sqrt(D) / 2) ** 2 + epsilon / 4**drop > 2**62:
        drop += 1
    gain = gamma.double() * math.sqrt(D) / output_unit
    top = float(gain.abs().max())
    if not math.isfinite(top) or not bool(torch.isfinite(beta).all()):
        raise ValueError(f"integer_norm: gamma and beta must be finite, got gamma up to {top}. Check the checkpoint.")
    offset = (beta.double() / output_unit).round().long()
    if top >= 2**31 or int(offset.abs().max()) >= 2**31:
        raise ValueError(
            f"integer_norm: outputs must fit 32 bits, got sqrt(D) gamma up to {top:g} and beta up to "
            f"{int(offset.abs().max())} output units. Use a coarser output unit."
        )
    # the largest power of two that keeps gamma within its bits; beyond 2^16 the shift of a row would pass 62
    fraction = 16 if top == 0 else min(16, GAMMA_BITS - 2 - math.floor(math.log2(top)))
    return NormConstants(
        table=root_table(bits).to(gamma.device),
        gamma=(gain * 2.0**fraction).round().clamp(-(2 ** (GAMMA_BITS - 1)), 2 ** (GAMMA_BITS - 1) - 1).long(),
        beta=offset,
        epsilon=round(epsilon / 4**drop),
        drop=drop,
        shift=FRACTION + fraction,
        largest=largest,
    )


def root_table(bits: int) -> Tensor:
    """(2, 2**bits) integers: 2**FRACTION v^-1/2 for v = 2^q (1 + f), best for the whole bin of f.

    Of all constants, 2 / (sqrt(low) + sqrt(high)) has the least largest relative error over a bin [low, high].
    """
    edges = 1 + torch.arange(2**bits + 1, dtype=torch.float64) / 2**bits
    roots = torch.stack([edges, 2 * edges]).sqrt()
    return (2 ** (FRACTION + 1) / (roots[:, :-1] + roots[:, 1:])).round().long()


def l1_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """Layer norm by the mean absolute deviation, in floating point: a control that must fail on stock checkpoints.

        y = gamma (x - mean) / (sqrt(pi/2) mean |x - mean| + sqrt(eps)) + beta

    For a Gaussian row the divisor is the standard deviation; rows with outlier channels are off, each by its own
    factor. Source: Wu et al., L1-norm batch normalization (arXiv 1802.09769), for rows in place of channels.
    """
    c = x - x.mean(-1, keepdim=True)
    return gamma * c / (math.sqrt(math.pi / 2) * c.abs().mean(-1, keepdim=True) + math.sqrt(eps)) + beta
