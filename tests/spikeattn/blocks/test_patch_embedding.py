"""Patch embeddings, merged and inner shortcuts: shapes, wiring, refusals."""

import pytest
import torch

from spikeattn.attention import SpikingSelfAttention
from spikeattn.blocks import (
    Embedding,
    EncoderBlock,
    MembraneEmbedding,
    SpikeEmbedding,
    SpikeShortcut,
    TimeBatchMergedShortcut,
)
from spikeattn.neurons import LIF
from spikeattn.testing import recorded_spikes

PLANS = {
    "stride": Embedding(((6, "stride"), (8, ""), (8, "stride")), branch=1),
    "pool": Embedding(((6, ""), (8, "pool"), (8, "pool")), branch=1, shortcut="pool"),
    "late": Embedding(((6, "pool"), (8, "pool"), (8, "")), branch=2),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("kind", [SpikeEmbedding, MembraneEmbedding])
@torch.no_grad()
def test_both_branches_meet_at_the_grid_that_is_announced(kind, plan):
    torch.manual_seed(0)
    first = {"first": True} if kind is MembraneEmbedding else {}
    embedding = kind(3, plan, neuron=LIF(), **first).eval()
    x = torch.randn(4, 2, 3, 13, 10)
    with recorded_spikes(embedding) as spikes:
        out, state = embedding(x)
    assert out.shape == (4, 2, 8, *embedding.grid((13, 10)))
    assert all(0 < calls[0].mean() < 1 for calls in spikes.values())
    assert set(out.unique().tolist()) <= {0.0, 1.0, 2.0} or kind is MembraneEmbedding
    begun, after = embedding(x[:2])
    again, _ = embedding(x[2:], after)
    assert torch.allclose(torch.cat([begun, again]), out, atol=1e-6)
    assert len(state.layers) == len(embedding.neurons)


@torch.no_grad()
def test_the_shortcut_of_a_membrane_embedding_reads_the_spikes_of_the_chain():
    embedding = MembraneEmbedding(3, PLANS["pool"], neuron=LIF(), first=True).eval()
    seen = []
    embedding.shortcut.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with recorded_spikes(embedding) as spikes:
        embedding(torch.randn(2, 1, 3, 8, 8))
    assert torch.equal(seen[0], spikes["neurons.0"][0])
    assert len(embedding.neurons) == 2  # none in front of the picture


@pytest.mark.parametrize(("build", "words"), [
    (lambda: Embedding(((4, ""),), branch=1), "branch must lie in 0 ... 0"),
    (lambda: Embedding(((4, ""),), shortcut="mean"), "'stride' or 'pool'"),
    (lambda: SpikeEmbedding(3, Embedding(((4, "half"),)), neuron=LIF()), "downsampling must be one of"),
    (lambda: MembraneEmbedding(3, Embedding(((4, ""),)), neuron=LIF(), first=True), "branch must be at least 1"),
])
def test_plans_that_make_no_sense(build, words):
    with pytest.raises(ValueError, match=words):
        build()


@torch.no_grad()
def test_merged_time_and_batch_is_one_long_sequence_and_nothing_for_one_item():
    torch.manual_seed(0)
    block = EncoderBlock(8, 2, attention=SpikingSelfAttention, neuron=LIF, shortcut=SpikeShortcut(), tokens=4).eval()
    x = (torch.rand(4, 3, 4, 8) < 0.5).float()
    clean, _ = block(x)
    one, _ = block(x[:, :1])
    current, _ = block.attn(x)
    block.attn_shortcut = TimeBatchMergedShortcut()
    merged, state = block(x)
    assert torch.equal(block(x[:, :1])[0], one)
    assert not torch.equal(merged, clean)
    assert state.attn.neuron.v.shape == (4, 8)
    long, _ = block.attn_neuron(current.reshape(12, 4, 8))
    y, _ = block.attn_shortcut(x, block.attn, block.attn_neuron, None)
    assert torch.equal(y - x, long.reshape(4, 3, 4, 8))


@torch.no_grad()
def test_the_inner_shortcut_goes_around_each_projection():
    torch.manual_seed(0)
    block = EncoderBlock(8, 2, attention=SpikingSelfAttention, neuron=LIF, mlp_ratio=1.0, tokens=4,
                         inner_shortcut=True).eval()
    for projection in (block.attn.proj, block.mlp.fc2):
        projection.norm.weight.zero_()  # attention and second projection send nothing
    x = torch.randn(3, 1, 4, 8)
    spikes, _ = block.mlp_neuron(x)
    assert torch.equal(block(x)[0], x + block.mlp.fc1(spikes))


@pytest.mark.parametrize("options", [{"mlp_ratio": 4.0}, {"mlp_ratio": 1.0, "shortcut": SpikeShortcut()}])
def test_an_inner_shortcut_needs_equal_widths_and_membranes(options):
    with pytest.raises(ValueError, match="inner_shortcut must have mlp_ratio=1 and a membrane shortcut"):
        EncoderBlock(8, 2, inner_shortcut=True, **options)
