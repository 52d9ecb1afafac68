"""The product of spikes: exact in every type, with the gradients of a product."""

import pytest
import torch

from spikeattn.ops import ternary_matmul


def spikes(*shape, seed=0, dtype=torch.float32):
    return torch.randint(-1, 2, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("q_type, k_type, score_type", [
    (torch.float32, torch.float32, torch.float32), (torch.float16, torch.float16, torch.float32),
    (torch.bfloat16, torch.bfloat16, torch.float32), (torch.float64, torch.float32, torch.float64),
    (torch.int8, torch.int8, torch.int32), (torch.int8, torch.bfloat16, torch.float32),
    (torch.uint8, torch.int64, torch.int32),
])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 700), (2, 33, 64)])
def test_equals_the_float64_product(q_type, k_type, score_type, shape):
    batch, tokens, d = shape
    q = spikes(batch, tokens, d).abs().to(q_type) if q_type == torch.uint8 else spikes(batch, tokens, d, dtype=q_type)
    k = spikes(batch, tokens + 1, d, seed=1, dtype=k_type)
    scores = ternary_matmul(q, k)
    assert scores.dtype == score_type
    assert torch.equal(scores.double(), q.double() @ k.double().mT)


def test_exact_under_autocast():
    q, k = spikes(4, 700), torch.ones(5, 700)
    q[0] = 1
    q[0, 0] = 0  # 699 is no bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = ternary_matmul(q, k)
    assert scores.dtype == torch.float32 and torch.equal(scores, q @ k.mT) and scores[0, 0] == 699


def test_graded_levels_and_leading_axes():
    q = torch.randint(-4, 5, (2, 1, 6, 8), generator=torch.Generator().manual_seed(0)).float()
    k = torch.randint(0, 5, (3, 7, 8), generator=torch.Generator().manual_seed(1)).float()
    assert torch.equal(ternary_matmul(q, k), q @ k.mT)
    assert ternary_matmul(q, k).shape == (2, 3, 6, 7)


@pytest.mark.parametrize("broadcast", [False, True])
def test_gradients_are_those_of_a_product(broadcast):
    q = spikes(2, 3, 4, 5, dtype=torch.float64).requires_grad_()
    k = spikes(*(() if broadcast else (2, 3)), 6, 5, seed=1, dtype=torch.float64).requires_grad_()
    g = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ours = torch.autograd.grad(ternary_matmul(q, k), (q, k), g)
    true = torch.autograd.grad(q @ k.mT, (q, k), g)
    torch.testing.assert_close(ours, true, rtol=1e-12, atol=1e-12)


def test_gradient_has_the_type_of_its_operand():
    q, k = spikes(3, 4, dtype=torch.bfloat16).requires_grad_(), spikes(5, 4, dtype=torch.float64).requires_grad_()
    ternary_matmul(q, k).sum().backward()
    assert (q.grad.dtype, k.grad.dtype) == (torch.bfloat16, torch.float64)


@pytest.mark.parametrize("q, k, error, words", [
    (torch.zeros(3), torch.zeros(3, 3), ValueError, "q must be"),
    (torch.zeros(3, 4), torch.zeros(3, 5), ValueError, "the same d, got 4 and 5"),
    (torch.zeros(2, 3, 4), torch.zeros(3, 3, 4), ValueError, "leading axes must broadcast"),
    (torch.full((1, 4), 0.5), torch.zeros(1, 4), ValueError, "q must hold spikes"),
    (torch.zeros(1, 4), torch.full((1, 4), float("nan")), ValueError, "k must hold spikes"),
    (torch.full((1, 4), 1e4), torch.full((1, 4), 1e4), ValueError, "to be exact"),
    (torch.full((1, 4), float("inf")), torch.ones(1, 4), ValueError, "to be exact"),
    (torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 4), TypeError, "bool"),
])
def test_errors_say_what_to_do(q, k, error, words):
    with pytest.raises(error, match=words):
        ternary_matmul(q, k)
