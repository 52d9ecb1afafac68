"""Spike-driven self-attention against its equations written as loops."""

import pytest
import torch

from spikeattn.attention import SpikeDrivenSelfAttention
from spikeattn.attention.sdsa import thicken
from spikeattn.neurons import LIF

GRID, DIM, HEADS = (2, 3), 8, 2


def spikes(*shape, rate=0.4, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def neighbourhood(x):
    """Maxima over 3x3 of the last two axes, cell by cell."""
    out = torch.empty_like(x)
    for i in range(x.shape[-2]):
        for j in range(x.shape[-1]):
            out[..., i, j] = x[..., max(i - 1, 0):i + 2, max(j - 1, 0):j + 2].amax((-2, -1))
    return out


def in_the_picture(x):
    """Maxima over the 3x3 neighbours of each token."""
    return neighbourhood(x.mT.unflatten(-1, GRID)).flatten(-2).mT


def test_thicken_takes_the_neighbours_in_the_picture():
    x = spikes(2, 1, 6, DIM)
    assert torch.equal(thicken(x, GRID), in_the_picture(x))


@pytest.mark.parametrize("erode", ["", "kv", "qkv"])
@torch.no_grad()
def test_a_channel_passes_where_keys_and_values_fired_together(erode):
    torch.manual_seed(0)
    attention = SpikeDrivenSelfAttention(DIM, HEADS, neuron=LIF.from_tau(2.0), erode=erode).eval()
    x = spikes(3, 2, 6, DIM)
    parts = {}
    for name in ("q_neuron", "k_neuron", "v_neuron"):
        getattr(attention, name).register_forward_hook(lambda m, i, o, name=name: parts.update({name[0]: o[0]}))
    attention.proj.register_forward_pre_hook(lambda m, inputs: parts.update(gated=inputs[0]))
    attention(x, grid=GRID)
    q, k, v = ((in_the_picture if name in erode else torch.clone)(parts[name]) for name in "qkv")
    width = DIM // HEADS
    met = k * v
    if erode:  # in the plane of tokens and channels of one head
        met = torch.cat([neighbourhood(head) for head in met.split(width, -1)], -1)
    membrane, expected = torch.zeros(2, DIM), []
    for t in range(3):
        membrane = membrane + (met[t].sum(1) - membrane) / 2
        gate = (membrane >= 0.5).float()
        membrane = membrane * (1 - gate)
        expected.append(q[t] * gate[:, None])
    expected = torch.stack(expected)
    if erode:
        expected = torch.cat([neighbourhood(head) for head in expected.split(width, -1)], -1)
    assert 0 < expected.mean() < 1
    assert torch.equal(parts["gated"], expected)


def test_what_it_cannot_do_is_said():
    x = spikes(1, 1, 6, DIM)
    with pytest.raises(ValueError, match="erode must be one of"):
        SpikeDrivenSelfAttention(DIM, HEADS, erode="k")
    with pytest.raises(ValueError, match="mask must be None.*no score between two of them"):
        SpikeDrivenSelfAttention(DIM, HEADS)(x, mask=torch.ones(6, 6, dtype=torch.bool))
    event = SpikeDrivenSelfAttention(DIM, HEADS, erode="kv")
    with pytest.raises(ValueError, match="grid must be"):
        event(x)
    with pytest.raises(ValueError, match="grid must hold the 6 tokens"):
        event(x, grid=(2, 2))
