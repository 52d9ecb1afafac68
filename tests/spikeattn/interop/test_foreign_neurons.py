"""Neurons of SpikingJelly and snnTorch inside our blocks, and ours beside them."""

import copy

import pytest
import torch
from torch import nn

from spikeattn import create_model
from spikeattn.attention import BipolarSelfAttention, SpikingSelfAttention
from spikeattn.blocks import EncoderBlock
from spikeattn.interop import snntorch as from_snntorch
from spikeattn.interop import spikingjelly as from_spikingjelly
from spikeattn.neurons import IF, ILIF, LIF, PLIF, Leaky, TernaryIF, TernaryLIF
from spikeattn.surrogate import STE, ATan, FastSigmoid, Rectangle, Sigmoid, Triangle
from spikeattn.testing import LayerContract, NeuronContract
from spikeattn.types import flatten_state

snntorch = pytest.importorskip("snntorch")
sj = pytest.importorskip("spikingjelly.activation_based.neuron")
sj_surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")

SPIKINGJELLY = {
    "lif": lambda: sj.LIFNode(2.0),
    "lif-soft": lambda: sj.LIFNode(1.5, decay_input=False, v_reset=None, detach_reset=True),
    "lif-multi-step": lambda: sj.LIFNode(2.0, step_mode="m"),
    "if-triangle": lambda: sj.IFNode(surrogate_function=sj_surrogate.PiecewiseQuadratic(1.0)),
    "parametric": lambda: sj.ParametricLIFNode(3.0, surrogate_function=sj_surrogate.ATan(2.0)),
    "ternary-lif": lambda: sj.TernaryLIFNode(2.0),
    "ternary-if": lambda: sj.TernaryIFNode(v_reset=None),
}
SNNTORCH = {
    "subtract": lambda: snntorch.Leaky(0.9),
    "subtract-at-once": lambda: snntorch.Leaky(0.5, reset_delay=False),
    "zero": lambda: snntorch.Leaky(0.5, reset_mechanism="zero"),
    "zero-at-once": lambda: snntorch.Leaky(0.9, reset_mechanism="zero", reset_delay=False),
    "none": lambda: snntorch.Leaky(0.5, threshold=2.0, reset_mechanism="none"),
}


def run(neuron, x):
    x = x.clone().requires_grad_()
    spikes, state = neuron(x)
    torch.manual_seed(1)
    (grad,) = torch.autograd.grad((spikes * torch.randn_like(spikes)).sum(), x)
    return spikes.detach(), grad


def run_theirs(forward, x):
    """Stepped as their users do."""
    x = x.clone().requires_grad_()
    spikes = torch.stack([forward(x_t) for x_t in x])
    torch.manual_seed(1)
    (grad,) = torch.autograd.grad((spikes * torch.randn_like(spikes)).sum(), x)
    return spikes.detach(), grad


def assert_same_run(ours, theirs):
    assert 0 < theirs[0].count_nonzero() < theirs[0].numel()
    assert torch.equal(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SPIKINGJELLY)
def test_spikingjelly_wrapped_and_converted_run_as_theirs(name):
    node, x = SPIKINGJELLY[name](), 3 * torch.randn(6, 2, 9)
    wrapped, converted = from_spikingjelly.wrap(copy.deepcopy(node)), from_spikingjelly.convert(node)
    node.step_mode = "s"
    theirs = run_theirs(node, x)
    assert_same_run(run(wrapped, x), theirs)
    assert_same_run(run(converted, x), theirs)
    assert converted.cost == wrapped.cost
    assert converted.alphabet == wrapped.alphabet
    assert converted.threshold_current == pytest.approx(wrapped.threshold_current, rel=1e-5)


@pytest.mark.parametrize("name", SNNTORCH)
def test_snntorch_wrapped_and_converted_run_as_theirs(name):
    theirs, x = SNNTORCH[name](), 3 * torch.randn(6, 2, 9)
    wrapped, converted = from_snntorch.wrap(copy.deepcopy(theirs)), from_snntorch.convert(theirs)
    memory = [torch.zeros(2, 9)]

    def forward(x_t):
        spikes, memory[0] = theirs(x_t, memory[0])
        return spikes

    expected = run_theirs(forward, x)
    assert_same_run(run(wrapped, x), expected)
    assert_same_run(run(converted, x), expected)
    assert converted.cost == wrapped.cost
    assert converted.threshold_current == pytest.approx(wrapped.threshold_current, rel=1e-5)


