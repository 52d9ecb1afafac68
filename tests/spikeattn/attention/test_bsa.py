"""Bipolar self-attention: by hand, against a plain loop, and its options."""

import math

import pytest
import torch

from spikeattn.attention import (
    BatchFirst,
    BipolarSelfAttention,
    SpikeDrivenBipolarSelfAttention,
    TernarySoftmaxAttention,
)
from spikeattn.attention.bsa import round_straight_through
from spikeattn.neurons import ILIF, LIF, PLIF, SignedILIF, TernaryLIF, TernaryPLIF
from spikeattn.testing import firing_rates, recorded_spikes


def plain_mix(q, k, v):
    """Rows one by one with Python numbers: 2 to the power (score - gamma), gamma = ceil(log2 of the row's sum)."""
    out = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=torch.float64)
    for i, query in enumerate(q.tolist()):
        scores = [int(sum(a * b for a, b in zip(query, key, strict=True))) for key in k.tolist()]
        lowest = min(scores)
        total = sum(2 ** (score - lowest) for score in scores)  # an exact integer
        gamma = lowest + (total - 1).bit_length()
        for score, value in zip(scores, v.double(), strict=True):
            out[i] += 2.0 ** (score - gamma) * value
    return out


def test_core_is_the_stated_equation():
    q, k = (torch.randint(-1, 2, (6, 8)).float() for _ in range(2))
    v = torch.randn(6, 8, dtype=torch.float64)
    attention = BipolarSelfAttention(8, 1)
    ours = attention.mix(q.double(), k.double(), v, None)
    torch.testing.assert_close(ours, plain_mix(q, k, v), rtol=1e-12, atol=1e-12)


def test_two_tokens_by_hand():
    q = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    k = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    v = torch.tensor([[4.0], [8.0]])
    # row 0: scores 2, -2; sum 4.25, gamma 3; weights 1/2, 1/32.   row 1: scores 0, 0; sum 2, gamma 1; 1/2 each
    assert BipolarSelfAttention(2, 1).mix(q, k, v, None).tolist() == [[2.25], [6.0]]


def test_whole_module_is_its_parts():
    torch.manual_seed(1)
    layer = BipolarSelfAttention(16, 2).double().eval()
    x = (torch.rand(3, 2, 5, 16) < 0.3).double()
    q, k = (neuron(projection(x))[0] for neuron, projection in ((layer.q_neuron, layer.q), (layer.k_neuron, layer.k)))
    v = layer.v(x)
    current = torch.zeros_like(v)
    for t in range(3):
        for b in range(2):
            for head in (slice(0, 8), slice(8, 16)):
                current[t, b, :, head] = plain_mix(*(y[t, b, :, head] for y in (q, k, v)))
    spikes, _ = layer.attn_neuron(current)
    assert set(q.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert 0 < spikes.count_nonzero() < spikes.numel()
    torch.testing.assert_close(layer(x)[0], layer.proj(spikes))


def test_no_key_to_attend_to_gives_nothing():
    layer = BipolarSelfAttention(8, 2).eval()
    q = torch.randint(-1, 2, (1, 1, 2, 4, 4)).float()
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2] = False
    out = layer.mix(q, q, torch.randn(1, 1, 2, 4, 4), mask)
    assert out[..., 2, :].count_nonzero() == 0
    assert out[..., 1, :].count_nonzero() > 0


@pytest.mark.parametrize(("given", "signed"), [(LIF, TernaryLIF), (PLIF(3.0), TernaryPLIF), (ILIF(2), SignedILIF)])
def test_neurons_on_scores_are_the_signed_form_of_the_host(given, signed):
    layer = BipolarSelfAttention(8, 2, neuron=given)
    assert [type(n) for n in (layer.q_neuron, layer.k_neuron, layer.attn_neuron)] == [signed] * 3
    assert layer.v_neuron is None
    assert (layer.q_neuron.threshold, layer.attn_neuron.threshold) == (1.0, 0.5)
    assert type(SpikeDrivenBipolarSelfAttention(8, 2, neuron=given).v_neuron) is signed


def test_scaled_scores_are_rounded_and_pass_gradient():
    q = torch.randint(-1, 2, (1, 1, 1, 6, 16)).float()
    v = torch.randn(1, 1, 1, 6, 16)
    scaled = BipolarSelfAttention(16, 1, score_scale=0.25)
    weights = scaled.mix(q, q, torch.eye(6).expand(1, 1, 1, 6, 6), None)
    assert torch.equal(weights.log2(), weights.log2().round()), "weights stay powers of two"
    unscaled = BipolarSelfAttention(16, 1)
    one = BipolarSelfAttention(16, 1, score_scale=1.0)
    torch.testing.assert_close(one.mix(q, q, v, None), unscaled.mix(q, q, v, None))
    learnable = BipolarSelfAttention(16, 1, score_scale="learnable")
    assert learnable.score_scale.item() == pytest.approx(1 / math.sqrt(16))
    learnable.mix(q, q, v, None).square().sum().backward()
    assert learnable.score_scale.grad.isfinite() and learnable.score_scale.grad != 0


def test_rounding_has_the_gradient_of_the_identity():
    x = torch.tensor([0.4, 0.5, 1.5, -0.6], requires_grad=True)
    y = round_straight_through(x)
    y.sum().backward()
    assert y.tolist() == [0, 0, 2, -1]
    assert x.grad.tolist() == [1, 1, 1, 1]


def test_softmax_control_differs_only_in_its_normaliser():
    q = torch.randint(-1, 2, (1, 1, 2, 5, 4)).double()
    v = torch.randn(1, 1, 2, 5, 4).double()
    layer = TernarySoftmaxAttention(8, 2)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    torch.testing.assert_close(layer.mix(q, q, v, None), (q @ q.mT).softmax(-1) @ v)
    expected = (q @ q.mT).masked_fill(~mask, -torch.inf).softmax(-1) @ v
    torch.testing.assert_close(layer.mix(q, q, v, mask), expected)
    assert dict(layer.named_parameters()).keys() == dict(BipolarSelfAttention(8, 2).named_parameters()).keys()


@pytest.mark.parametrize("kind", [BipolarSelfAttention, SpikeDrivenBipolarSelfAttention, TernarySoftmaxAttention])
@pytest.mark.parametrize(("dim", "heads", "tokens"), [(32, 2, 16), (64, 4, 16), (96, 3, 64), (128, 2, 196)])
def test_every_neuron_fires_at_initialisation(kind, dim, heads, tokens):
    layer = kind(dim, heads, neuron=LIF.from_tau(2.0))
    layer.init_firing(tokens, 1.0)
    x = (torch.rand(4, 2, tokens, dim) < 0.2).float()
    for training in (True, False):
        with recorded_spikes(layer.train(training)) as record:
            layer(x)
        assert all(0.01 <= rate <= 0.9 for rate in firing_rates(record).values()), firing_rates(record)


def test_batch_first_is_one_step():
    layer = BipolarSelfAttention(8, 2).eval()
    x = torch.randn(3, 5, 8)
    assert torch.equal(BatchFirst(layer)(x), layer(x.unsqueeze(0))[0][0])
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    assert torch.equal(BatchFirst(layer)(x, mask), layer(x.unsqueeze(0), mask=mask)[0][0])
    with pytest.raises(ValueError, match=r"\(B, N, D\), got \(1, 3, 5, 8\)"):
        BatchFirst(layer)(x.unsqueeze(0))
