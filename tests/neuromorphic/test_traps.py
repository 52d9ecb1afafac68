"""Small exact cases that existing counters get wrong, each counted again here by plain loops."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from neuromorphic import energy, trace
from spikeattn.neurons import LIF

ROWS = {  # name: (input row of Linear(8 -> 4), kind, operations for a batch of two equal rows)
    "zeros": ([0, 0, 0, 0, 0, 0, 0, 0], "silent", {}),
    "ones": ([1, 1, 1, 1, 1, 1, 1, 1], "binary", {"AC": 64}),
    "binary": ([1, 0, 0, 1, 0, 0, 0, 0], "binary", {"AC": 16}),
    "ternary": ([1, -1, 0, 0, 1, 0, 0, -1], "ternary", {"AC": 32}),
    "scaled": ([0.5, 0, 0, 0.5, 0, 0, 0, 0], "scaled", {"AC": 16}),
    "graded": ([0, 1, 2, 0, 3, 0, 0, 1], "graded", {"MAC": 32}),
    "real": ([0, 1.3, 0.2, 0, 0.7, 0, 0, 0], "real", {"MAC": 64}),
}


class Product(nn.Module):
    """left @ right of two activations, handed over side by side."""

    def __init__(self, left: Tensor, right: Tensor):
        super().__init__()
        self.sizes, self.shapes = [left.numel(), right.numel()], [left.shape, right.shape]

    def forward(self, x: Tensor) -> Tensor:
        left, right = x[0].split(self.sizes)
        return left.view(self.shapes[0]) @ right.view(self.shapes[1])


def product_row(left: Tensor, right: Tensor):
    ledger = trace(Product(left, right), torch.cat([left.flatten(), right.flatten()]).unsqueeze(0))
    return ledger, next(row for row in ledger.rows if row.dense)


@pytest.mark.parametrize("name", ROWS)
def test_linear_kinds(name):
    values, kind, counts = ROWS[name]
    ledger = trace(nn.Linear(8, 4, bias=False), torch.tensor([values, values]).float())
    (row,) = ledger.rows
    assert row.left.kind == kind
    assert row.dense == 64
    assert row.left_events == 2 * 4 * sum(v != 0 for v in values)
    assert energy.operation_counts(ledger) == counts


def test_graded_is_named_both_ways():
    values = ROWS["graded"][0]
    ledger = trace(nn.Linear(8, 4, bias=False), torch.tensor([values, values]).float())
    assert energy.operation_counts(ledger, energy.Rule(graded="mac")) == {"MAC": 32}
    assert energy.operation_counts(ledger, energy.Rule(graded="unit_ac")) == {"AC": 2 * 4 * sum(values)}


def test_kind_is_decided_by_the_whole_data_set():
    silent, ones, real = (torch.tensor([ROWS[n][0]]).float() for n in ("zeros", "ones", "real"))
    ledger = trace(nn.Linear(8, 4, bias=False), [silent, ones, real])
    assert energy.operation_counts(ledger) == {"MAC": 3 * 32}
    assert energy.operation_counts(trace(nn.Linear(8, 4, bias=False), [silent, ones])) == {"AC": 32}


def conv_events(x: Tensor, kernel: int, stride: int, padding: int, outputs: int) -> int:
    """Non-zero taps of every output pixel, by loops."""
    pictures, channels, height, width = x.shape
    events = 0
    places = itertools.product(
        range(pictures), range(channels), range(0, height + 2 * padding - kernel + 1, stride),
        range(0, width + 2 * padding - kernel + 1, stride), range(kernel), range(kernel),
    )  # fmt: skip
    for b, c, top, left, ky, kx in places:
        y, z = top + ky - padding, left + kx - padding
        if 0 <= y < height and 0 <= z < width and x[b, c, y, z] != 0:
            events += outputs
    return events


def spikes_at(*places: tuple[int, int, int]) -> Tensor:
    x = torch.zeros(1, 2, 5, 5)
    for c, y, z in places:
        x[0, c, y, z] = 1
    return x


@pytest.mark.parametrize(
    "x, stride, events",
    [
        (torch.ones(1, 2, 5, 5), 1, 1014),
        (spikes_at((0, 0, 0), (1, 2, 2)), 1, 39),
        (spikes_at((0, 0, 0), (1, 1, 1), (1, 2, 2)), 2, 18),
    ],
)
def test_convolution_counts_taps_on_pixels_only(x, stride, events):
    ledger = trace(nn.Conv2d(2, 3, 3, padding=1, stride=stride, bias=False), x)
    (row,) = ledger.rows
    assert row.left_events == events == conv_events(x, 3, stride, 1, 3)
    assert row.dense == conv_events(torch.ones_like(x), 3, stride, 1, 3)
    assert energy.operation_counts(ledger) == {"AC": events}


def test_padding_taps_stand_apart():
    torch.manual_seed(0)
    ledger = trace(nn.Conv2d(2, 3, 3, padding=1, bias=False), torch.rand(1, 2, 5, 5) + 0.5)
    (row,) = ledger.rows
    assert (row.dense, row.padding) == (1014, 1350 - 1014)
    assert energy.operation_counts(ledger) == {"MAC": 1014}
    assert energy.operation_counts(ledger, energy.Rule(taps="padded")) == {"MAC": 1350}


def attention_operands(signed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Q, K, V (heads 2, tokens 8, width 4) of the table."""
    q, k, v = (torch.zeros(2, 8, 4) for _ in range(3))
    for g, i, j in itertools.product(range(2), range(8), range(4)):
        for tensor, r in ((q, (3 * i + 5 * j + g) % 7), (k, (5 * i + 2 * j + 3 * g) % 7)):
            tensor[g, i, j] = 1 if r == 0 else -1 if r == 1 and signed else 0
        v[g, i, j] = float((i + 3 * j + g) % 4 == 0)
    return q, k, v


