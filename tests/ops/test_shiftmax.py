"""Shiftmax as an op: golden rows, weights, masks, the two backward rules, and errors that say what to do."""

import math
from fractions import Fraction

import pytest
import torch

from spikeattn.ops import shiftmax, shiftmax_exponents
from spikeattn.ops.shiftmax import pack_exponents, unpack_exponents
from spikeattn.ops.shiftmax.reference import power_of_two

MASKED = 2**31 - 1

# One row, gamma - n is the row itself; the masses are the rationals of the definition.
GOLDEN = [
    ([5], [0], Fraction(1)),
    ([0, 0], [1, 1], Fraction(1)),
    ([1, 0], [1, 2], Fraction(3, 4)),
    ([3, 1, -2], [1, 3, 6], Fraction(41, 64)),
    ([2, 2, 1, 0], [2, 2, 3, 4], Fraction(11, 16)),
    ([4, 4, 4, 4], [2, 2, 2, 2], Fraction(1)),
    ([10, 9, 9, 8, 8], [2, 3, 3, 4, 4], Fraction(5, 8)),
    ([0] * 196, [8] * 196, Fraction(49, 64)),
    ([0, -25], [1, 26], Fraction(1, 2) + Fraction(1, 2**26)),
    ([0, -60], [1, 61], Fraction(1, 2) + Fraction(1, 2**61)),
    ([0, -100_000], [1, 100_001], Fraction(1, 2) + Fraction(1, 2**100_001)),
]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32, torch.float64])
@pytest.mark.parametrize("row, exponents, mass", GOLDEN, ids=[str(row)[:24] for row, *_ in GOLDEN])
def test_golden_rows(row, exponents, mass, dtype):
    n = shiftmax_exponents(torch.tensor(row, dtype=dtype))
    assert n.dtype == torch.int32 and n.tolist() == exponents
    assert sum(Fraction(1, 2**k) for k in n.tolist()) == mass


@pytest.mark.parametrize("dtype, smallest", [
    (torch.float16, 24), (torch.bfloat16, 133), (torch.float32, 149), (torch.float64, 1074),
])
def test_powers_of_two_are_exact_down_to_the_smallest_number(dtype, smallest):
    n = torch.arange(smallest + 3)
    exact = torch.tensor([2.0**-k for k in range(smallest + 1)] + [0.0, 0.0], dtype=torch.float64).to(dtype)
    assert torch.equal(power_of_two(n, dtype), exact)
    assert power_of_two(torch.tensor(MASKED), dtype) == 0


@pytest.mark.parametrize("scores, weights", [
    (torch.int8, torch.float32), (torch.uint8, torch.float32), (torch.float16, torch.float32),
    (torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64),
])
def test_weights_are_float32_or_wider(scores, weights):
    y = shiftmax(torch.tensor([3, 1, 0], dtype=scores))
    assert y.dtype == weights and y.tolist() == [0.5, 0.125, 0.0625]


def test_other_types_on_request():
    row = torch.tensor([0, -25])
    assert shiftmax(row, dtype=torch.float16).tolist() == [0.5, 0.0]
    assert shiftmax(row.double(), dtype=torch.bfloat16).tolist() == [0.5, 2**-26]
    assert shiftmax(torch.tensor([0, -200])).tolist() == [0.5, 0.0]


def test_float32_weights_of_a_peaked_row_sum_to_one_half():
    assert float(shiftmax(torch.tensor([0, -25])).sum()) == 0.5


def test_nearest_power_of_two():
    assert shiftmax_exponents(torch.tensor([0, -2]), normaliser="round").tolist() == [0, 2]
    assert shiftmax_exponents(torch.tensor([0, -1]), normaliser="round").tolist() == [1, 2]  # a tie goes up
    assert float(shiftmax(torch.tensor([0, -2]), normaliser="round").sum()) == 1.25


def test_saturated_scores_are_finite():
    """d = 64 channels that all fire: 2**64 is far beyond float16."""
    scores = torch.full((3, 196), 64, dtype=torch.float16)
    assert (shiftmax(scores) == 2**-8).all()
    assert (shiftmax(scores, dtype=torch.float16) == 2**-8).all()


def test_masks_broadcast_and_may_be_views():
    scores = torch.randint(-9, 10, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    keys = torch.tensor([[True, True, False, True, False], [False, True, True, True, True]])
    full = keys[:, None, None, :].expand(2, 3, 4, 5)
    small = shiftmax_exponents(scores, keys[:, None, None, :])
    assert torch.equal(small, shiftmax_exponents(scores, full))
    assert torch.equal(small, shiftmax_exponents(scores, full.contiguous()))
    transposed = scores.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert torch.equal(small, shiftmax_exponents(transposed, full))


def test_rows_without_keys_are_zero():
    y = shiftmax(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[False, False], [False, True]]))
    assert y.tolist() == [[0, 0], [0, 1]]


def test_masked_keys_may_hold_anything():
    row = torch.tensor([1.0, float("nan"), float("-inf"), 0.0])
    keep = torch.tensor([True, False, False, True])
    assert shiftmax(row, keep).tolist() == [0.5, 0.0, 0.0, 0.25]


