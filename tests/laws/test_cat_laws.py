"""Laws of circular-convolutional attention, each with its bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.ops.circular import (
    CAUSAL_SPREAD_LIMIT,
    ORIENTATIONS,
    causal_matmul,
    causal_matmul_fft,
    causal_matmul_gather,
    causal_spread,
    circulant,
    circulant_matmul,
    circulant_matmul_gather,
)

TOKENS = (1, 2, 33, 256)
cases = pytest.mark.parametrize("orientation", ORIENTATIONS)
sizes = pytest.mark.parametrize("tokens", TOKENS)


def draw(tokens, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(2, 3, tokens, generator=generator, dtype=dtype)
    values = torch.randn(2, 3, tokens, 5, generator=generator, dtype=dtype)
    return z, values


def by_hand(row, values, sign):
    """The defining sum, entry by entry: sign +1 is corr, -1 is conv."""
    tokens = row.shape[-1]
    return torch.stack(
        [sum(row[sign * (j - i) % tokens] * values[j] for j in range(tokens)) for i in range(tokens)]
    )


@pytest.mark.parametrize(("orientation", "sign"), [("corr", 1), ("conv", -1)])
@pytest.mark.parametrize("tokens", (1, 2, 7, 33))
def test_each_orientation_equals_its_defining_sum(orientation, sign, tokens):
    z, values = draw(tokens)
    expected = by_hand(z[0, 0], values[0, 0], sign)
    for form in (circulant_matmul, circulant_matmul_gather):
        assert (form(z[0, 0], values[0, 0], orientation) - expected).abs().max() <= 1e-12


@cases
@sizes
def test_fft_equals_gather(orientation, tokens):
    z, values = draw(tokens)
    weights = z.softmax(-1)
    difference = circulant_matmul(weights, values, orientation) - circulant_matmul_gather(
        weights, values, orientation
    )
    assert difference.abs().max() <= 1e-12


def test_the_orientations_differ():
    z, values = draw(33)
    weights = z.softmax(-1)
    corr, conv = (circulant_matmul(weights, values, orientation) for orientation in ORIENTATIONS)
    assert (corr - conv).abs().max() > 0.1


@cases
@sizes
def test_rows_and_columns_sum_to_one(orientation, tokens):
    matrix = circulant(draw(tokens)[0].softmax(-1), orientation)
    assert (matrix.sum(-1) - 1).abs().max() <= 1e-12
    assert (matrix.sum(-2) - 1).abs().max() <= 1e-12


@cases
@sizes
def test_the_mean_over_tokens_is_that_of_the_values(orientation, tokens):
    z, values = draw(tokens)
    out = circulant_matmul(z.softmax(-1), values, orientation)
    assert (out.mean(-2) - values.mean(-2)).abs().max() <= 1e-12


@cases
@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_softmax_of_rows_is_the_circulant_of_the_softmax(orientation, seed, tokens):
    z, _ = draw(tokens, seed)
    difference = circulant(z, orientation).softmax(-1) - circulant(z.softmax(-1), orientation)
    assert difference.abs().max() <= 1e-12


@given(seed=st.integers(0, 10**6), tokens=st.integers(2, 40), shift=st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_a_cyclic_shift_of_the_input_leaves_corr_and_moves_conv_twice(seed, tokens, shift):
    z, values = draw(tokens, seed)
    weights = z.softmax(-1)
    rolled = weights.roll(shift, -1), values.roll(shift, -2)
    corr, conv = (circulant_matmul(weights, values, orientation) for orientation in ORIENTATIONS)
    assert (circulant_matmul(*rolled, "corr") - corr).abs().max() <= 1e-12
    assert (circulant_matmul(*rolled, "conv") - conv.roll(2 * shift, -2)).abs().max() <= 1e-12


def within(spread, tokens=512, dtype=torch.float64):
    """Scores whose causal spread R is exactly `spread`."""
    z, values = draw(tokens, 3, dtype)
    z = z - z.amax(-1, keepdim=True)
    z[..., 0] = -spread
    return z, values


@pytest.mark.parametrize("spread", (0.0, 2.0, 4.0))
def test_causal_fft_equals_dense(spread):
    z, values = within(spread)
    assert (causal_matmul_fft(z, values) - causal_matmul_gather(z, values)).abs().max() <= 1e-11


@pytest.mark.parametrize("form", (causal_matmul, causal_matmul_fft, causal_matmul_gather))
def test_nothing_leaks_from_the_future(form):
    z, values = within(3.0, 64)
    changed_z, changed_values = z.clone(), values.clone()
    changed_z[..., 40:] -= torch.rand_like(z[..., 40:])
    changed_values[..., 40:, :] = torch.randn_like(values[..., 40:, :])
    before, after = form(z, values), form(changed_z, changed_values)
    assert (before - after)[..., :40, :].abs().max() <= 1e-10
    assert (before - after)[..., 40:, :].abs().max() > 0.01


def test_every_causal_row_is_a_softmax_of_its_visible_prefix():
    z, _ = draw(9)
    matrix = causal_matmul_gather(z, torch.eye(9, dtype=torch.float64).expand(2, 3, 9, 9))
    for i in range(9):
        assert torch.allclose(matrix[..., i, : i + 1].flip(-1), z[..., : i + 1].softmax(-1), atol=1e-14)
    assert matrix.triu(1).abs().max() == 0


@pytest.mark.parametrize("dtype", tuple(CAUSAL_SPREAD_LIMIT))
def test_the_guard_uses_the_fft_up_to_the_limit_and_builds_the_matrix_beyond(dtype):
    limit = CAUSAL_SPREAD_LIMIT[dtype]
    z, values = within(limit, 64, dtype)
    assert torch.equal(causal_matmul(z, values), causal_matmul_fft(z, values))
    z, values = within(limit + 0.5, 64, dtype)
    assert torch.equal(causal_matmul(z, values), causal_matmul_gather(z, values))


def test_beyond_the_limit_the_fft_form_is_useless_and_the_guarded_form_is_right():
    z, values = within(60.0, 64, torch.float32)
    exact = causal_matmul_gather(z.double(), values.double())
    assert (causal_matmul_fft(z, values) - exact).abs().max() > 1
    assert (causal_matmul(z, values) - exact).abs().max() < 1e-5


def test_the_spread_that_matters_is_measured_from_the_first_token():
    z, values = within(0.0)
    z[..., 1:] *= 100  # a range of hundreds of nats, all below z[0]
    assert causal_spread(z).max() == 0
    assert (causal_matmul_fft(z, values) - causal_matmul_gather(z, values)).abs().max() <= 1e-11
