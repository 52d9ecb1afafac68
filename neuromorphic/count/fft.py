"""Fast Fourier transforms by radix-2 butterflies (4 MUL + 6 ADD each).

    complex, length N     (N / 2) log2 N butterflies
    real, length N        (N / 4) log2 N butterflies, rounded up for each transform

A length that is no power of two is counted as the next power of two: the scale of a mixed-radix transform, but
not an exact count of one. The factor 1/N folds into what follows.
The product of two spectra is an element-wise complex product (count/elementwise.py).
"""

from math import prod

from neuromorphic.count.call import Call, Counter
from neuromorphic.ledger import Row


def butterflies(length: int, *, real: bool) -> int:
    """Of one transform of this length.

    >>> butterflies(16, real=True), butterflies(16, real=False), butterflies(196, real=True)
    (16, 32, 512)
    """
    stages = max(length - 1, 0).bit_length()
    return -(-(2**stages * stages) // 4) if real else 2**stages * stages // 2


def _count(call: Call, sizes: list[int], lengths: list[int], real_last: bool) -> list[Row]:
    """Transforms over several axes: the last may be real, those before it are complex.

    sizes: shape of the spectrum; lengths: of the transformed axes, the real one last.
    """
    total = 0
    dims = [d % len(sizes) for d in call["dim"]]
    for dim, length in zip(dims, lengths, strict=True):
        real = real_last and dim == dims[-1]
        total += prod(sizes) // sizes[dim] * butterflies(length, real=real)
    return [call.row("fft", geometry={"n": lengths[-1]}, counts={"BUTTERFLY": total})] if total else []


def _count_r2c(call: Call) -> list[Row]:
    x = call["self"]
    return _count(call, list(call.result.shape), [x.shape[d] for d in call["dim"]], real_last=True)


def _count_c2r(call: Call) -> list[Row]:
    spectrum, length = call["self"], call["last_dim_size"]
    lengths = [spectrum.shape[d] for d in call["dim"][:-1]] + [length]
    return _count(call, list(spectrum.shape), lengths, real_last=True)


def _count_c2c(call: Call) -> list[Row]:
    x = call["self"]
    return _count(call, list(x.shape), [x.shape[d] for d in call["dim"]], real_last=False)


COUNTERS: dict[str, Counter] = {
    "aten::_fft_r2c": _count_r2c,
    "aten::_fft_c2r": _count_c2r,
    "aten::_fft_c2c": _count_c2c,
}
