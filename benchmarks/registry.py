"""What is timed: each row holds a plain and a fast way to the same result.

A row is built from its arguments alone, so that both ways get the very same tensors; `parity` must hold in the
run that times them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from spikeattn.ops.lif import cpu as lif_cpu
from spikeattn.ops.lif import reference as lif_reference


@dataclass(frozen=True)
class Benchmark:
    """name: op, way and size. build() -> (plain, fast, parity)."""

    name: str
    build: Callable[[], tuple[Callable, Callable, Callable[[], bool]]]


def lif_forward(shape: tuple[int, ...], ternary: bool) -> Benchmark:
    def build():
        x = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        args = (x, torch.zeros(shape[1:]), 0.5, 0.5, 1.0, "hard", ternary, True, "sigmoid", 4.0, True)

        def parity() -> bool:
            pairs = zip(lif_reference.lif_forward(*args), lif_cpu.lif_forward(*args), strict=True)
            return all(torch.equal(a, b) for a, b in pairs)

        return lambda: lif_reference.lif_forward(*args), lambda: lif_cpu.lif_forward(*args), parity

    kind = "ternary" if ternary else "binary"
    return Benchmark(f"lif/cpu/{kind}/{'x'.join(map(str, shape))}", build)


BENCHMARKS = [
    lif_forward(shape, ternary)
    for shape in ((4, 64, 16, 64), (4, 64, 16, 256), (4, 8, 196, 384)) for ternary in (False, True)
]