def test_another_surrogate_of_snntorch_is_named():
    neuron = from_snntorch.convert(snntorch.Leaky(0.5), surrogate=FastSigmoid(25.0))
    assert neuron.surrogate == FastSigmoid(25.0)
    assert isinstance(neuron, Leaky)
    assert isinstance(from_snntorch.convert(snntorch.Leaky(0.5, reset_mechanism="zero")), LIF)


class WrappedContract(NeuronContract):
    """Their neurons keep our contract once their state is explicit."""

    plain_options = False
    exact = False  # their decays need not be powers of two


class TestWrappedSpikingJelly(WrappedContract):
    @pytest.fixture(autouse=True, params=["lif", "lif-soft", "parametric", "ternary-lif", "quadratic"])
    def _parameters(self, request):
        build = SPIKINGJELLY.get(request.param, sj.QIFNode)
        self.make = lambda: from_spikingjelly.wrap(build())


class TestWrappedSNNTorch(WrappedContract):
    any_length = False

    @pytest.fixture(autouse=True, params=["subtract", "zero-at-once", "synaptic", "lapicque"])
    def _parameters(self, request):
        build = {
            **SNNTORCH,
            "synaptic": lambda: snntorch.Synaptic(0.5, 0.5),
            "lapicque": lambda: snntorch.Lapicque(0.5),
        }[request.param]
        self.make = lambda: from_snntorch.wrap(build())
        self.traceable = request.param != "zero-at-once"


class TestBlockOfTheirNeurons(LayerContract):
    exact = False

    @pytest.fixture(autouse=True, params=["spikingjelly", "snntorch", "ternary"])
    def _parameters(self, request):
        self.kind = request.param

    def make(self):
        neuron = {
            "spikingjelly": lambda: from_spikingjelly.wrap(sj.LIFNode(2.0, detach_reset=True)),
            "snntorch": lambda: from_snntorch.wrap(snntorch.Leaky(0.5)),
            "ternary": lambda: from_spikingjelly.wrap(sj.TernaryLIFNode(2.0)),
        }[self.kind]()
        attention = BipolarSelfAttention if self.kind == "ternary" else SpikingSelfAttention
        # few tokens: SSA's integers need a larger scale to reach the threshold
        options = {} if self.kind == "ternary" else {"scale": 0.5}
        return EncoderBlock(16, 4, attention=attention, neuron=neuron, tokens=8, **options)

    def example(self, batch):
        return torch.randn(self.steps, batch, 8, 16, generator=torch.Generator().manual_seed(3))


def test_every_place_in_a_block_has_a_neuron_of_its_own():
    neuron = from_spikingjelly.wrap(sj.ParametricLIFNode(2.0))
    block = EncoderBlock(16, 4, attention=SpikingSelfAttention, neuron=neuron)
    assert len({id(p) for name, p in block.named_parameters() if name.endswith("neuron.w")}) == 7
    assert block.attn.attn_neuron.neuron.v_threshold == 0.5
    assert block.attn.q_neuron.neuron.v_threshold == 1.0


