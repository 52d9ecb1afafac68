"""Shiftmax and bipolar attention, against loops and against the reference exponents."""

import itertools
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from neuromorphic import energy, trace
from spikeattn.ops import bipolar_attention, shiftmax, shiftmax_exponents, ternary_matmul

G, N, D = 2, 8, 4


class Fused(nn.Module):
    """x (B, ...) holds q, k and v of G heads side by side; a causal mask where asked for."""

    def __init__(self, how="fused", causal=False):
        super().__init__()
        self.how, self.causal = how, causal

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = x.view(-1, 3, G, N, D).unbind(1)
        mask = torch.ones(N, N, dtype=torch.bool).tril() if self.causal else None
        if self.how == "fused":
            return bipolar_attention(q, k, v, mask)
        return shiftmax(ternary_matmul(q, k), mask) @ v


def operands(spiking_values: bool) -> Tensor:
    """Q, K, V of the table in test_traps.py, (1, 3, G, N, D); real values where V does not spike."""
    x = torch.zeros(1, 3, G, N, D)
    for g, i, j in itertools.product(range(G), range(N), range(D)):
        for part, r in ((0, (3 * i + 5 * j + g) % 7), (1, (5 * i + 2 * j + 3 * g) % 7)):
            x[0, part, g, i, j] = 1 if r == 0 else -1 if r == 1 else 0
        x[0, 2, g, i, j] = float((i + 3 * j + g) % 4 == 0) if spiking_values else 0.3 + 0.01 * (i + j)
    return x


def pairs(causal: bool) -> list[tuple[int, int, int]]:
    return [(g, i, j) for g, i, j in itertools.product(range(G), range(N), range(N)) if j <= i or not causal]


def shiftmax_by_hand(causal: bool) -> dict[str, int]:
    counts = {"SHIFT": 0, "ADD": 0, "LOD": 0}
    for g, i in itertools.product(range(G), range(N)):
        keys = sum(1 for h, n, _ in pairs(causal) if (h, n) == (g, i))
        counts = {"SHIFT": counts["SHIFT"] + keys, "ADD": counts["ADD"] + keys - 1 + keys, "LOD": counts["LOD"] + 1}
    return counts


@pytest.mark.parametrize("signed, low, high, sums", [(False, 3, 4, (0.5625, 1.0)), (True, 2, 6, (0.53125, 1.0))])
def test_exponents_of_the_table(signed, low, high, sums):
    q, k = operands(True)[0, :2].clamp(min=-1 if signed else 0)
    exponents = shiftmax_exponents(ternary_matmul(q, k))
    rows = [sum(Fraction(1, 2**n) for n in row) for head in exponents.tolist() for row in head]
    assert (int(exponents.min()), int(exponents.max())) == (low, high)
    assert (min(rows), max(rows)) == sums


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("how", ["fused", "apart"])
def test_real_values(how, causal):
    x = operands(spiking_values=False)
    ledger = trace(Fused(how, causal), x)
    scores, weights, current = ledger.rows
    assert (scores.op, scores.left.kind, scores.right.kind) == ("matmul", "ternary", "ternary")
    assert (scores.dense, scores.left_events, scores.right_events, scores.coincidence) == (512, 152, 144, 43)
    assert weights.counts == shiftmax_by_hand(causal)
    shifted = len(pairs(causal)) * D
    assert (current.op, current.left.kind, current.left_events, current.dense) == ("score_value", "pow2", shifted, 512)
    expected = {"AC": 144, "SHIFT": shifted, "ADD": shifted}
    found = energy.operation_counts(ledger)
    assert found == {op: expected.get(op, 0) + weights.counts.get(op, 0) for op in ("AC", "SHIFT", "ADD", "LOD")}
    assert ledger.coverage.fraction == 1.0


def test_shift_only_accounting_leaves_out_the_accumulates():
    ledger = trace(Fused(), operands(spiking_values=False))
    rules = (energy.Rule(shift_accounting="shift_add"), energy.Rule(shift_accounting="shift_only"))
    both, alone = (energy.operation_counts(ledger, rule) for rule in rules)
    assert both["ADD"] - alone["ADD"] == G * N * N * D and both["SHIFT"] == alone["SHIFT"]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("how", ["fused", "apart"])
def test_spiking_values_cost_their_spikes(how, causal):
    x = operands(spiking_values=True)
    ledger = trace(Fused(how, causal), x)
    row = ledger.rows[-1]
    v = x[0, 2]
    assert row.right_events == 16 * N and row.right.kind == "binary"
    assert row.coincidence == sum(int((v[g, j] != 0).sum()) for g, i, j in pairs(causal))
    found = energy.operation_counts(ledger)
    assert found["ADD"] == 16 * N + shiftmax_by_hand(causal)["ADD"]
    assert found["SHIFT"] == len(pairs(causal)) + shiftmax_by_hand(causal)["SHIFT"]  # one for each weight


def test_row_maximum_variant():
    ledger = trace(Fused(), operands(spiking_values=False))
    plain, maximum = (energy.operation_counts(ledger, energy.Rule(row_maximum=flag)) for flag in (False, True))
    assert maximum["CMP"] == G * N * (N - 1) and "CMP" not in plain
    assert maximum["ADD"] - plain["ADD"] == G * N * N


def test_a_row_without_keys_costs_nothing():
    class Padded(nn.Module):
        def forward(self, x):
            mask = torch.ones(3, 3, dtype=torch.bool)
            mask[1] = False
            return shiftmax(x, mask)

    (row,) = trace(Padded(), torch.zeros(1, 3, 3)).rows
    assert row.counts == {"SHIFT": 6, "ADD": 4 + 6, "LOD": 2}


def test_worked_example_of_shiftmax():
    # N = 196, 8 heads, T = 4, 32-bit integers: 0.406 uJ; with the row maximum 0.651 uJ
    class Row(nn.Module):
        def forward(self, x):
            return shiftmax(x.expand(4, 8, 196, 196))

    ledger = trace(Row(), torch.zeros(1, 1, 1, 196))
    bill = energy.price(ledger, "horowitz45_int32")
    assert bill.shiftmax_mj * 1e3 == pytest.approx(0.406, abs=5e-4)
    assert energy.price(ledger, "horowitz45_int32", energy.Rule(row_maximum=True)).total_mj * 1e3 == pytest.approx(
        0.651, abs=5e-4
    )
