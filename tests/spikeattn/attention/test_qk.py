"""Q-K attention, computed by hand: which tokens or channels pass."""

import pytest
import torch

from spikeattn.attention import ChannelQKAttention, TokenQKAttention
from spikeattn.neurons import LIF
from spikeattn.testing import recorded_spikes

KINDS = [TokenQKAttention, ChannelQKAttention]


def transparent(kind, dim=4, heads=2, **options):
    """Projections that pass spikes on: q reads the first half of the channels, k all of them."""
    attention = kind(dim, heads, neuron=LIF(beta=0.0), **options).eval()
    for projection in (attention.q, attention.k, attention.proj):
        with torch.no_grad():
            projection.linear.weight.copy_(torch.eye(dim))
            projection.norm.weight.fill_((1 + projection.norm.eps) ** 0.5)
    return attention


def gated(attention, x):
    """What enters the output projection."""
    seen = []
    attention.proj.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    attention(x)
    return seen[0]


@torch.no_grad()
def test_a_token_passes_where_any_of_its_queries_in_the_head_spikes():
    attention = transparent(TokenQKAttention)
    attention.q.linear.weight[0] = 0  # the first query of the first head is silent
    x = torch.tensor([[[[1.0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]]]])  # T = B = 1, three tokens
    expected = torch.tensor([[[[0.0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]]]])
    assert torch.equal(gated(attention, x), expected)


@torch.no_grad()
def test_a_channel_passes_where_any_token_queries_it():
    attention = transparent(ChannelQKAttention)
    attention.q.linear.weight[3] = 0  # nobody queries the last channel
    x = torch.tensor([[[[1.0, 0, 0, 1], [1, 0, 1, 1]]]])
    expected = torch.tensor([[[[1.0, 0, 0, 0], [1, 0, 1, 0]]]])
    assert torch.equal(gated(attention, x), expected)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_the_threshold_of_the_gates_counts_query_spikes(kind):
    x = torch.ones(1, 1, 2, 4)  # two tokens, and two channels for each head: every gate adds two queries
    assert gated(transparent(kind, attn_threshold=2.0), x).min() == 1
    assert gated(transparent(kind, attn_threshold=2.5), x).max() == 0


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_gates_are_shared_over_the_axis_they_add_up(kind):
    torch.manual_seed(0)
    attention = kind(8, 2).eval()
    with recorded_spikes(attention) as spikes:
        attention((torch.rand(4, 3, 5, 8) < 0.3).float())
    shape = (4, 3, 2, 5, 1) if kind is TokenQKAttention else (4, 3, 2, 1, 4)
    assert spikes["attn_neuron"][0].shape == shape


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_refused(kind):
    with pytest.raises(ValueError, match="mask must be None, got .* no score"):
        kind(4, 2)(torch.ones(1, 1, 3, 4), mask=torch.ones(3, 3, dtype=torch.bool))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_the_closed_form(kind):
    assert sum(p.numel() for p in kind(16, 4).parameters()) == 3 * 16**2 + 7 * 16
    assert sum(p.numel() for p in kind(16, 4, bias=True).parameters()) == 3 * 16**2 + 9 * 16
