"""Everything that is no product: each formula beside a count by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from neuromorphic import energy, trace


class Calls(nn.Module):
    def __init__(self, function, *weights):
        super().__init__()
        self.function, self.weights = function, nn.ParameterList(weights)

    def forward(self, x):
        return self.function(x, *self.weights)


def counts(function, x, *weights):
    ledger = trace(Calls(function, *weights), x)
    assert ledger.coverage.fraction == 1.0, ledger.coverage.uncovered
    return energy.operation_counts(ledger)


torch.manual_seed(0)
X = torch.rand(2, 3, 4) + 0.1  # 24 elements
SPIKES = (torch.arange(24).view(2, 3, 4) % 5 == 0).float()  # 5 ones
POW2 = 2.0 ** -(torch.arange(24).view(2, 3, 4) % 3)
W = torch.rand(4)

ELEMENTWISE = {
    "add": (lambda x: x + x, X, {"ADD": 24}),
    "in place": (lambda x: x.clone().add_(1), X, {"ADD": 24}),
    "subtract": (lambda x: 1 - x, X, {"ADD": 24}),
    "add scaled": (lambda x: torch.add(x, x, alpha=3), X, {"ADD": 24, "MUL": 24}),
    "add weights": (lambda x, w: x + w, X, {"ADD": 24}),
    "multiply": (lambda x: x * x, X, {"MUL": 24}),
    "by weights": (lambda x, w: x * w, X, {"MUL": 24}),
    "by 0.125": (lambda x: x * 0.125, X, {"SHIFT": 24}),
    "by 0.3": (lambda x: x * 0.3, X, {"MUL": 24}),
    "by 1": (lambda x: x * 1, X, {}),
    "gate": (lambda x: x * x, SPIKES, {"AND": 24}),
    "powers of two": (lambda x: x * x, POW2, {"SHIFT": 24}),
    "divide by 4": (lambda x: x / 4, X, {"SHIFT": 24}),
    "divide by 3": (lambda x: x / 3, X, {"MUL": 24}),
    "divide": (lambda x: x / x, X, {"DIV": 24}),
    "square": (lambda x: x**2, X, {"MUL": 24}),
    "cube": (lambda x: x**3, X, {"MUL": 48}),
    "root": (lambda x: x**0.5, X, {"SQRT": 24}),
    "exp": (torch.exp, X, {"EXP": 24}),
    "2 to the": (lambda x: 2**x, X, {"EXP": 24}),
    "sigmoid": (torch.sigmoid, X, {"EXP": 24, "ADD": 24, "DIV": 24}),
    "tanh": (torch.tanh, X, {"EXP": 24, "ADD": 48, "DIV": 24}),
    "gelu": (functional.gelu, X, {"ERF": 24, "MUL": 48, "ADD": 24}),
    "gelu tanh": (
        lambda x: functional.gelu(x, approximate="tanh"), X, {"MUL": 120, "ADD": 96, "EXP": 24, "DIV": 24},
    ),
    "silu": (functional.silu, X, {"EXP": 24, "ADD": 24, "DIV": 24, "MUL": 24}),
    "relu": (functional.relu, X, {"CMP": 24}),
    "clamp": (lambda x: x.clamp(0, 1), X, {"CMP": 48}),
    "clamp below": (lambda x: x.clamp(min=0), X, {"CMP": 24}),
    "round": (torch.round, X, {"ADD": 24}),
    "compare": (lambda x: x > 0.5, X, {"CMP": 24}),
    "mask": (lambda x: x.masked_fill(torch.ones(4, dtype=torch.bool), 0.0), X, {"AND": 24}),
    "sum": (lambda x: x.sum(-1), X, {"ADD": 18}),
    "sum of spikes": (lambda x: x.sum(-1), SPIKES, {"AC": 5}),
    "mean over 4": (lambda x: x.mean(-1), X, {"ADD": 18, "SHIFT": 6}),
    "mean over 3": (lambda x: x.mean(1), X, {"ADD": 16, "MUL": 8}),
    "maximum": (lambda x: x.amax(-1), X, {"CMP": 18}),
    "argmax": (lambda x: x.argmax(-1), X, {"CMP": 18}),
    "variance": (lambda x: x.var(-1), X, {"ADD": 3 * 24 - 2 * 6, "MUL": 24 + 2 * 6}),
    "view": (lambda x: x.transpose(1, 2).reshape(2, 12).unsqueeze(0), X, {}),
    "cast": (lambda x: x.double().contiguous(), X, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_and_reductions(name):
    function, x, expected = ELEMENTWISE[name]
    weights = [W] if "weights" in name else []
    assert counts(function, x, *weights) == expected


def test_complex_product_is_four_multiplications():
    def function(x):
        spectrum = torch.view_as_complex(x.view(2, 3, 2, 2))
        return spectrum * spectrum.conj()

    assert counts(function, X) == {"MUL": 4 * 12, "ADD": 2 * 12}


def test_dropout_and_identity_cost_nothing():
    ledger = trace(nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.Flatten()), X)
    assert ledger.rows == ()


def test_an_embedding_is_a_look_up():
    ledger = trace(nn.Embedding(10, 4), torch.randint(0, 10, (2, 5)))
    assert ledger.rows == () and ledger.coverage.uncovered == ()


def test_layer_norm_by_hand():
    # one row of n = 4: mean 3 ADD 1 MUL, centre 4 ADD, squares 4 MUL 3 ADD 1 MUL, epsilon 1 ADD, root, reciprocal,
    # normalise 4 MUL, affine 4 MUL 4 ADD
    per_row = {"ADD": 3 + 4 + 3 + 1 + 4, "MUL": 1 + 4 + 1 + 4 + 4, "SQRT": 1, "DIV": 1}
    model = nn.LayerNorm(4)
    assert energy.operation_counts(trace(model, X)) == {name: 6 * n for name, n in per_row.items()}
    bare = nn.LayerNorm(4, elementwise_affine=False)
    assert energy.operation_counts(trace(bare, X)) == {"ADD": 6 * 11, "MUL": 6 * 10, "SQRT": 6, "DIV": 6}


def test_group_norm_is_a_norm_of_rows():
    ledger = trace(nn.GroupNorm(1, 3, affine=False), X)
    assert energy.operation_counts(ledger) == {"ADD": 2 * (3 * 12 - 1), "MUL": 2 * (2 * 12 + 2), "SQRT": 2, "DIV": 2}


class ThenNorm(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.linear, self.between, self.norm = nn.Linear(4, 5), between, nn.BatchNorm1d(5)

    def forward(self, x):
        return self.norm(self.between(self.linear(x)))


@pytest.mark.parametrize("between", [nn.Identity(), nn.Unflatten(1, (5, 1)), nn.Sequential(nn.Flatten(), nn.Flatten())])
def test_batch_norm_folds_into_the_weights_before_it(between):
    ledger = trace(ThenNorm(between), X[:, 0])
    assert [row.op for row in ledger.rows] == ["linear"]
    assert "aten::_native_batch_norm_legit_no_training" in {t.op for t in ledger.coverage.free}


@pytest.mark.parametrize("between", [nn.ReLU(), nn.Softmax(-1)])
def test_batch_norm_elsewhere_is_paid(between):
    ledger = trace(ThenNorm(between), X[:, 0])
    assert ledger.rows[-1].counts == {"MUL": 10, "ADD": 10}


def test_batch_norm_does_not_fold_across_a_residual():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

        def forward(self, x):
            return self.norm(x + self.linear(x))

    assert trace(Residual(), X[:, 0]).rows[-1].op == "norm"


def test_batch_norm_on_its_own_statistics_is_paid():
    ledger = trace(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, track_running_stats=False)), X[:, 0])
    assert ledger.rows[-1].counts["SQRT"] == 5


def test_softmax_by_hand():
    expected = {"CMP": 6 * 3, "ADD": 6 * (4 + 3), "EXP": 24, "DIV": 6, "MUL": 24}
    assert counts(lambda x: x.softmax(-1), X) == expected


def test_softmax_weights_stay_real_even_when_uniform():
    ledger = trace(Calls(lambda x: x.softmax(-1) @ x.mT), torch.zeros(2, 3, 4) + 1)
    product = next(row for row in ledger.rows if row.dense)
    assert (product.left.kind, product.right.kind) == ("real", "binary")


def test_attention_is_two_products_a_scale_and_a_softmax():
    x = torch.rand(2, 4, 8, 16)  # B, h, N, d
    expected = {
        "MAC": 2 * 2 * 4 * 8 * 8 * 16, "SHIFT": 512, "CMP": 64 * 7, "ADD": 64 * 15, "EXP": 512, "DIV": 64, "MUL": 512,
    }  # fmt: skip
    assert counts(lambda x: functional.scaled_dot_product_attention(x, x, x), x) == expected

    def causal(x):
        mask = torch.ones(8, 8).tril().bool()  # made without the input, hence free
        return functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    assert counts(causal, x) == expected | {"ADD": expected["ADD"] + 512}


@pytest.mark.parametrize("n, real, full", [(2, 1, 1), (4, 2, 4), (8, 6, 12), (16, 16, 32), (6, 6, 12)])
def test_fft_butterflies(n, real, full):
    # complex: n/2 log2 n, real: half of it; 6 is counted as 8
    x = torch.rand(3, n)
    assert counts(lambda x: torch.fft.rfft(x), x) == {"BUTTERFLY": 3 * real}
    assert counts(lambda x: torch.fft.irfft(torch.fft.rfft(x), n=n), x) == {"BUTTERFLY": 6 * real}
    assert counts(lambda x: torch.fft.fft(torch.fft.fft(x)), x) == {"BUTTERFLY": 3 * real + 3 * full}


def test_fft_over_two_axes():
    # (4, 8): 4 real transforms of length 8, then 8/2 + 1 = 5 complex ones of length 4
    assert counts(lambda x: torch.fft.rfft2(x), torch.rand(1, 4, 8)) == {"BUTTERFLY": 4 * 6 + 5 * 4}


def test_circular_attention_core():
    heads, d, n = 2, 6, 16

    def core(x):
        row, value = x[:, :heads].softmax(-1), x[:, heads:].view(1, heads, d // heads, n)
        product = torch.fft.rfft(row).unsqueeze(2).conj() * torch.fft.rfft(value)
        return torch.fft.irfft(product, n=n)

    found = counts(core, torch.rand(1, heads + d, n))
    assert found["BUTTERFLY"] == (2 * d + heads) * (n // 4) * 4  # (2 d + h) real transforms
    assert found["MUL"] == 4 * d * (n // 2 + 1) + heads * n  # spectra, and the softmax's own
    assert (found["EXP"], found["DIV"]) == (heads * n, heads)


@pytest.mark.parametrize("padding", [0, 1])
def test_max_pool_compares_pixels_only(padding):
    x, pool = torch.rand(2, 3, 5, 5), nn.MaxPool2d(3, stride=2, padding=padding)
    read = 0
    out = pool(x).shape[-1]
    for y in range(out):
        for z in range(out):
            inside = [sum(0 <= p * 2 + k - padding < 5 for k in range(3)) for p in (y, z)]
            read += inside[0] * inside[1] - 1
    assert energy.operation_counts(trace(pool, x)) == {"CMP": 6 * read}


def test_average_pools():
    x = torch.rand(2, 3, 6, 6)
    assert energy.operation_counts(trace(nn.AvgPool2d(2), x)) == {"ADD": 6 * 9 * 3, "SHIFT": 6 * 9}
    assert energy.operation_counts(trace(nn.AvgPool2d(3), x)) == {"ADD": 6 * 4 * 8, "MUL": 6 * 4}
    assert energy.operation_counts(trace(nn.AdaptiveAvgPool2d(3), x)) == {"ADD": 6 * 9 * 3, "SHIFT": 6 * 9}
    assert trace(nn.AdaptiveAvgPool2d(4), x).coverage.fraction == 0.0
