"""The integer operations of converted networks, each counted beside a loop over its values."""

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.count.converted import LIMITS, TERMS
from spikeattn.ops import horner, integer_norm, integer_rms_norm, round_shift, row_factor, scale_rows, table_lookup
from spikeattn.ops.integer_norm import norm_constants, rms_norm_constants
from spikeattn.ops.row_factor import NORMALISERS
from spikeattn.ops.row_factor.reference import STEPS
from spikeattn.ops.table import build_table


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def counts(function, x):
    ledger = trace(Calls(function), x)
    assert ledger.coverage.fraction == 1.0, ledger.coverage.uncovered
    return energy.operation_counts(ledger)


X = torch.randint(-1000, 1000, (2, 3, 12), generator=torch.Generator().manual_seed(0))  # 72 values, 6 rows


@pytest.mark.parametrize(("shift", "expected"), [
    (3, {"SHIFT": 72, "ADD": 72}), (-3, {"SHIFT": 72}), (0, {}),
    ([2] * 6 + [0] * 2 + [-1] * 4, {"SHIFT": 60, "ADD": 36}),
])
def test_round_shift(shift, expected):
    shift = torch.tensor(shift)
    assert counts(lambda x: round_shift(x, shift), X) == expected


@pytest.mark.parametrize(("base", "each"), [
    (1, {"ADD": 1}), (2, {"SHIFT": 1, "ADD": 1}), (3, {"SHIFT": 1, "ADD": 2}),
])
def test_horner(base, each):
    """Two steps of 36 values: nothing for the first."""
    assert counts(lambda x: horner(x, base), X) == {name: 36 * n for name, n in each.items()}
    assert counts(lambda x: horner(x[:1], base), X) == {}


def test_a_base_that_multiplies_is_uncovered():
    assert [touch.op for touch in trace(Calls(lambda x: horner(x, 5)), X).coverage.uncovered] == ["spikeattn::horner"]


def test_a_table_is_one_look_up_a_value():
    table = build_table("gelu", input_unit=2**-6, output_unit=2**-8)
    assert counts(lambda x: table_lookup(x, 2, table), X) == {"SHIFT": 72, "ADD": 72, "CMP": 144, "LOOKUP": 72}
    assert counts(lambda x: table_lookup(x, 0, table), X) == {"CMP": 144, "LOOKUP": 72}


def by_hand(D: int, centred: bool, drop: int, epsilon: int) -> dict[str, int]:
    """One row, value by value."""
    tally = dict.fromkeys(("ADD", "MUL", "SHIFT", "LOD", "LOOKUP"), 0)
    for value in range(D):
        if centred:
            tally["ADD"] += value > 0  # the running sum
            tally["SHIFT" if D & (D - 1) == 0 else "MUL"] += D > 1  # D x
            tally["ADD"] += 1  # minus the sum
        tally["SHIFT"] += drop != 0
        tally["ADD"] += drop > 0
        tally["MUL"] += 1  # square
        tally["ADD"] += value > 0  # the running sum of squares
        tally["MUL"] += 2  # root, gamma
        tally["SHIFT"] += 1
        tally["ADD"] += 2  # rounding, beta
    tally["ADD"] += (epsilon != 0) + 1  # epsilon; the row's shift
    tally["SHIFT"] += 2
    tally["LOD"] += 1
    tally["LOOKUP"] += 1
    return {name: n for name, n in tally.items() if n}


@pytest.mark.parametrize("D", [1, 12, 16])
@pytest.mark.parametrize("largest", [2**10, 2**30])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_norms(D, largest, eps):
    x = torch.randint(-1000, 1000, (5, D), generator=torch.Generator().manual_seed(1))
    for centred, build, norm in ((True, norm_constants, integer_norm), (False, rms_norm_constants, integer_rms_norm)):
        constants = build(torch.ones(D), torch.zeros(D), eps=eps, input_unit=2**-10, output_unit=2**-8,
                          largest=largest)
        one = by_hand(D, centred, constants.drop, constants.epsilon)
        assert counts(lambda x, n=norm, c=constants: n(x, c), x) == {name: 5 * count for name, count in one.items()}


def test_both_signs_of_the_low_bits_were_seen():
    """The rows above drop bits for large inputs and keep more for small ones."""
    drops = [norm_constants(torch.ones(12), torch.zeros(12), eps=0.0, input_unit=1.0, output_unit=1.0,
                            largest=largest).drop for largest in (2**10, 2**30)]
    assert drops[0] < 0 < drops[1]


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_row_factors(normaliser):
    limits = len(STEPS[normaliser][0])
    assert limits == LIMITS.get(normaliser, 0)
    expected = {"LOD": 6, "SHIFT": 6, "CMP": 6 * limits} if limits else {}
    assert counts(lambda x: row_factor(x[..., :1].abs(), normaliser), X) == expected | {"AND": 6}  # of abs


def test_every_factor_is_two_powers_of_two_or_three():
    assert set(TERMS) == {factor for _, factors in STEPS.values() for factor in factors}
    for eighths, (shifts, additions) in TERMS.items():
        terms = [sign << power for power in range(5) for sign in (1, -1)]
        powers = next(n for n in (1, 2, 3) if reachable(eighths, terms, n))
        assert additions == powers - 1
        assert shifts == powers - (eighths % 2)  # eight of the unit or more is a shift, one of it is none


def reachable(total: int, terms: list[int], n: int) -> bool:
    return total == 0 if n == 0 else any(reachable(total - term, terms, n - 1) for term in terms)


def test_scaling_rows():
    eighths = torch.tensor([[[8], [9], [11]], [[14], [16], [12]]])
    shifts, additions = (sum(TERMS[e][i] * 12 for e in eighths.flatten().tolist()) for i in (0, 1))
    assert counts(lambda x: scale_rows(x, eighths), X) == {"SHIFT": shifts, "ADD": additions}


def test_the_norm_is_the_only_one_that_multiplies():
    for function in (lambda x: round_shift(x, 2), lambda x: scale_rows(x, torch.tensor([10])),
                     lambda x: row_factor(x.abs()),
                     lambda x: table_lookup(x, 2, build_table("tanh", input_unit=0.1, output_unit=0.1))):
        assert not {"MUL", "MAC", "DIV", "EXP", "SQRT"} & counts(function, X).keys()


def test_a_look_up_has_a_price_or_is_said_to_have_none():
    table = build_table("gelu", input_unit=2**-6, output_unit=2**-8)
    ledger = trace(Calls(lambda x: table_lookup(x, 0, table)), X)
    priced = energy.price(ledger, "horowitz45_int32")
    assert priced.by_class["LOOKUP"] == pytest.approx(72 * 10.0 / priced.samples * 1e-9)
    assert energy.price(ledger, "seneca22").unpriced["LOOKUP"] == 72
