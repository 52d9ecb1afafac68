"""Convolutions and matrix products against plain loops over scalars."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from neuromorphic import trace


def ternary(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(-1, 2, shape, generator=torch.Generator().manual_seed(seed)).float()


def levels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(-2, 4, shape, generator=torch.Generator().manual_seed(seed)).float()


def conv_terms(layer: nn.Module, x: Tensor) -> tuple[int, int, int, int]:
    """(terms on pixels, terms on padding, terms of non-zero pixels, sum of |value| over terms)."""
    dims = len(layer.kernel_size)
    pixels, terms = x.shape[2:], [0, 0, 0, 0]
    outputs = layer(x).shape[2:]
    for b, p, k in itertools.product(
        range(x.shape[0]), itertools.product(*map(range, outputs)), itertools.product(*map(range, layer.kernel_size))
    ):
        where = [p[a] * layer.stride[a] + k[a] * layer.dilation[a] - layer.padding[a] for a in range(dims)]
        inside = all(0 <= q < n for q, n in zip(where, pixels, strict=True))
        for c_in, c_out in itertools.product(range(layer.in_channels), range(layer.out_channels)):
            if c_in * layer.groups // layer.in_channels != c_out * layer.groups // layer.out_channels:
                continue  # another group
            value = float(x[(b, c_in, *where)]) if inside else 0.0
            for i, add in enumerate((inside, not inside, value != 0, abs(value))):
                terms[i] += int(add)
    return tuple(terms)


CONVOLUTIONS = {
    "1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 2, 7)),
    "2d": (lambda: nn.Conv2d(2, 3, 3, padding=1, bias=False), (2, 2, 5, 4)),
    "stride": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1), (1, 2, 6, 5)),
    "dilation": (lambda: nn.Conv2d(1, 2, 3, dilation=2, padding=2), (2, 1, 6, 6)),
    "uneven": (lambda: nn.Conv2d(1, 2, (2, 3), stride=(1, 2), padding=(0, 1)), (1, 1, 5, 6)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (1, 4, 4, 4)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 4, 4)),
    "pointwise": (lambda: nn.Conv2d(3, 5, 1), (2, 3, 4, 4)),
    "3d": (lambda: nn.Conv3d(1, 2, 2, padding=1), (1, 1, 3, 3, 3)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_equals_loops(name):
    build, shape = CONVOLUTIONS[name]
    layer, x = build(), levels(*shape)
    (row,) = trace(layer, x).rows
    assert (row.dense, row.padding, row.left_events, row.left_units) == conv_terms(layer, x)
    assert row.bias == (layer(x).numel() if layer.bias is not None else 0)


@pytest.mark.parametrize("stride, padding, output_padding", [(1, 0, 0), (2, 1, 0), (2, 1, 1), (3, 0, 0)])
def test_transposed_convolution_equals_loops(stride, padding, output_padding):
    layer = nn.ConvTranspose2d(2, 3, 3, stride=stride, padding=padding, output_padding=output_padding)
    x = ternary(2, 2, 4, 3)
    height, width = layer(x).shape[2:]
    dense = cut = events = 0
    for b, c, y, z, ky, kx in itertools.product(range(2), range(2), range(4), range(3), range(3), range(3)):
        inside = 0 <= y * stride + ky - padding < height and 0 <= z * stride + kx - padding < width
        dense, cut = dense + 3 * inside, cut + 3 * (not inside)
        events += 3 * (inside and bool(x[b, c, y, z]))
    (row,) = trace(layer, x).rows
    assert (row.dense, row.padding, row.left_events) == (dense, cut, events)


def test_a_kernel_that_depends_on_the_input_is_uncovered():
    class Dynamic(nn.Module):
        def forward(self, x):
            return nn.functional.conv1d(x, x[:1])

    ledger = trace(Dynamic(), ternary(2, 3, 5))
    assert [t.op for t in ledger.coverage.uncovered] == ["aten::convolution"]


def linear_terms(x: Tensor, outputs: int) -> tuple[int, int, int]:
    """(all terms, terms of non-zeros, sum of |x| over terms)."""
    dense = events = units = 0
    for value in x.flatten().tolist():
        for _ in range(outputs):
            dense, events, units = dense + 1, events + (value != 0), units + int(abs(value))
    return dense, events, units


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6), (2, 2, 3, 6)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_equals_loops(shape, bias):
    layer, x = nn.Linear(6, 4, bias=bias), levels(*shape)
    ledger = trace(layer, x)
    (row,) = (r for r in ledger.rows if r.dense)
    assert (row.dense, row.left_events, row.left_units) == linear_terms(x, 4)
    added = row.bias + sum(r.counts.get("ADD", 0) for r in ledger.rows)
    assert added == (x.numel() // 6 * 4 if bias else 0)
    assert row.op == "linear" and ledger.coverage.fraction == 1.0


class WeightsOnTheLeft(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 6))

    def forward(self, x):
        return self.weight @ x


def test_weights_on_the_left():
    x = ternary(2, 6, 3)
    (row,) = trace(WeightsOnTheLeft(), x).rows
    assert (row.op, row.right) == ("linear", None)
    assert (row.dense, row.left_events, row.left_units) == linear_terms(x, 5)


def product_terms(a: Tensor, b: Tensor) -> tuple[int, int, int, int, int, int]:
    dense = left = right = both = left_units = right_units = 0
    for g, n, k, m in itertools.product(range(a.shape[0]), range(a.shape[1]), range(a.shape[2]), range(b.shape[2])):
        x, y = float(a[g, n, k]), float(b[g, k, m])
        dense, left, right, both = dense + 1, left + (x != 0), right + (y != 0), both + (x != 0 and y != 0)
        left_units, right_units = left_units + int(abs(x)), right_units + int(abs(y))
    return dense, left, right, both, left_units, right_units


WAYS = {
    "matmul": lambda a, b: a @ b,
    "einsum": lambda a, b: torch.einsum("gnk,gkm->gnm", a, b),
    "broadcast": lambda a, b: (a.unsqueeze(1) @ b.unsqueeze(1)).squeeze(1),
    "baddbmm": lambda a, b: torch.baddbmm(torch.zeros(a.shape[0], a.shape[1], b.shape[2]), a, b, beta=0),
}


@pytest.mark.parametrize("way", WAYS)
def test_product_of_activations_equals_loops(way):
    a, b = levels(2, 3, 4, seed=1), ternary(2, 4, 5, seed=2)

    class Both(nn.Module):
        def forward(self, x):
            left, right = x[:, :12].view(2, 3, 4), x[:, 12:].view(2, 4, 5)
            return WAYS[way](left, right)

    ledger = trace(Both(), torch.cat([a.flatten(1), b.flatten(1)], 1))
    (row,) = (r for r in ledger.rows if r.dense)
    found = (row.dense, row.left_events, row.right_events, row.coincidence, row.left_units, row.right_units)
    assert found == product_terms(a, b)
    assert {row.left.kind, row.right.kind} == {"graded", "ternary"}
    assert row.op == "matmul" and ledger.coverage.fraction == 1.0


def test_evidence_of_an_operand_by_sign_and_step():
    x = torch.tensor([[[1.0, -1, 0], [0, 0, -1]], [[1, 1, 1], [0, 0, 0]]])  # (T, B, D)
    (row,) = trace(nn.Linear(3, 2, bias=False), x, timesteps=2, batch_axis=1).rows
    assert (row.left.numel, row.left.positive, row.left.negative) == (12, 4, 2)
    assert (row.steps, row.left.nonzero_per_step, row.left.repeats) == (2, (3, 3), False)
