"""Softmax attention against its formula written out."""

import math

import pytest
import torch

from spikeattn.attention import SoftmaxAttention


def build(**options):
    torch.manual_seed(0)
    return SoftmaxAttention(12, 3, **options).double().eval()


def tokens(count=7):
    return torch.randn(2, 3, count, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def formula(attention, x, mask=None):
    q, k, v = (attention.split(layer(x)) for layer in (attention.q, attention.k, attention.v))
    scores = q @ k.mT / math.sqrt(12 / 3)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return attention.proj(attention.merge(scores.softmax(-1) @ v))


def test_it_equals_the_formula():
    attention, x = build(), tokens()
    out, state = attention(x)
    assert state is None
    assert (out - formula(attention, x)).abs().max() < 1e-12
    assert out.std() > 0.1


def test_masks_have_the_sense_of_sdpa():
    attention, x = build(), tokens()
    keys = torch.tensor([1, 1, 0, 1, 0, 1, 1], dtype=torch.bool).view(1, 1, 1, 1, 7)
    assert (attention(x, mask=keys)[0] - formula(attention, x, keys)).abs().max() < 1e-12
    changed = x.clone()
    changed[:, :, ~keys.flatten()] = 9.0
    seen = keys.flatten()
    assert torch.equal(attention(x, mask=keys)[0][:, :, seen], attention(changed, mask=keys)[0][:, :, seen])


@pytest.mark.parametrize("mask", (None, torch.tensor([1, 1, 0, 1, 1, 1, 0], dtype=torch.bool)))
def test_causal_sees_the_past_only(mask):
    attention, x = build(causal=True), tokens()
    changed = x.clone()
    changed[:, :, 4:] = torch.randn_like(changed[:, :, 4:])
    before, after = attention(x, mask=mask)[0], attention(changed, mask=mask)[0]
    assert torch.equal(before[:, :, :4], after[:, :, :4])
    assert (before - after)[:, :, 4:].abs().max() > 0.01
    visible = torch.ones(7, 7, dtype=torch.bool).tril() & (True if mask is None else mask)
    assert (before - formula(attention, x, visible)).abs().max() < 1e-12


def test_a_query_without_keys_gets_zero():
    attention, x = build(), tokens()
    out, _ = attention(x, mask=torch.zeros(7, dtype=torch.bool))
    assert torch.equal(out, attention.proj(torch.zeros_like(x)))


def test_time_steps_do_not_interact():
    attention, x = build(), tokens()
    assert torch.allclose(attention(x)[0][1:], attention(x[1:])[0], atol=1e-13)


def test_bias_adds_three_vectors():
    count = [sum(p.numel() for p in build(bias=bias).parameters()) for bias in (False, True)]
    assert count[1] - count[0] == 3 * 12


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="heads must divide dim, got dim=12, heads=5"):
        SoftmaxAttention(12, 5)
    with pytest.raises(ValueError, match=r"x must have shape \(T, B, N, D\) with T >= 1, got \(3, 7, 12\)"):
        build()(tokens()[0])
    with pytest.raises(ValueError, match="x must have 12 channels in its last axis, got 8"):
        build()(tokens()[..., :8])
    with pytest.raises(TypeError, match="mask must be boolean, True = may attend, got torch.float32"):
        build()(tokens(), mask=torch.zeros(7, 7))