def loop_terms(left: Tensor, right: Tensor) -> tuple[int, int, int, int]:
    """(dense, left events, right events, coincidences), one scalar product at a time."""
    dense = a = b = both = 0
    for g, n, k, m in itertools.product(*map(range, (*left.shape, right.shape[2]))):
        x, y = bool(left[g, n, k]), bool(right[g, k, m])
        dense, a, b, both = dense + 1, a + x, b + y, both + (x and y)
    return dense, a, b, both


TABLE = [  # operand kinds, product, (non-zeros), dense, one-sided left and right, coincidence
    (False, "qk", (9, 10), 512, (72, 80), 12),
    (False, "sv", (12, 16), 512, (48, 128), 12),
    (False, "kv", (10, 16), 256, (40, 64), 10),
    (False, "q(kv)", (9, 10), 256, (36, 80), 12),
    (True, "qk", (19, 18), 512, (152, 144), 43),
    (True, "sv", (40, 16), 512, (160, 128), 40),
    (True, "kv", (18, 16), 256, (72, 64), 18),
    (True, "q(kv)", (19, 10), 256, (76, 80), 23),
]


@pytest.mark.parametrize("signed, name, nonzero, dense, one_sided, coincidence", TABLE)
def test_attention_products(signed, name, nonzero, dense, one_sided, coincidence):
    q, k, v = attention_operands(signed)
    left, right = {"qk": (q, k.mT), "sv": (q @ k.mT, v), "kv": (k.mT, v), "q(kv)": (q, k.mT @ v)}[name]
    ledger, row = product_row(left, right)
    assert (row.left.nonzero, row.right.nonzero) == nonzero
    assert (row.dense, row.left_events, row.right_events, row.coincidence) == (dense, *one_sided, coincidence)
    assert loop_terms(left, right) == (dense, *one_sided, coincidence)
    assert row.coincidence <= min(one_sided) <= row.dense


def test_spike_products_are_accumulates_under_each_rule():
    q, k, _ = attention_operands(signed=True)
    ledger, _ = product_row(q, k.mT)
    rules = ("one_sided", "coincidence", "dense")
    counts = {name: energy.operation_counts(ledger, energy.Rule(spike_spike=name)) for name in rules}
    assert counts == {"one_sided": {"AC": 144}, "coincidence": {"AC": 43}, "dense": {"AC": 512}}


