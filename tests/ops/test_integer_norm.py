"""The integer norms against the float ones, and their widths."""

import math

import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.ops import integer_norm, integer_rms_norm
from spikeattn.ops.integer_norm import l1_norm, norm_constants, rms_norm_constants, root_table
from spikeattn.ops.integer_norm.reference import FRACTION, leading_place, reciprocal_root

BITS = [0, 3, 4, 8]
KINDS = {
    "layer": (norm_constants, integer_norm, lambda x, g, eps: nnf.layer_norm(x, g.shape, g, None, eps)),
    "rms": (rms_norm_constants, integer_rms_norm, lambda x, g, eps: nnf.rms_norm(x, g.shape, g, eps)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def interval(bits: int) -> tuple[float, float]:
    h = 2.0 ** -(bits + 1)
    return (1 + h) / (1 + 2 * h), 1 + h


def sharp(bits: int) -> float:
    """What the best constant of a bin of v costs, and the rounding of the table."""
    root = math.sqrt(1 + 2.0**-bits)
    return (root - 1) / (root + 1) + 2.0**-FRACTION


@given(st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=20))
def test_the_leading_place_is_exact(values):
    assert leading_place(torch.tensor(values)).tolist() == [v.bit_length() - 1 for v in values]


@pytest.mark.parametrize("bits", [*BITS, 12])
def test_the_reciprocal_root_of_every_mantissa(bits):
    for v in (torch.arange(1, 2**14), torch.arange(2**13, 2**14) << 48, torch.tensor([2**62, 2**63 - 1])):
        m, p = reciprocal_root(v, root_table(bits))
        ratio = m.double() * torch.exp2(-(p + FRACTION).double()) * v.double().sqrt()
        low, high = interval(bits)
        assert low <= ratio.min() and ratio.max() <= high
        assert (ratio - 1).abs().max() <= sharp(bits)


def test_four_bits_is_within_the_stated_factor():
    assert interval(4) == (pytest.approx(33 / 34), pytest.approx(33 / 32)) and sharp(4) < 0.0153
    assert interval(3) == (pytest.approx(17 / 18), pytest.approx(17 / 16)) and sharp(3) < 0.0296


@every_kind
@pytest.mark.parametrize("bits", BITS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_row_is_the_float_norm_times_one_factor(kind, bits, data):
    """|y / u - f norm| <= a unit's roundings, with one f of the stated interval for the whole row."""
    build, norm, exact = KINDS[kind]
    D = data.draw(st.sampled_from([2, 7, 64, 384]))
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    spread = data.draw(st.integers(6, 17))
    x = torch.randint(-(2**spread), 2**spread, (3, D), generator=g)
    gamma = torch.randn(D, generator=g, dtype=torch.float64)
    unit = 2.0 ** data.draw(st.integers(-14, -4))
    constants = build(gamma, torch.zeros(D), eps=1e-5, input_unit=2.0**-10, output_unit=unit, bits=bits)
    ours = norm(x, constants).double()
    true = exact(x.double() * 2.0**-10, gamma, 1e-5) / unit
    # an output unit of rounding; gamma in 16 bits; half a unit of the shifted c, against its own size
    c = (D * x - x.sum(-1, keepdim=True) if kind == "layer" else x).double()
    dropped = 2.0 ** (constants.drop - 1) * (constants.drop > 0) / c.norm(dim=-1, keepdim=True).clamp(min=1)
    slack = 0.5 + 2.0 * D**0.5 / unit * (gamma.abs().max() * 2.0**-15 + gamma.abs() * dropped)
    low, high = interval(bits)
    for lowest, highest in ((low, high), (1 - sharp(bits), 1 + sharp(bits))):
        nearest = ours.clamp(torch.minimum(lowest * true, highest * true), torch.maximum(lowest * true, highest * true))
        assert bool(((ours - nearest).abs() <= slack).all())


@every_kind
def test_a_finer_table_is_a_better_norm(kind):
    build, norm, exact = KINDS[kind]
    g = torch.Generator().manual_seed(0)
    x = torch.randint(-(2**15), 2**15, (200, 96), generator=g) * torch.randint(1, 8, (200, 1), generator=g)
    true = exact(x.double(), torch.ones(96, dtype=torch.float64), 1e-5)
    errors = []
    for bits in BITS:
        constants = build(torch.ones(96), torch.zeros(96), eps=1e-5, input_unit=1.0, output_unit=2.0**-12, bits=bits)
        errors.append(((norm(x, constants) * 2.0**-12 - true).norm(dim=-1) / true.norm(dim=-1)).max().item())
    assert all(error <= sharp(bits) + 2e-4 for error, bits in zip(errors, BITS, strict=True))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1 and errors[3] < 2e-3


@every_kind
@pytest.mark.parametrize("D", [1, 16, 384, 4096])
@pytest.mark.parametrize("largest", [1, 2**19, 2**31])
def test_nothing_overflows_up_to_the_largest_input(kind, D, largest):
    """Rows of the largest sum of squares: half of them at +largest, half at -largest."""
    build, norm, exact = KINDS[kind]
    x = largest * torch.ones(1, D, dtype=torch.int64)
    x[:, ::2] *= -1
    gamma = torch.linspace(-2, 2, D, dtype=torch.float64)
    constants = build(gamma, torch.zeros(D), eps=1e-12, input_unit=2.0**-14, output_unit=2.0**-10, bits=4,
                      largest=largest)
    ours, true = norm(x, constants).double() * 2.0**-10, exact(x.double() * 2.0**-14, gamma, 1e-12)
    assert (ours - true).abs().max() <= 2 * sharp(4) + 2.0**-10
    with pytest.raises(ValueError, match="for the squares to fit"):
        norm(x * 2, constants)


def test_width_of_the_squares():
    for D in (2, 384, 1024):
        constants = norm_constants(torch.ones(D), torch.zeros(D), eps=1e-5, input_unit=2.0**-14, output_unit=1.0,
                                   largest=2**31)
        worst = (D**1.5 * 2**31 / 2**constants.drop + D**0.5 / 2) ** 2 + constants.epsilon
        assert 2**59 < worst <= 2**62 + 1
        assert int(constants.gamma.abs().max()) < 2**15 and int(constants.table.max()) <= 2**14


def test_a_constant_row_gives_beta():
    constants = norm_constants(torch.ones(8), torch.arange(8.0), eps=0.0, input_unit=1.0, output_unit=0.5)
    assert integer_norm(torch.full((1, 8), 77), constants).tolist() == [[0, 2, 4, 6, 8, 10, 12, 14]]


def test_epsilon_counts_in_the_unit_of_the_input():
    x = torch.tensor([[1, -1, 2, -2]])
    constants = norm_constants(torch.ones(4), torch.zeros(4), eps=10.0, input_unit=0.5, output_unit=2.0**-12, bits=8)
    true = nnf.layer_norm(x.double() * 0.5, (4,), eps=10.0)
    assert (integer_norm(x, constants) * 2.0**-12 - true).abs().max() < 1e-3


def test_one_output_unit_for_each_channel():
    units = torch.tensor([2.0**-4, 2.0**-8, 0.01, 0.3], dtype=torch.float64)
    x = torch.tensor([[100, -300, 50, 7]])
    constants = norm_constants(torch.ones(4), torch.ones(4), eps=1e-5, input_unit=1.0, output_unit=units, bits=10)
    true = nnf.layer_norm(x.double(), (4,)) + 1
    assert bool(((integer_norm(x, constants) * units - true).abs() <= 0.01 + units).all())


def test_shifting_a_row_changes_nothing():
    x = torch.randint(-500, 500, (5, 16), generator=torch.Generator().manual_seed(0))
    constants = norm_constants(torch.ones(16), torch.zeros(16), eps=1e-5, input_unit=1.0, output_unit=2.0**-8)
    assert torch.equal(integer_norm(x, constants), integer_norm(x + 1234, constants))


def test_the_l1_norm_is_right_for_gaussian_rows_and_wrong_for_outliers():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20, 4096, generator=g, dtype=torch.float64)
    one, zero = torch.ones(4096, dtype=torch.float64), torch.zeros(4096, dtype=torch.float64)
    true = nnf.layer_norm(x, (4096,))
    assert (l1_norm(x, one, zero, 1e-12) - true).norm() / true.norm() < 0.02
    x[:, 5] += 300
    true = nnf.layer_norm(x, (4096,))
    assert (l1_norm(x, one, zero, 1e-12) - true).norm() / true.norm() > 1


def test_refusals():
    ones, zeros = torch.ones(4), torch.zeros(4)
    with pytest.raises(ValueError, match="finite"):
        norm_constants(ones * math.nan, zeros, eps=1e-5, input_unit=1.0, output_unit=1.0)
    with pytest.raises(ValueError, match="fit 32 bits"):
        norm_constants(ones, 1e9 * ones, eps=1e-5, input_unit=1.0, output_unit=2.0**-10)
    with pytest.raises(ValueError, match="bits"):
        norm_constants(ones, zeros, eps=1e-5, input_unit=1.0, output_unit=1.0, bits=13)
    constants = norm_constants(ones, zeros, eps=1e-5, input_unit=1.0, output_unit=1.0)
    with pytest.raises(TypeError, match="int64"):
        integer_norm(torch.ones(2, 4), constants)
