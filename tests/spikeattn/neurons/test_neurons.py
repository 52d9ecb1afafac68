"""Neurons by hand: single values, resets, conventions of other libraries."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from spikeattn.neurons import (
    ACTIVATIONS,
    GELU,
    IF,
    ILIF,
    LIF,
    NEURONS,
    PLIF,
    Activation,
    Leaky,
    SignedILIF,
    TernaryIF,
    TernaryLIF,
    TernaryPLIF,
)
from spikeattn.surrogate import SURROGATES, ATan, Sigmoid
from spikeattn.types import NeuronCost


def run(neuron, *currents):
    spikes, state = neuron(torch.tensor(currents, dtype=torch.float64).view(-1, 1))
    return spikes.flatten().tolist(), state[0].item()


@pytest.mark.parametrize(("neuron", "currents", "spikes", "membrane"), [
    (LIF(beta=0.5), (0.6, 0.8, 0.0), [0, 1, 0], 0.0),
    (LIF(beta=0.5, reset="soft"), (1.5, 0.5, 0.5), [1, 0, 0], 0.875),
    (LIF(beta=0.5, reset="none"), (1.5, 0.5), [1, 1], 1.25),
    (LIF(beta=0.5, threshold=1.0), (1.0,), [1], 0.0),
    (IF(), (0.5, 0.5, 0.75), [0, 1, 0], 0.75),
    (IF(reset="soft"), (0.75, 0.75, 0.75), [0, 1, 1], 0.25),
    (TernaryLIF(beta=0.5), (-1.0, -0.5, 2.0), [-1, 0, 1], 0.0),
    (TernaryLIF(beta=0.5, reset="soft"), (-1.5, 0.25), [-1, 0], 0.0),
    (TernaryIF(), (-0.5, -0.5, 0.25), [0, -1, 0], 0.25),
    (PLIF(init_tau=2.0), (2.0, 1.0, 2.0), [1, 0, 1], 0.0),
    (PLIF(init_tau=2.0, decay_input=False), (0.5, 0.75, 0.0), [0, 1, 0], 0.0),
    (TernaryPLIF(init_tau=2.0), (-2.0, 1.0), [-1, 0], 0.5),
    (ILIF(levels=4), (1.6, 9.0, -1.0, 0.5, 2.5), [2, 4, 0, 0, 2], 0.5),
    (ILIF(levels=4, beta=0.5), (1.75, 1.75), [2, 2], -0.375),
    (ILIF(levels=2, threshold=0.5, normalise=True), (0.5, 1.0), [0.5, 1.0], 0.0),
    (SignedILIF(levels=2), (-1.2, 7.0, -9.0), [-1, 2, -2], -7.0),
    (Leaky(beta=0.5), (1.0, 1.0, 0.0), [0, 1, 0], -0.25),
    (Leaky(beta=0.5, reset_delay=False), (1.0, 1.0, 0.0), [0, 1, 0], 0.25),
])
def test_by_hand(neuron, currents, spikes, membrane):
    assert run(neuron, *currents) == (spikes, membrane)


def test_conventions_of_spikingjelly():
    neuron = LIF.from_tau(4.0)
    assert (neuron.beta, neuron.gain) == (0.75, 0.25)
    assert LIF.from_tau(4.0, decay_input=False).gain == 1.0
    assert neuron.threshold_current == 4.0
    assert isinstance(TernaryLIF.from_tau(2.0, reset="soft"), TernaryLIF)


def test_snntorch_fires_only_above_the_threshold():
    neuron = LIF.from_snntorch(0.5)
    x = torch.tensor([[1.0, math.nextafter(1.0, 0.0), 1.0 + 2**-23]], dtype=torch.float32)
    assert neuron(x)[0].tolist() == [[0, 0, 1]]
    assert LIF()(x)[0].tolist()[0][0] == 1


@pytest.mark.parametrize("name", ["if", "lif", "plif", "ilif", "leaky", "ternary_if", "ternary_lif", "ternary_plif",
                                  "signed_ilif"])
def test_signed_form_keeps_the_dynamics(name):
    neuron = NEURONS[name]()
    if name == "leaky":
        with pytest.raises(ValueError, match="Leaky: has no signed form"):
            neuron.signed()
        return
    signed = neuron.signed()
    assert signed.alphabet in ("ternary", "signed_graded")
    shared = neuron.options().keys() & signed.options().keys()
    assert {key: signed.options()[key] for key in shared} == {key: neuron.options()[key] for key in shared}
    x = neuron.threshold_current * 1.5 * torch.randn(6, 2, 16)
    spikes, _ = signed(x)
    mirrored, _ = signed(-x)
    assert spikes.min() < 0 < spikes.max()
    assert torch.equal(mirrored, -spikes)


@pytest.mark.parametrize("name", ["lif", "if", "plif"])
def test_positive_input_gives_a_signed_neuron_the_same_spikes(name):
    neuron = NEURONS[name]()
    x = neuron.threshold_current * torch.rand(8, 2, 16)
    assert torch.equal(neuron(x)[0], neuron.signed()(x)[0])


@pytest.mark.parametrize("neuron", [ILIF(4), ILIF(4, normalise=True), SignedILIF(3), SignedILIF(2, normalise=True)])
def test_unrolled_units_sum_to_the_levels(neuron):
    x = 2 * torch.randn(3, 2, 50)
    spikes, _ = neuron(x)
    units = neuron.unroll(spikes)
    assert units.shape == (3 * neuron.levels, 2, 50)
    assert set(units.unique().tolist()) <= {-1.0, 0.0, 1.0}
    summed = units.unflatten(0, (3, neuron.levels)).sum(1)
    assert torch.equal(summed / neuron.levels if neuron.normalise else summed, spikes)


def test_integer_neurons_pass_gradient_inside_the_window_only():
    x = torch.tensor([[-1.5, -0.5, 0.0, 0.5, 3.9, 4.0, 4.1]], dtype=torch.float64, requires_grad=True)
    (plain,) = torch.autograd.grad(ILIF(4)(x)[0].sum(), x)
    (signed,) = torch.autograd.grad(SignedILIF(1, threshold=1.0)(x)[0].sum(), x)
    assert plain.tolist() == [[0, 0, 1, 1, 1, 1, 0]]
    assert signed.tolist() == [[0, 1, 1, 1, 0, 0, 0]]


@pytest.mark.parametrize("reset", ["hard", "soft", "none"])
@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("kind", [LIF, TernaryLIF])
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_the_op_and_the_equations_have_the_same_gradients(kind, reset, detach_reset, surrogate):
    neuron = kind(beta=0.75, gain=0.5, reset=reset, detach_reset=detach_reset, surrogate=SURROGATES[surrogate]())
    x = 3 * torch.randn(6, 4, 8, dtype=torch.float64)
    weights, last = torch.randn_like(x), torch.randn_like(x[0])

    def gradients(forward):
        leaf, v = x.clone().requires_grad_(), torch.zeros_like(x[0]).requires_grad_()
        spikes, state = forward(leaf, type(neuron.init_state(v))(v))
        return torch.autograd.grad((spikes * weights).sum() + (state.v * last).sum(), (leaf, v))

    def loop(leaf, state):
        steps = []
        for x_t in leaf:
            s, state = neuron.step(x_t, state)
            steps.append(s)
        return torch.stack(steps), state

    for ours, reference in zip(gradients(neuron), gradients(loop), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)
        assert ours.count_nonzero() > 0


@pytest.mark.parametrize(("neuron", "cost"), [
    (LIF(beta=0.5), NeuronCost("shift", 1, "hard")),
    (LIF.from_tau(1.5), NeuronCost("mul", 1, "hard")),
    (LIF(beta=0.25, reset="soft"), NeuronCost("shift", 1, "soft")),
    (LIF(reset="none"), NeuronCost("shift", 1, "none")),
    (IF(), NeuronCost("none", 1, "hard")),
    (TernaryIF(), NeuronCost("none", 2, "hard")),
    (TernaryLIF(), NeuronCost("shift", 2, "hard")),
    (PLIF(), NeuronCost("mul", 1, "hard")),
    (TernaryPLIF(), NeuronCost("mul", 2, "hard")),
    (ILIF(4), NeuronCost("none", 4, "soft", 0)),
    (ILIF(4, beta=0.5), NeuronCost("shift", 4, "soft", 1)),
    (SignedILIF(4), NeuronCost("none", 8, "soft", 0)),
    (Leaky(0.5), NeuronCost("shift", 1, "soft")),
    (Leaky(0.9), NeuronCost("mul", 1, "soft")),
])
def test_declared_costs(neuron, cost):
    assert neuron.cost == cost


def test_options_are_plain_and_printed():
    neuron = LIF(threshold=0.5, surrogate=ATan(3.0))
    assert neuron.options()["surrogate"] == {"name": "atan", "alpha": 3.0}
    assert "threshold=0.5" in repr(neuron) and "atan" in repr(neuron)
    changed = neuron.clone(surrogate=Sigmoid(2.0))
    assert changed.surrogate == Sigmoid(2.0) and changed.threshold == 0.5


def test_a_learnable_decay_learns():
    neuron = PLIF(init_tau=3.0)
    assert neuron.threshold_current == pytest.approx(3.0)
    optimiser = torch.optim.SGD(neuron.parameters(), lr=0.1)
    neuron(4 * torch.rand(5, 3, 7))[0].sum().backward()
    assert neuron.w.grad != 0
    before = neuron.w.item()
    optimiser.step()
    assert neuron.w.item() != before


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_called_like_neurons(name):
    layer = ACTIVATIONS[name]()
    x = torch.randn(2, 3, 4)
    y, state = layer(x)
    assert isinstance(layer, Activation) and layer.alphabet == "real"
    assert state is None and y.shape == x.shape
    assert type(layer.clone(threshold=0.5)) is type(layer)
    reference = {"gelu": torch.nn.functional.gelu, "relu": torch.relu}[name]
    assert torch.equal(y, reference(x))
    assert GELU().options() == {}


@pytest.mark.parametrize("tau", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_running_average_is_rounded_as_spikingjelly_rounds_it(tau, dtype):
    """Currents on a grid meet the threshold exactly, where another rounding sends other spikes."""
    current = torch.randint(0, 60, (16, 4000)).to(dtype) / (8 if tau == 1.5 else 14)
    v, expected, ties = torch.zeros(4000, dtype=dtype), [], 0
    for x in current:
        v = v + (x - v) / tau
        ties += int((v == 0.5).sum())
        expected.append((v >= 0.5).to(dtype))
        v = v * (1 - expected[-1])
    spikes, state = LIF.from_tau(tau, threshold=0.5)(current)
    assert ties > 0
    assert torch.equal(spikes, torch.stack(expected))
    assert torch.equal(state.v, v)


@pytest.mark.parametrize("ternary", [False, True])
def test_lif_op_lays_out_its_results_as_it_tells_compilers(ternary):
    """Currents in the layout of pictures are not contiguous; the results are, in fact and for compilers."""
    current = torch.randn(4, 2, 6, 3).mT
    tensors = (current, torch.zeros(2, 6, 3).mT)
    options = (0.5, 0.5, 1.0, "hard", ternary, True, "sigmoid", 4.0, True)
    assert not current.is_contiguous()
    results = torch.ops.spikeattn.lif(*tensors, *options)
    with FakeTensorMode() as mode:
        told = torch.ops.spikeattn.lif(*map(mode.from_tensor, tensors), *options)
    assert [r.stride() for r in told] == [r.stride() for r in results]
