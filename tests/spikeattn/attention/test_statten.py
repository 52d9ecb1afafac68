"""Spatial-temporal attention against its equations written as loops."""

import pytest
import torch

from spikeattn.attention import SpatialTemporalAttention
from spikeattn.attention.sdsa import thicken

T, N, DIM, HEADS, GRID = 4, 6, 8, 2, (2, 3)


def spikes(seed, rate=0.4):
    return (torch.rand(T, 2, N, DIM, generator=torch.Generator().manual_seed(seed)) < rate).float()


def naive(q, k, v, chunk, scale, mask=None):
    """Every query of every step of a chunk against every key of every step of it."""
    out = torch.zeros(T, 2, N, DIM)
    width = DIM // HEADS
    for t in range(T):
        start = t - t % chunk
        for head in range(0, DIM, width):
            part = slice(head, head + width)
            for u in range(start, start + chunk):
                scores = torch.einsum("bnc,bmc->bnm", q[t, ..., part], k[u, ..., part])
                scores = scores if mask is None else scores * mask
                out[t, ..., part] += scores @ v[u, ..., part] * scale
    return out


@pytest.mark.parametrize("chunk", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_steps_of_a_chunk_attend_to_one_another(chunk, masked):
    attention = SpatialTemporalAttention(DIM, HEADS, chunk=chunk)
    q, k, v = spikes(0), spikes(1), spikes(2)
    mask = torch.rand(N, N, generator=torch.Generator().manual_seed(3)) < 0.6 if masked else None
    mixed = attention.mix(attention.split(q), attention.split(k), attention.split(v), mask, 0.25)
    assert torch.equal(attention.merge(mixed), naive(q, k, v, chunk, 0.25, mask))


@torch.no_grad()
def test_event_mode_thickens_spikes_and_lets_the_input_pass():
    torch.manual_seed(0)
    attention = SpatialTemporalAttention(DIM, HEADS, chunk=2, erode=True).eval()
    x, parts = spikes(4, rate=0.2), {}
    for name in ("q_neuron", "k_neuron", "v_neuron", "attn_neuron"):
        getattr(attention, name).register_forward_hook(
            lambda m, inputs, out, name=name: parts.update({name: (inputs[0], out[0])})
        )
    attention.proj.register_forward_pre_hook(lambda m, inputs: parts.update(proj=inputs[0]))
    attention(x, grid=GRID)
    q, k, v = (thicken(parts[f"{name}_neuron"][1], GRID) for name in "qkv")
    current, fired = parts["attn_neuron"]
    assert torch.equal(current, naive(q, k, v, 2, 1 / (2 * 2 * 2)))
    assert 0 < fired.mean() < 1
    passing = thicken(x, GRID)
    assert torch.equal(parts["proj"], fired * passing + passing)


def test_the_published_scale_needs_the_picture():
    attention = SpatialTemporalAttention(DIM, HEADS)
    assert attention.published_scale(8) == 1 / 8
    with pytest.raises(ValueError, match="grid must be"):
        attention(spikes(0))
    out, _ = SpatialTemporalAttention(DIM, HEADS, scale=0.5)(spikes(0))
    assert out.shape == (T, 2, N, DIM)


def test_what_it_cannot_do_is_said():
    with pytest.raises(ValueError, match="T must be a multiple of 2, got 3"):
        SpatialTemporalAttention(DIM, HEADS)(spikes(0)[:3], grid=GRID)
    with pytest.raises(ValueError, match="chunk must be at least 1"):
        SpatialTemporalAttention(DIM, HEADS, chunk=0)
    with pytest.raises(ValueError, match="mask must be None in event mode"):
        SpatialTemporalAttention(DIM, HEADS, erode=True)(spikes(0), grid=GRID, mask=torch.ones(N, N, dtype=torch.bool))
    with pytest.raises(TypeError, match="mask must be boolean"):
        SpatialTemporalAttention(DIM, HEADS)(spikes(0), grid=GRID, mask=torch.ones(N, N))
