"""The shipped contracts find what they are for: each broken layer fails the promise that it breaks."""

import pytest
import torch
from torch import nn

from spikeattn.attention import Attention, SoftmaxAttention
from spikeattn.neurons import LIF
from spikeattn.ops.lif import LIFState
from spikeattn.testing import (
    AttentionContract,
    LayerContract,
    NeuronContract,
    dyadic,
    firing_rates,
    make_dyadic,
    recorded_spikes,
    spiking_layers,
)


class Remembers(LIF):
    """Keeps its membrane inside."""

    def forward(self, x, state=None):
        kept = getattr(self, "kept", None)
        begin = kept if kept is not None and kept.v.shape == x.shape[1:] else None
        spikes, self.kept = super().forward(x, state or begin)
        return spikes, self.kept


class RemembersInABuffer(LIF):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, state=None):
        self.calls += 1
        return super().forward(x + 0.5 * self.calls, state)


class MixesItems(LIF):
    """A mean over the batch, as a norm in training mode would take."""

    def step(self, x_t, state):
        return super().step(x_t - x_t.mean(0, keepdim=True), state)

    def forward(self, x, state=None):
        return super().forward(x - x.mean(1, keepdim=True), state)


class ForgetsBetweenChunks(LIF):
    def forward(self, x, state=None):
        return super().forward(x)


class CutsTime(LIF):
    def forward(self, x, state=None):
        spikes = []
        for x_t in x:
            s, state = self.step(x_t, state.detach() if state else self.init_state(x_t))
            spikes.append(s)
        return torch.stack(spikes), state


class Half(LIF):
    def forward(self, x, state=None):
        spikes, state = super().forward(x, state)
        return spikes / 2, state


class Silent(LIF):
    def forward(self, x, state=None):
        return super().forward(x * 0, state)


class LosesState(LIF):
    def forward(self, x, state=None):
        spikes, state = super().forward(x, state)
        return spikes, LIFState(v=state.v.sum(0))


class NoClone(LIF):
    def clone(self, **changes):
        return self


class BadAdvice(LIF):
    def forward(self, x, state=None):
        if x.ndim < 2 or len(x) == 0:
            raise ValueError("bad input")
        return super().forward(x, state)


class Branches(LIF):
    def forward(self, x, state=None):
        return super().forward(x if x.sum() > 0 else x * 2, state)


class BlowsUp(LIF):
    def forward(self, x, state=None):
        spikes, state = super().forward(x, state)
        return spikes, LIFState(v=1 / state.v)


@pytest.mark.parametrize(("kind", "promise"), [
    (Remembers, "test_nothing_is_remembered_between_calls"),
    (RemembersInABuffer, "test_nothing_is_remembered_between_calls"),
    (RemembersInABuffer, "test_a_second_training_step_is_like_the_first"),
    (MixesItems, "test_batch_items_do_not_mix"),
    (MixesItems, "test_batch_equals_single_items_bitwise"),
    (MixesItems, "test_batch_equals_single_items_in_float64"),
    (ForgetsBetweenChunks, "test_streaming_equals_whole_bitwise"),
    (ForgetsBetweenChunks, "test_streaming_equals_whole_in_float64"),
    (CutsTime, "test_gradient_reaches_the_first_step"),
    (Half, "test_spikes_lie_in_the_alphabet"),
    (Silent, "test_streaming_equals_whole_bitwise"),
    (LosesState, "test_state_flattens_and_unflattens"),
    (NoClone, "test_options_and_clone_rebuild_it"),
    (BadAdvice, "test_bad_inputs_are_refused_with_advice"),
    (Branches, "test_compiles_as_one_graph"),
    (BlowsUp, "test_extreme_inputs_stay_finite"),
])
def test_a_broken_neuron_breaks_its_promise(kind, promise):
    class Contract(NeuronContract):
        def make(self):
            return kind()

    with pytest.raises((AssertionError, RuntimeError)):
        getattr(Contract(), promise)()


def promises(contract):
    return [name for name in dir(contract) if name.startswith("test_")]


@pytest.mark.parametrize("promise", promises(NeuronContract))
def test_a_sound_neuron_of_a_third_party_keeps_every_promise(promise):
    class Mine(LIF):
        """A LIF that somebody wrote elsewhere."""

    class Contract(NeuronContract):
        def make(self):
            return Mine(beta=0.25)

    getattr(Contract(), promise)()


class ReadsMaskedKeys(SoftmaxAttention):
    def forward(self, x, state=None, *, grid=None, mask=None):
        return super().forward(x + x.mean(2, keepdim=True), state, grid=grid, mask=mask)


@pytest.mark.parametrize(("kind", "promise"), [(ReadsMaskedKeys, "test_masked_keys_do_not_matter")])
def test_a_broken_attention_breaks_its_promise(kind: type[Attention], promise):
    class Contract(AttentionContract):
        exact = False

        def make(self):
            return kind(self.dim, self.heads)

    with pytest.raises(AssertionError):
        getattr(Contract(), promise)()


@pytest.mark.parametrize("method", ["make", "example"])
def test_a_contract_without_its_factory_says_so(method):
    with pytest.raises(TypeError, match="must return"):
        getattr(LayerContract(), method)(*([2] if method == "example" else []))


def test_an_inexact_layer_must_say_so():
    class Contract(AttentionContract):
        def make(self):
            return SoftmaxAttention(self.dim, self.heads)

    with pytest.raises(AssertionError, match="exact = False"):
        Contract().test_streaming_equals_whole_bitwise()


def test_dyadic_numbers_sum_exactly_in_any_order():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 64), nn.BatchNorm1d(64))
    net(torch.randn(16, 3, 8, 8))
    make_dyadic(net.eval())
    x = dyadic(torch.randn(4, 3, 8, 8))
    assert torch.equal(net(x).double(), net.double()(x.double()))


def test_recorded_rates_of_named_layers():
    net = nn.Sequential(nn.Identity(), LIF(), nn.ReLU())
    assert list(spiking_layers(net)) == ["1"]
    with recorded_spikes(net) as record:
        net[1](torch.tensor([[2.0, 0.0, 2.0, 0.0]]))
        net[1](torch.tensor([[2.0, 2.0, 2.0, 2.0]]))
    assert firing_rates(record) == {"1": 0.75}
    net[1](torch.tensor([[2.0]]))
    assert len(record["1"]) == 2, "hooks must be gone behind the block"
