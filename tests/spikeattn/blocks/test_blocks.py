"""Blocks: shortcuts, MLP, stems, sequences; any attention and any neuron in them."""

import pytest
import torch
from torch import nn

from spikeattn.attention import BipolarSelfAttention, SoftmaxAttention, SpikingSelfAttention
from spikeattn.blocks import (
    MLP,
    ConvNorm,
    EncoderBlock,
    MembraneShortcut,
    SpikeShortcut,
    SpikformerStem,
    SpikingformerStem,
    SpikingSequential,
)
from spikeattn.neurons import GELU, IF, LIF, PLIF, TernaryLIF
from spikeattn.testing import LayerContract, firing_rates, recorded_spikes, spiking_layers
from spikeattn.types import flatten_state


class Double(nn.Module):
    """A layer that is easy to follow: twice its input, and how often it was called."""

    def forward(self, x, state=None, *, add=0.0):
        return 2 * x + add, (state or 0) + 1


def test_membrane_shortcut_fires_first():
    x = torch.tensor([[0.5, 1.5]])
    y, state = MembraneShortcut()(x, Double(), IF(), None, add=0.25)
    assert y.tolist() == [[0.75, 3.75]]  # x + 2 * spike + 0.25
    assert state.layer == 1 and state.neuron.v.tolist() == [0.5, 0.0]
    assert MembraneShortcut()(x, Double(), IF(), state)[1].layer == 2


def test_spike_shortcut_fires_last():
    x = torch.tensor([[0.25, 1.5]])
    y, state = SpikeShortcut()(x, Double(), IF(), None)
    assert y.tolist() == [[0.25, 2.5]]  # x + [2 x >= 1]
    assert state.neuron.v.tolist() == [0.5, 0.0]


class TestEncoderBlock(LayerContract):
    @pytest.fixture(autouse=True, params=["bsa-membrane", "ssa-spike", "bsa-plif", "softmax-gelu", "bsa-if-soft"])
    def _parameters(self, request):
        self.name = request.param
        self.exact = "softmax" not in self.name

    def make(self):
        attention, neuron, shortcut = {
            "bsa-membrane": (BipolarSelfAttention, LIF.from_tau(2.0), MembraneShortcut()),
            "ssa-spike": (SpikingSelfAttention, LIF(), SpikeShortcut()),
            "bsa-plif": (BipolarSelfAttention, PLIF, MembraneShortcut()),
            "softmax-gelu": (SoftmaxAttention, GELU, MembraneShortcut()),
            "bsa-if-soft": (BipolarSelfAttention, IF(reset="soft"), SpikeShortcut()),
        }[self.name]
        return EncoderBlock(16, 4, attention=attention, neuron=neuron, shortcut=shortcut, tokens=8, mlp_ratio=2.0)

    def example(self, batch):
        x = torch.randn(self.steps, batch, 8, 16, generator=torch.Generator().manual_seed(3))
        return (x > 0.7).float() + x * ("spike" not in self.name)


def test_every_place_has_a_neuron_of_its_own():
    block = EncoderBlock(16, 2, neuron=LIF(threshold=2.0))
    neurons = list(spiking_layers(block).values())
    assert len({id(neuron) for neuron in neurons}) == len(neurons) == 6
    assert block.attn.attn_neuron.threshold == 0.5
    assert block.mlp.neuron.threshold == block.attn_neuron.threshold == 2.0
    assert isinstance(block.attn.q_neuron, TernaryLIF)


def test_a_ready_attention_of_yours_is_used():
    attention = BipolarSelfAttention(16, 2, normaliser="round")
    assert EncoderBlock(16, 2, attention=attention).attn is attention
    assert EncoderBlock(16, 2, attention=BipolarSelfAttention, normaliser="round").attn.normaliser == "round"


def test_mlp_is_two_projections_around_a_neuron():
    mlp = MLP(6, 12, neuron=LIF())
    x = torch.randn(3, 2, 5, 6)
    out, state = mlp(x)
    spikes, _ = LIF()(mlp.fc1(x))
    assert torch.equal(out, mlp.fc2(spikes))
    assert list(flatten_state(state)) == ["hidden.v"]


@pytest.mark.parametrize(("kind", "extra"), [(SpikformerStem, 1), (SpikingformerStem, -1)])
@pytest.mark.parametrize(("stages", "grid"), [
    (((8, ""), (16, "stride")), (4, 4)),
    (((4, "stride"), (8, "pool"), (8, "")), (2, 2)),
    (((4, ""), (8, "")), (8, 8)),
])
def test_stems(kind, extra, stages, grid):
    stem = kind(2, stages, neuron=LIF.from_tau(2.0))
    assert stem.grid((8, 8)) == grid
    x = torch.randn(3, 4, 2, 8, 8)
    for training in (True, False):
        with recorded_spikes(stem.train(training)) as record:
            out, state = stem(x)
        assert out.shape == (3, 4, stages[-1][0], *grid)
        assert all(0.01 < rate < 0.9 for rate in firing_rates(record).values())
    assert len(spiking_layers(stem)) == len(stages) + extra == len(flatten_state(state))
    again, _ = stem(x[2:], stem(x[:2])[1])
    torch.testing.assert_close(again, out[2:])


def test_spikformer_stem_sends_sums_of_spikes_and_spikingformer_stem_membranes():
    x = torch.randn(2, 2, 1, 8, 8)
    sums, _ = SpikformerStem(1, ((8, ""), (8, "pool")), neuron=LIF())(x)
    assert set(sums.unique().tolist()) <= {0.0, 1.0, 2.0}
    membranes, _ = SpikingformerStem(1, ((8, ""), (8, "pool")), neuron=LIF())(x)
    assert membranes.unique().numel() > 20


def test_odd_pictures_round_up():
    stem = SpikingformerStem(1, ((4, ""), (4, "pool"), (4, "stride")), neuron=LIF())
    out, _ = stem(torch.randn(1, 1, 1, 9, 7))
    assert stem.grid((9, 7)) == tuple(out.shape[-2:]) == (3, 2)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: SpikformerStem(1, ((4, "avg"),), neuron=LIF()), "downsampling must be one of .*got 'avg'"),
    (lambda: SpikingformerStem(1, ((4, "pool"), (4, "")), neuron=LIF()), "first stage.*got 'pool'"),
    (lambda: SpikformerStem(3, ((4, ""),), neuron=LIF())(torch.zeros(1, 1, 1, 8, 8)), r"\(T, B, 3, Y, X\), got"),
    (lambda: EncoderBlock(16, 3), "heads must divide"),
    (lambda: EncoderBlock(16, 2, neuron=GELU), "GELU.*SoftmaxAttention"),
])
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_sequences_thread_state_where_there_is_one():
    net = SpikingSequential(nn.Linear(3, 5), LIF(), nn.Dropout(0.0), SpikingSequential(nn.Linear(5, 4), IF()), GELU())
    x = 3 * torch.randn(6, 2, 3)
    whole, end = net(x)
    first, middle = net(x[:4])
    second, last = net(x[4:], middle)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert list(flatten_state(end)) == ["layers.1.v", "layers.3.layers.1.v"]
    for name, value in flatten_state(end).items():
        torch.testing.assert_close(flatten_state(last)[name], value)


def test_conv_norm_folds_time_into_the_batch():
    layer = ConvNorm(2, 3).eval()
    x = torch.randn(4, 2, 2, 5, 5)
    torch.testing.assert_close(layer(x), torch.stack([layer(frame.unsqueeze(0))[0] for frame in x]))