def test_no_rows():
    assert shiftmax(torch.zeros(0, 3)).shape == (0, 3)
    assert shiftmax_exponents(torch.zeros(2, 0, 3)).shape == (2, 0, 3)


def smooth(x, delta):
    """2**(x - log2 S - delta): Shiftmax with its ceiling replaced by a constant distance delta."""
    log2_sum = torch.logsumexp(x * math.log(2), -1, keepdim=True) / math.log(2)
    return torch.exp2(x - log2_sum - delta)


def peaked_and_flat():
    return torch.randint(-6, 7, (4, 5, 7), generator=torch.Generator().manual_seed(1)).double()


def jacobian(x, **options):
    return torch.func.vmap(torch.func.jacrev(lambda row: shiftmax(row, **options)))(x.flatten(0, -2))


def test_straight_through_rule_is_the_smooth_form():
    x = peaked_and_flat().requires_grad_()
    total = torch.exp2(x.detach()).sum(-1, keepdim=True)
    delta = torch.ceil(torch.log2(total)) - torch.log2(total)
    g = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda x: smooth(x, delta), x)
    (ours,) = torch.autograd.grad(shiftmax(x), x, g)
    (true,) = torch.autograd.grad(smooth(x, delta), x, g)
    assert torch.allclose(shiftmax(x), smooth(x, delta), rtol=1e-12)
    torch.testing.assert_close(ours, true, rtol=1e-10, atol=1e-12)
    assert ours.abs().max() > 0.01


def test_straight_through_rule_keeps_the_mass():
    jac = jacobian(peaked_and_flat())
    assert jac.sum(1).abs().max() < 1e-14
    assert jac.abs().amax((1, 2)).min() > 0


def test_detached_rule_has_no_competition():
    x = peaked_and_flat().requires_grad_()
    g = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    through_ceil = torch.exp2(x - torch.ceil(torch.log2(torch.exp2(x).sum(-1, keepdim=True))))
    (true,) = torch.autograd.grad(through_ceil, x, g)
    (ours,) = torch.autograd.grad(shiftmax(x, gradient="detached"), x, g)
    torch.testing.assert_close(ours, true, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gradient", ["straight_through", "detached"])
def test_masked_keys_get_no_gradient(gradient):
    x = peaked_and_flat().requires_grad_()
    keep = torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) > 0.4
    keep[0, 0] = False
    g = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    (dx,) = torch.autograd.grad(shiftmax(x, keep, gradient=gradient), x, g)
    assert (dx[~keep] == 0).all() and dx[keep].abs().max() > 0 and dx.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gradient_has_the_type_of_the_scores(dtype):
    x = torch.tensor([2.0, 1.0, 0.0], dtype=dtype, requires_grad=True)
    shiftmax(x)[0].backward()
    assert x.grad.dtype == dtype and x.grad.abs().max() > 0


def test_packed_exponents_are_bytes():
    n = shiftmax_exponents(torch.tensor([3, 1, -2, 0]), torch.tensor([True, True, True, False]))
    packed = pack_exponents(n)
    assert packed.dtype == torch.uint8 and packed.tolist() == [1, 3, 6, 255]
    assert torch.equal(unpack_exponents(packed), n)
    with pytest.raises(ValueError, match="at most 254, got 301"):
        pack_exponents(shiftmax_exponents(torch.tensor([0, -300])))


@pytest.mark.parametrize("call, error, words", [
    (lambda: shiftmax(torch.tensor([0.5, 1.0])), ValueError, "must be integers"),
    (lambda: shiftmax(torch.tensor([0.0, float("nan")])), ValueError, "NaN"),
    (lambda: shiftmax(torch.tensor([0.0, float("-inf")])), ValueError, "exclude keys with mask="),
    (lambda: shiftmax(torch.tensor([0.0, 1e30])), ValueError, "at most 2\\*\\*62"),
    (lambda: shiftmax_exponents(torch.tensor([0.5, 1.0])), ValueError, "must be integers"),
    (lambda: shiftmax(torch.tensor(1)), ValueError, r"\(\.\.\., N, M\)"),
    (lambda: shiftmax(torch.zeros(3, 0)), ValueError, "at least one key"),
    (lambda: shiftmax(torch.tensor([True])), TypeError, "bool"),
    (lambda: shiftmax(torch.zeros(2, 3), torch.ones(3)), TypeError, "must be boolean"),
    (lambda: shiftmax(torch.zeros(2, 3), torch.ones(2, dtype=torch.bool)), ValueError, "must broadcast"),
    (lambda: shiftmax(torch.zeros(3), torch.ones(2, 3, dtype=torch.bool)), ValueError, "must broadcast"),
    (lambda: shiftmax(torch.zeros(2), normaliser="floor"), ValueError, "'ceil', 'round'"),
    (lambda: shiftmax(torch.zeros(2), gradient="none"), ValueError, "'straight_through', 'detached'"),
    (lambda: shiftmax(torch.zeros(2), dtype=torch.int32), ValueError, "dtype must be one of"),
])
def test_errors_say_what_to_do(call, error, words):
    with pytest.raises(error, match=words):
        call()
