"""Alpha-XNOR similarity against its definition, pair by pair."""

import pytest
import torch

from spikeattn.attention import AlphaXNORAttention, SpikingSelfAttention
from spikeattn.neurons import ILIF, TernaryLIF


def pair(q, k, alpha):
    return sum(1.0 if a and b else alpha if not a and not b else 0.0
               for a, b in zip(q.tolist(), k.tolist(), strict=True))


@pytest.mark.parametrize("alpha", [0.0, 1 / 64, 0.25])
def test_similarity_is_its_definition(alpha):
    attention = AlphaXNORAttention(16, 2, alpha=alpha)
    q, k = torch.randint(0, 2, (5, 8)).double(), torch.randint(0, 2, (3, 8)).double()
    expected = torch.tensor([[pair(row, column, alpha) for column in k] for row in q], dtype=torch.float64)
    assert torch.equal(attention.similarity(q, k), expected)


@torch.no_grad()
def test_alpha_0_is_spiking_self_attention():
    torch.manual_seed(0)
    ours, theirs = AlphaXNORAttention(16, 2, alpha=0.0).eval(), SpikingSelfAttention(16, 2).eval()
    theirs.load_state_dict(ours.state_dict())
    x = (torch.rand(4, 2, 6, 16) < 0.3).float()
    assert torch.equal(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("tokens", [16, 64, 196])
def test_the_mean_current_starts_at_the_threshold(tokens):
    attention = AlphaXNORAttention(64, 2)
    rate = attention.start_rate(tokens)
    expected = 0.125 * tokens * 32 * rate * (rate**2 + (1 - rate) ** 2 / 64)
    assert expected == pytest.approx(0.5, rel=1e-3) or rate == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize("neuron", [TernaryLIF(), ILIF()])
def test_neurons_without_silence_are_refused(neuron):
    with pytest.raises(ValueError, match="neuron must send 0 or 1, got the"):
        AlphaXNORAttention(16, 2, neuron=neuron)


@pytest.mark.parametrize("alpha", [-0.1, 1.0])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must lie in"):
        AlphaXNORAttention(16, 2, alpha=alpha)
