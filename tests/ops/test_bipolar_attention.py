"""Bipolar attention: equal to its three parts in values and gradients, for every mask and type."""

import pytest
import torch

from spikeattn.ops import bipolar_attention, shiftmax, shiftmax_exponents, ternary_matmul


def spikes(*shape, seed=0, dtype=torch.float64):
    return torch.randint(-1, 2, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def values(*shape, seed=7, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def operands(queries=5, keys=7, d=9, e=3, dtype=torch.float64):
    return spikes(2, 3, queries, d, dtype=dtype), spikes(2, 3, keys, d, seed=1, dtype=dtype), \
        values(2, 3, keys, e, dtype=dtype)


MASKS = {
    "none": None,
    "padding": torch.arange(7) < torch.tensor([4, 7])[:, None, None, None],
    "causal": torch.ones(5, 7, dtype=torch.bool).tril(2),
    "some rows empty": torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(8)) > 0.7,
}


@pytest.mark.parametrize("gradient", ["straight_through", "detached"])
@pytest.mark.parametrize("normaliser", ["ceil", "round"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_is_the_composition_of_its_parts(mask, normaliser, gradient):
    operand = [t.requires_grad_() for t in operands()]
    q, k, v = operand
    parts = shiftmax(ternary_matmul(q, k), mask, normaliser=normaliser, gradient=gradient) @ v
    whole = bipolar_attention(q, k, v, mask, normaliser=normaliser, gradient=gradient)
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=1e-12)
    g = values(*whole.shape, seed=9)
    ours, true = torch.autograd.grad(whole, operand, g), torch.autograd.grad(parts, operand, g)
    torch.testing.assert_close(ours, true, rtol=1e-12, atol=1e-12)
    assert all(grad.abs().max() > 0 for grad in ours)


def test_is_a_sum_of_shifted_values():
    q, k, v = operands()
    n = shiftmax_exponents(ternary_matmul(q, k))
    shifted = (v.unsqueeze(-3) * 2.0 ** -n.double().unsqueeze(-1)).sum(-2)  # (2, 3, N, M, e) summed over keys
    torch.testing.assert_close(bipolar_attention(q, k, v), shifted, rtol=1e-12, atol=1e-12)


def test_ternary_values_are_summed_exactly_in_float32():
    q, k, v = spikes(6, 8, dtype=torch.float32), spikes(7, 8, seed=1, dtype=torch.float32), spikes(7, 4, seed=2)
    assert torch.equal(bipolar_attention(q, k, v.float()).double(), bipolar_attention(q.double(), k.double(), v))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_type_of_the_values(dtype):
    q, k, v = operands(dtype=dtype)
    out = bipolar_attention(q, k, v.requires_grad_())
    out.sum().backward()
    assert out.dtype == dtype and v.grad.dtype == dtype
    torch.testing.assert_close(out.double(), bipolar_attention(q.double(), k.double(), v.double()),
                               rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)


def test_integer_spikes_and_values():
    q, k = spikes(4, 5, dtype=torch.int8), spikes(6, 5, seed=1, dtype=torch.int8)
    v = values(6, 2, dtype=torch.float32).requires_grad_()
    out = bipolar_attention(q, k, v)
    torch.testing.assert_close(out, bipolar_attention(q.float(), k.float(), v))
    out.sum().backward()
    assert v.grad.abs().max() > 0
    assert bipolar_attention(q, k, torch.ones(6, 2, dtype=torch.int32)).dtype == torch.float32


def test_autocast_does_not_round():
    q, k, v = operands(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = bipolar_attention(q, k, v)
    assert torch.equal(inside, bipolar_attention(q, k, v))


def test_leading_axes_broadcast_with_gradients():
    q, k, v = (t.requires_grad_() for t in (spikes(2, 1, 4, 5), spikes(3, 6, 5, seed=1), values(6, 2)))
    full = [t.expand(2, 3, *t.shape[-2:]) for t in (q, k, v)]
    out = bipolar_attention(q, k, v)
    assert out.shape == (2, 3, 4, 2)
    g = values(*out.shape, seed=3)
    ours = torch.autograd.grad(out, (q, k, v), g)
    torch.testing.assert_close(ours, torch.autograd.grad(bipolar_attention(*full), (q, k, v), g))


def test_silent_queries_average_and_excluded_rows_are_zero():
    q, k, v = torch.zeros(2, 4), spikes(4, 4, dtype=torch.float32), torch.tensor([[1.0], [2.0], [3.0], [6.0]])
    assert bipolar_attention(q, k, v).tolist() == [[3.0], [3.0]]
    mask = torch.tensor([[False] * 4, [True, False, False, False]])
    assert bipolar_attention(q, k, v, mask).tolist() == [[0.0], [1.0]]


def test_saved_for_backward_is_linear_in_the_tokens():
    """No N x M array is kept between forward and backward."""
    q, k, v = (torch.ones(1, 300, 4).requires_grad_() for _ in range(3))
    sizes = []

    def keep(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        bipolar_attention(q, k, v)
    assert sizes and max(sizes) <= 300 * 4


def test_fires_on_ternary_spikes_only():
    q, k, v = operands()
    with pytest.raises(ValueError, match="q must hold spikes"):
        bipolar_attention(q + 0.25, k, v)


@pytest.mark.parametrize("change, error, words", [
    (dict(v=torch.zeros(2, 3, 6, 3)), ValueError, "one row for each of the M >= 1 keys"),
    (dict(k=torch.zeros(2, 3, 7, 8)), ValueError, "the same d, got 9 and 8"),
    (dict(q=torch.zeros(9)), ValueError, "q must be"),
    (dict(v=torch.zeros(5, 3, 7, 3)), ValueError, "leading axes must broadcast"),
    (dict(v=torch.zeros(2, 3, 7, 3, dtype=torch.complex64)), TypeError, "real type"),
    (dict(mask=torch.ones(5, 7)), TypeError, "must be boolean"),
    (dict(mask=torch.ones(5, 6, dtype=torch.bool)), ValueError, "must broadcast"),
    (dict(normaliser="floor"), ValueError, "normaliser must be one of"),
    (dict(gradient="none"), ValueError, "gradient one of"),
    (dict(k=torch.zeros(2, 3, 0, 9), v=torch.zeros(2, 3, 0, 3)), ValueError, "M >= 1"),
])
def test_errors_say_what_to_do(change, error, words):
    q, k, v = operands()
    with pytest.raises(error, match=words):
        bipolar_attention(**{"q": q, "k": k, "v": v, **change})