def test_integer_scores_times_spikes_cost_the_spikes_only():
    q, k, v = attention_operands(signed=True)
    ledger, row = product_row(q @ k.mT, v)
    assert (row.left.kind, row.right.kind) == ("graded", "binary")
    assert energy.operation_counts(ledger) == {"AC": 128}


def test_ternary_linear_is_not_seven_times_too_dear():
    torch.manual_seed(0)
    x = torch.zeros(512)
    x[torch.randperm(512)[:341]] = torch.randint(0, 2, (341,)) * 2.0 - 1
    ledger = trace(nn.Linear(64, 32, bias=False), x.view(8, 64))
    bill = energy.price(ledger, "horowitz45_fp32")
    assert bill.counts == {"AC": 10912}
    assert bill.total_mj * 8 * 1e9 == pytest.approx(10912 * 0.9)  # 9821 pJ, not 75366 pJ


class Block(nn.Module):
    """Spiking attention and MLP around a membrane shortcut; every weight layer reads spikes."""

    def __init__(self, d: int, heads: int, transposed: bool):
        super().__init__()
        self.heads, self.transposed = heads, transposed
        self.neurons = nn.ModuleList(LIF(beta=0.5, threshold=0.5) for _ in range(7))
        self.q, self.k, self.v, self.proj = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (T, B, N, D)
        def heads(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(2, 3)

        s, _ = self.neurons[0](x)
        q, k, v = (heads(self.neurons[i](2 * layer(s))[0]) for i, layer in enumerate((self.q, self.k, self.v), 1))
        out = q @ (k.mT @ v) if self.transposed else (q @ k.mT) @ v
        out, _ = self.neurons[4](out.transpose(2, 3).flatten(-2) * 0.125)
        x = x + self.proj(out)
        hidden, _ = self.neurons[6](self.fc1(self.neurons[5](x)[0]))
        return x + self.fc2(hidden)


class Toy(nn.Module):
    """Embedding 12 -> 32 of a real input shown T = 4 times, two blocks, a head on the mean over time and tokens."""

    def __init__(self, transposed: bool = False):
        super().__init__()
        self.embed, self.head = nn.Linear(12, 32, bias=False), nn.Linear(32, 10, bias=False)
        self.blocks = nn.ModuleList(Block(32, 4, transposed) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.unsqueeze(0).expand(4, *x.shape))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((0, 2)))


def watched(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every weight layer reads."""
    read = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: read.__setitem__(name, args[0].detach().clone()))
        for name, module in model.named_modules() if isinstance(module, nn.Linear)
    ]  # fmt: skip
    model(x)
    for hook in hooks:
        hook.remove()
    return read


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_toy(transposed, mode):
    torch.manual_seed(0)
    model, x = Toy(transposed).eval(), 3 * torch.rand(2, 16, 12)
    read = watched(model, x)
    with mode():
        ledger = trace(model, x, timesteps=4)
    assert all(0 < sum(e.positive) < e.numel for e in ledger.emissions), [(e.scope, e.rate) for e in ledger.emissions]
    weights = [row for row in ledger.rows if row.op == "linear"]
    spikes = {"blocks": sum(int((read[row.scope] != 0).sum()) * dict(row.geometry)["out"] for row in weights
                            if row.scope.startswith("blocks"))}  # fmt: skip
    rule = energy.Rule(spike_spike="coincidence")
    attention = [row for row in ledger.rows if row.op == "matmul"]
    assert sum(row.dense for row in attention) == (131_072 if transposed else 262_144)
    found = energy.operation_counts(replace(ledger, rows=tuple(weights)), rule)
    assert found == {"MAC": 4 * 2 * 16 * 12 * 32 + 2 * 320, "AC": spikes["blocks"]} and found["MAC"] == 49_792
    assert sum(row.coincidence for row in attention) <= sum(
        min(row.left_events, row.right_events) for row in attention) <= sum(row.dense for row in attention)  # fmt: skip
    updates = sum(row.counts["CMP"] for row in ledger.rows if row.op == "neuron")
    assert updates == 2 * 4 * 2 * 16 * (6 * 32 + 4 * 32)  # T * numel of seven neurons in each of two blocks
    assert not ledger.coverage.uncovered
