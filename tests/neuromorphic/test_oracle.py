"""Every operation and tensor kind against plain loops over scalars.

The oracle below knows nothing of the package: nested lists in, operations by class out, one scalar term at a time.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from neuromorphic import energy, trace
from spikeattn.neurons import IF, LIF, PLIF, TernaryLIF
from spikeattn.ops import bipolar_attention, shiftmax

# ---------------------------------------------------------------- the oracle: lists and integers only


def scalars(nest) -> list:
    return [value for part in nest for value in scalars(part)] if isinstance(nest, list) else [nest]


def kind(values: list) -> str:
    """spikes: one magnitude or none; graded: integers; pow2: powers of two; real: the rest."""
    sizes = {abs(value) for value in values} - {0}
    if len(sizes) < 2:
        return "spikes"
    if all(value == int(value) for value in values):
        return "graded"
    return "pow2" if all(math.frexp(size)[0] == 0.5 for size in sizes) else "real"


def priced(terms: list[tuple[float, float]], left: list, right: list | None) -> dict[str, int]:
    """Terms a * b of a product, zeros included, each side of its own kind; right None: the right side is weights."""
    a, b = kind(left), "real" if right is None else kind(right)
    alive = {"left": sum(1 for x, _ in terms if x != 0), "right": sum(1 for _, y in terms if y != 0)}
    if a == b == "spikes":
        return {"AC": min(alive.values())}
    for wanted in ("spikes", "pow2", "graded"):
        for side, here, there, other in (("left", a, b, right), ("right", b, a, left)):
            if here != wanted:
                continue
            if wanted == "spikes" and there == "pow2":
                return {"ADD": alive[side], "SHIFT": sum(1 for value in other if value != 0)}
            names = {"spikes": ("AC",), "pow2": ("SHIFT", "ADD"), "graded": ("MAC",)}[wanted]
            return {name: alive[side] for name in names}
    return {"MAC": len(terms)}


def linear(x: list, outputs: int, bias: bool) -> dict[str, int]:
    """x: rows of inputs; every input meets every output."""
    terms = [(value, 1.0) for row in x for _ in range(outputs) for value in row]
    return added(priced(terms, scalars(x), None), {"ADD": len(x) * outputs if bias else 0})


def convolution(x: list, outputs: int, kernel: int, stride: int, padding: int, dilation: int, groups: int,
                bias: bool) -> dict[str, int]:  # fmt: skip
    """x (B, C, Y, X): terms on real pixels only."""
    channels, height, width = len(x[0]), len(x[0][0]), len(x[0][0][0])
    span = dilation * (kernel - 1) + 1
    tops, lefts = ((size + 2 * padding - span) // stride + 1 for size in (height, width))
    terms, biases = [], 0
    for picture, o, y, z in itertools.product(x, range(outputs), range(tops), range(lefts)):
        biases += bias
        for c, ky, kx in itertools.product(range(channels), range(kernel), range(kernel)):
            if c // (channels // groups) != o // (outputs // groups):
                continue
            py, pz = y * stride + ky * dilation - padding, z * stride + kx * dilation - padding
            if 0 <= py < height and 0 <= pz < width:
                terms.append((picture[c][py][pz], 1.0))
    return added(priced(terms, scalars(x), None), {"ADD": biases})


def matmul(a: list, b: list) -> dict[str, int]:
    """a (G, N, K) times b (G, K, M)."""
    terms = []
    for left, right in zip(a, b, strict=True):
        for row in left:
            for m in range(len(right[0])):
                terms += [(row[k], right[k][m]) for k in range(len(right))]
    return priced(terms, scalars(a), scalars(b))


def hadamard(a: list, b: list) -> dict[str, int]:
    kinds = {kind(a), kind(b)}
    return {"AND" if "spikes" in kinds else "SHIFT" if "pow2" in kinds else "MUL": sum(1 for _ in a)}


def total(x: list) -> dict[str, int]:
    """Sum of rows: one accumulate per spike, or one addition less than there are values."""
    if kind(scalars(x)) == "spikes":
        return {"AC": sum(1 for value in scalars(x) if value != 0)}
    return {"ADD": sum(len(row) - 1 for row in x)}


def softmax(rows: int, n: int) -> dict[str, int]:
    count = dict.fromkeys(("CMP", "ADD", "EXP", "DIV", "MUL"), 0)
    for _ in range(rows):
        for i in range(n):
            count["CMP"] += i > 0  # the largest
            count["ADD"] += 1  # less the largest
            count["EXP"] += 1
            count["ADD"] += i > 0  # their sum
            count["MUL"] += 1  # by the reciprocal
        count["DIV"] += 1
    return count


def shift_max(rows: int, n: int) -> dict[str, int]:
    count = dict.fromkeys(("SHIFT", "ADD", "LOD"), 0)
    for _ in range(rows):
        for i in range(n):
            count["SHIFT"] += 1  # one-hot power of two
            count["ADD"] += i > 0  # their sum
            count["ADD"] += 1  # leading one less the score
        count["LOD"] += 1
    return count


def butterflies(n: int) -> int:
    """Radix-2 butterflies of a complex transform, by splitting it in two until one value is left."""
    return 0 if n == 1 else 2 * butterflies(n // 2) + n // 2


def pool(height: int, width: int, kernel: int, stride: int, padding: int, pictures: int) -> int:
    """Values joined with a first one, over all windows."""
    joins = 0
    tops, lefts = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
    for _, y, z in itertools.product(range(pictures), range(tops), range(lefts)):
        window = [
            (y * stride + i - padding, z * stride + j - padding) for i in range(kernel) for j in range(kernel)
        ]
        joins += sum(1 for p, q in window if 0 <= p < height and 0 <= q < width) - 1
    return joins


def layer_norm(rows: int, n: int) -> dict[str, int]:
    count = dict.fromkeys(("ADD", "MUL", "SQRT", "DIV"), 0)
    for _ in range(rows):
        count["ADD"] += n - 1  # sum
        count["MUL"] += 1  # mean
        count["ADD"] += n  # centre
        count["MUL"] += n  # squares
        count["ADD"] += n - 1  # their sum
        count["MUL"] += 1  # variance
        count["ADD"] += 1  # epsilon
        count["SQRT"] += 1
        count["DIV"] += 1
        count["MUL"] += n  # normalise
        count["MUL"] += n  # weights
        count["ADD"] += n  # biases
    return count


def neuron(updates: int, leak: str | None, compares: int, reset: str | None) -> dict[str, int]:
    count = dict.fromkeys(("ADD", "SHIFT", "MUL", "CMP", "AND"), 0)
    for _ in range(updates):
        count["ADD"] += 1  # charge
        if leak:
            count[leak] += 1
        count["CMP"] += compares
        if reset:
            count[reset] += 1
    return count


def added(*parts: dict[str, int]) -> dict[str, int]:
    names = {name for part in parts for name in part}
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


ORACLE = (scalars, kind, priced, linear, convolution, matmul, hadamard, total, softmax, shift_max, butterflies, pool,
          layer_norm, neuron, added)  # fmt: skip

# ---------------------------------------------------------------- the package, and where the two must agree

VALUES = {  # tensor kind: values to draw from
    "silent": (0.0,),
    "binary": (0.0, 1.0),
    "ternary": (-1.0, 0.0, 1.0),
    "scaled": (0.0, 0.25),
    "scaled ternary": (-0.3, 0.0, 0.3),
    "graded": (0.0, 1.0, 3.0),
    "signed graded": (-2.0, 0.0, 1.0, 5.0),
    "pow2": (0.0, 0.5, 0.25, 2.0),
    "real": (0.0, 0.3, -1.7, 2.5),
}


def drawn(name: str, *shape: int, seed: int = 0) -> Tensor:
    """Values of a kind, each of them at least once."""
    values, size = torch.tensor(VALUES[name]), math.prod(shape)
    index = torch.randint(len(values), (size,), generator=torch.Generator().manual_seed(seed))
    index[: len(values)] = torch.arange(len(values))
    return values[index].view(shape)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def counted(model, *args: Tensor, **options) -> dict[str, int]:
    model = model if isinstance(model, nn.Module) else Calls(model)
    ledger = trace(model, args, positional=True, **options)
    assert not ledger.coverage.uncovered
    return energy.operation_counts(ledger)


def same(found: dict[str, int], expected: dict[str, int]) -> bool:
    return found == {name: n for name, n in expected.items() if n}


def test_the_oracle_knows_nothing_of_the_package():
    known = {"trace", "energy", "torch", "nn", "functional", "Tensor", "counted", "drawn"}
    assert not known & {name for function in ORACLE for name in function.__code__.co_names}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_linear(name, bias):
    x = drawn(name, 3, 5)
    assert same(counted(nn.Linear(5, 4, bias=bias), x), linear(x.tolist(), 4, bias))


CONVOLUTIONS = {  # kernel, stride, padding, dilation, groups
    "plain": (3, 1, 0, 1, 1), "padded": (3, 1, 1, 1, 1), "strided": (3, 2, 1, 1, 1), "dilated": (2, 1, 2, 2, 1),
    "groups": (3, 1, 1, 1, 2), "depthwise": (3, 2, 1, 1, 4), "pointwise": (1, 1, 0, 1, 1), "patches": (2, 2, 0, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("form", CONVOLUTIONS)
@pytest.mark.parametrize("name", VALUES)
def test_convolution(name, form):
    kernel, stride, padding, dilation, groups = CONVOLUTIONS[form]
    x = drawn(name, 2, 4, 5, 6)
    layer = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias=form == "padded")
    expected = convolution(x.tolist(), 8, kernel, stride, padding, dilation, groups, form == "padded")
    assert same(counted(layer, x), expected)


@pytest.mark.parametrize("left, right", itertools.product(VALUES, VALUES))
def test_matmul(left, right):
    a, b = drawn(left, 2, 3, 4), drawn(right, 2, 4, 5, seed=1)
    assert same(counted(torch.matmul, a, b), matmul(a.tolist(), b.tolist()))


@pytest.mark.parametrize("left, right", itertools.product(VALUES, VALUES))
def test_hadamard(left, right):
    a, b = drawn(left, 2, 6), drawn(right, 2, 6, seed=1)
    expected = hadamard(scalars(a.tolist()), scalars(b.tolist()))
    assert same(counted(torch.mul, a, b), expected)
    assert same(counted(lambda x, y: x.clone().mul_(y), a, b), expected)  # what it held before it was written to


def test_bias():
    x = drawn("real", 3, 4)
    layer = Calls(lambda x: x + layer.bias)
    layer.bias = nn.Parameter(torch.rand(4))
    assert same(counted(layer, x), {"ADD": sum(1 for _ in scalars(x.tolist()))})


@pytest.mark.parametrize("name", VALUES)
def test_sum(name):
    x = drawn(name, 3, 5)
    assert same(counted(lambda x: x.sum(1), x), total(x.tolist()))
    assert same(counted(lambda x: x.mean(1), x), added(total(x.tolist()), {"MUL": 3}))


def test_saturated_spikes_add_up_over_samples():
    x = torch.tensor([[1.0, 1, 1, 1], [0, 1, 0, 0]])
    whole = counted(lambda x: x.sum(1), x)
    assert whole == added(*(counted(lambda x: x.sum(1), row[None]) for row in x)) == {"AC": 5}


@pytest.mark.parametrize("name", VALUES)
def test_largest(name):
    assert same(counted(lambda x: x.amax(1), drawn(name, 3, 5)), {"CMP": sum(5 - 1 for _ in range(3))})


@pytest.mark.parametrize("n", [1, 2, 5])
def test_softmax(n):
    assert same(counted(lambda x: x.softmax(-1), torch.rand(3, 2, n)), softmax(6, n))


@pytest.mark.parametrize("n", [2, 5, 8])
def test_shiftmax(n):
    assert same(counted(shiftmax, drawn("signed graded", 2, 3, n)), shift_max(6, n))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("fused", [True, False])
def test_score_times_value(values, fused):
    q, k = drawn("ternary", 2, 4, 3), drawn("ternary", 2, 4, 3, seed=2)
    v = drawn(values, 2, 4, 3, seed=3)
    weights = [[[2.0 ** -(1 + i % 2) for i in range(4)] for _ in range(4)] for _ in range(2)]  # none of them is 0
    core = bipolar_attention if fused else lambda q, k, v: shiftmax(q @ k.mT) @ v
    expected = added(matmul(q.tolist(), k.mT.tolist()), shift_max(8, 4), matmul(weights, v.tolist()))
    assert same(counted(core, q, k, v), expected)


@pytest.mark.parametrize("n", [2, 4, 8, 32])
def test_fourier(n):
    real = math.ceil(butterflies(n) / 2)  # a real signal needs half of them
    assert same(counted(torch.fft.rfft, torch.rand(3, n)), {"BUTTERFLY": 3 * real})
    assert same(counted(lambda x: torch.fft.fft(torch.fft.fft(x)), torch.rand(3, n)),
                {"BUTTERFLY": 3 * (real + butterflies(n))})


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_pools(kernel, stride, padding):
    x = torch.rand(2, 3, 5, 6)
    joins = pool(5, 6, kernel, stride, padding, 6)
    assert same(counted(nn.MaxPool2d(kernel, stride, padding), x), {"CMP": joins})
    windows = nn.AvgPool2d(kernel, stride, padding)(x).numel()
    factor = {"SHIFT" if kernel == 2 else "MUL": windows}
    assert same(counted(nn.AvgPool2d(kernel, stride, padding), x), added({"ADD": joins}, factor))


def test_norms():
    x = torch.rand(2, 3, 5)
    assert same(counted(nn.LayerNorm(5), x), layer_norm(6, 5))
    assert same(counted(nn.GroupNorm(1, 3), x), layer_norm(2, 15))
    bare = counted(nn.BatchNorm1d(3), x)  # no weight layer in front: one multiplication and addition each
    assert same(bare, {"MUL": 30, "ADD": 30})
    folded = counted(nn.Sequential(nn.Conv1d(3, 4, 1, bias=False), nn.BatchNorm1d(4)), x)
    assert same(folded, convolution(x.unsqueeze(2).tolist(), 4, 1, 1, 0, 1, 1, False))


NEURONS = {
    "IF": (IF(), None, 1, "AND"), "LIF": (LIF(beta=0.5), "SHIFT", 1, "AND"), "PLIF": (PLIF(), "MUL", 1, "AND"),
    "soft": (LIF(beta=0.9, reset="soft"), "MUL", 1, "ADD"), "none": (LIF(beta=0.25, reset="none"), "SHIFT", 1, None),
    "TernaryLIF": (TernaryLIF(beta=0.5), "SHIFT", 2, "AND"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEURONS)
def test_neurons(name):
    layer, leak, compares, reset = NEURONS[name]
    x = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    assert same(counted(layer, x, timesteps=3, batch_axis=1), neuron(24, leak, compares, reset))


def test_attention_with_softmax():
    q = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    heads = q.flatten(0, 1).tolist()
    turned = q.mT.flatten(0, 1).tolist()
    weights = [[[0.1 + 0.3 * i for i in range(4)] for _ in range(4)] for _ in range(4)]
    expected = added(matmul(heads, turned), {"MUL": 2 * 2 * 4 * 4}, softmax(16, 4), matmul(weights, heads))
    fused = counted(lambda x: functional.scaled_dot_product_attention(x, x, x), q)
    assert same(fused, expected)
    assert same(counted(lambda x: (x @ x.mT * 3**-0.5).softmax(-1) @ x, q), expected)
