"""What is timed: each row holds a plain and a fast way to the same result.

A row is built from its arguments alone, so that both ways get the very same tensors; `parity` must hold in the
run that times them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from neuromorphic import trace
from spikeattn import create_model
from spikeattn.ops.bipolar_attention import cpu as bipolar_cpu
from spikeattn.ops.bipolar_attention import reference as bipolar_reference
from spikeattn.ops.lif import cpu as lif_cpu
from spikeattn.ops.lif import reference as lif_reference
from spikeattn.ops.shiftmax import cpu as shiftmax_cpu
from spikeattn.ops.shiftmax import reference as shiftmax_reference


@dataclass(frozen=True)
class Benchmark:
    """name: op, way and size. build() -> (plain, fast, parity)."""

    name: str
    build: Callable[[], tuple[Callable, Callable, Callable[[], bool]]]


def lif_forward(shape: tuple[int, ...]) -> Benchmark:
    def build():
        x = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        args = (x, torch.zeros(shape[1:]), 0.5, 0.5, 1.0, "hard", False, True, "sigmoid", 4.0, True)

        def parity() -> bool:
            pairs = zip(lif_reference.lif_forward(*args), lif_cpu.lif_forward(*args), strict=True)
            return all(torch.equal(a, b) for a, b in pairs)

        return lambda: lif_reference.lif_forward(*args), lambda: lif_cpu.lif_forward(*args), parity

    return Benchmark(f"lif/cpu/binary/{'x'.join(map(str, shape))}", build)


def ternary(generator: torch.Generator, *shape: int, threshold: float) -> torch.Tensor:
    current = torch.randn(shape, generator=generator)
    return torch.sign(current) * (current.abs() >= threshold)


def attention_spikes(rows: int, tokens: int, d: int, threshold: float) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    q, k = (ternary(g, rows, tokens, d, threshold=threshold) for _ in range(2))
    return q, k, torch.randn(rows, tokens, d, generator=g), torch.randn(rows, tokens, d, generator=g)


def shiftmax_weights(*size) -> Benchmark:
    def build():
        q, k, _, _ = attention_spikes(*size)
        args = (q @ k.mT, None, "ceil", "straight_through", torch.float32)
        plain, fast = lambda: shiftmax_reference.shiftmax(*args), lambda: shiftmax_cpu.shiftmax(*args)
        return plain, fast, lambda: torch.equal(plain(), fast())

    return Benchmark(f"shiftmax/cpu/{'x'.join(map(str, size))}", build)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float((a - b).norm() / b.norm()) < 1e-6


def bipolar_forward(*size) -> Benchmark:
    def build():
        args = (*attention_spikes(*size)[:3], None, "ceil", "straight_through")
        plain, fast = lambda: bipolar_reference.bipolar_attention(*args), lambda: bipolar_cpu.bipolar_attention(*args)
        return plain, fast, lambda: close(fast(), plain())

    return Benchmark(f"bipolar_attention/cpu/{'x'.join(map(str, size))}", build)


def bipolar_backward(*size) -> Benchmark:
    def build():
        q, k, v, grad = attention_spikes(*size)
        args = (grad, q, k, v, None, "ceil", "straight_through")
        plain = lambda: bipolar_reference.bipolar_attention_backward(*args)  # noqa: E731
        fast = lambda: bipolar_cpu.bipolar_attention_backward(*args)  # noqa: E731
        return plain, fast, lambda: all(close(a, b) for a, b in zip(fast(), plain(), strict=True))

    return Benchmark(f"bipolar_attention_backward/cpu/{'x'.join(map(str, size))}", build)


# rows of T * B * H, tokens, d, threshold: digits, CIFAR, ImageNet at two firing rates, long
ATTENTION_SIZES = [(1024, 16, 16, 0.5), (256, 64, 32, 1.0), (32, 196, 64, 1.0), (32, 196, 64, 0.5), (4, 1024, 64, 1.0)]

def tracing(name: str, batch: int) -> Benchmark:
    """The ratio is what counting every operation adds to a forward pass: 1.5 is half as long again.

    Parity: the run that is timed covers every operation.
    """
    def build():
        torch.manual_seed(0)
        model = create_model(name).eval()
        x = torch.rand(batch, 3, *model.config.image_size)

        def forward():
            with torch.no_grad():
                return model(x)

        return lambda: trace(model, x), forward, lambda: not trace(model, x).coverage.uncovered

    return Benchmark(f"trace/cpu/{name}/{batch}", build)


BENCHMARKS = [
    lif_forward(shape)
    for shape in ((4, 64, 16, 64), (4, 64, 16, 256), (4, 8, 196, 384))
] + [tracing("spikformer_cifar_4_384", batch) for batch in (1, 16)] + [
    way(*size) for way in (shiftmax_weights, bipolar_forward, bipolar_backward) for size in ATTENTION_SIZES
]

STUDIES = ("conversion",)  # modules here that make a table instead of a ratio: main(arguments)