def test_nothing_stays_in_their_module():
    for neuron in (from_spikingjelly.wrap(sj.LIFNode()), from_snntorch.wrap(snntorch.Leaky(0.5))):
        _, state = neuron(torch.randn(3, 2, 4) * 3)
        assert list(flatten_state(state)) == ["memories.0"]
        theirs = neuron.neuron
        kept = dict(theirs.named_buffers()) | vars(theirs) | vars(theirs).get("_memories", {})
        assert not [name for name, value in kept.items() if isinstance(value, torch.Tensor) and value.numel() > 1]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: from_spikingjelly.wrap(nn.ReLU()), "must be a node of SpikingJelly 2.*got ReLU"),
    (lambda: from_snntorch.wrap(sj.LIFNode()), "must be a SpikingNeuron.*got LIFNode"),
    (lambda: from_snntorch.wrap(snntorch.Leaky(0.5, init_hidden=True)), "without init_hidden"),
    (lambda: from_snntorch.wrap(snntorch.RLeaky(0.5, all_to_all=False)), "got RLeaky"),
    (lambda: from_snntorch.convert(snntorch.Leaky(torch.rand(4))), "one beta"),
    (lambda: from_spikingjelly.convert(sj.LIFNode(v_reset=-0.1)), "v_reset must be 0 or None, got -0.1"),
    (lambda: from_spikingjelly.convert(sj.QIFNode()), "got QIFNode"),
    (lambda: from_spikingjelly.convert(sj.IFNode(surrogate_function=sj_surrogate.Erf())), "got Erf"),
    (lambda: from_spikingjelly.wrap(sj.LIFNode()).options(), "must be plain data, got LIFNode"),
    (lambda: create_model("spikformer_tiny", neuron=from_spikingjelly.wrap(sj.LIFNode())), "Register the class"),
])
def test_what_cannot_be_taken_is_refused_with_advice(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_default_surrogate_is_theirs():
    x = torch.linspace(-2, 2, 41).requires_grad_()
    (theirs,) = torch.autograd.grad(snntorch.surrogate.atan()(x).sum(), x)
    torch.testing.assert_close(ATan(2.0).derivative(x.detach()), theirs)


OURS_TO_SPIKINGJELLY = [
    IF(), IF(reset="soft", surrogate=ATan(2.0)), LIF.from_tau(2.0), LIF.from_tau(3.0, decay_input=False, reset="soft"),
    LIF.from_tau(1.5, threshold=0.5, detach_reset=False, surrogate=Triangle(1.0)), PLIF(init_tau=3.0),
    TernaryIF(surrogate=Rectangle(1.0)), TernaryLIF.from_tau(2.0, reset="soft"),
]


@pytest.mark.parametrize("ours", OURS_TO_SPIKINGJELLY, ids=repr)
def test_ours_as_spikingjellys_sends_the_same_spikes(ours):
    x = 2 * torch.randn(8, 50)
    theirs = from_spikingjelly.to_spikingjelly(ours)
    theirs.step_mode = "s"
    mine, other = run(ours, x), run_theirs(theirs, x)
    assert_same_run(mine, other)
    torch.testing.assert_close(mine[1], other[1], rtol=1e-4, atol=1e-6)
    again = from_spikingjelly.convert(theirs)
    assert type(again) is type(ours)
    for name, value in ours.options().items():
        assert again.options()[name] == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("ours", [
    Leaky(0.9), Leaky(0.5, reset_delay=False, surrogate=FastSigmoid(25.0)), LIF(beta=0.5), LIF(beta=0.9, reset="none"),
    LIF(beta=0.5, threshold=2.0, surrogate=Sigmoid(4.0)),
], ids=repr)
def test_ours_as_snntorchs_sends_the_same_spikes(ours):
    x = torch.cat([2 * torch.randn(8, 50), torch.full((8, 10), 1.0)], 1)  # 1.0 meets the threshold exactly
    theirs, mem = from_snntorch.to_snntorch(ours), [torch.zeros(60)]

    def forward(x_t):
        spikes, after = theirs(x_t, mem[0])
        mem[0] = after
        return spikes

    assert_same_run(run(ours, x), run_theirs(forward, x))


@pytest.mark.parametrize("make, ours", [
    (from_spikingjelly.to_spikingjelly, LIF(reset="none")), (from_spikingjelly.to_spikingjelly, ILIF()),
    (from_spikingjelly.to_spikingjelly, LIF(beta=0.5, gain=0.3)),
    (from_spikingjelly.to_spikingjelly, LIF(surrogate=STE())),
    (from_snntorch.to_snntorch, LIF(reset="soft")), (from_snntorch.to_snntorch, LIF.from_tau(2.0)),
    (from_snntorch.to_snntorch, TernaryLIF()), (from_snntorch.to_snntorch, Leaky(surrogate=Rectangle())),
], ids=lambda part: getattr(part, "__name__", None) or repr(part))
def test_what_they_lack_is_refused(make, ours):
    with pytest.raises(ValueError, match="to_s.* got "):
        make(ours)
