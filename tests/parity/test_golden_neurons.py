"""Stored runs of SpikingJelly's and snnTorch's neurons: the same spikes, membranes and gradients."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spikeattn.neurons import IF, LIF, PLIF, Leaky, TernaryIF, TernaryLIF
from spikeattn.surrogate import ATan, FastSigmoid, Sigmoid

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SURROGATES = {"sigmoid4": Sigmoid(4.0), "atan2": ATan(2.0), "fast_sigmoid25": FastSigmoid(25.0)}


def cases(name):
    rows = json.loads((GOLDEN / f"{name}.json").read_text())["cases"]
    return [pytest.param(row, id=row["name"]) for row in rows]


def tensors(name):
    return load_file(GOLDEN / f"{name}.safetensors")


def ours_for_spikingjelly(row):
    options = dict(threshold=row["v_threshold"], reset="soft" if row["v_reset"] is None else "hard",
                   surrogate=SURROGATES[row["surrogate"]], detach_reset=row["detach_reset"])
    build = {
        "LIFNode": lambda: LIF.from_tau(row["tau"], row["decay_input"], **options),
        "TernaryLIFNode": lambda: TernaryLIF.from_tau(row["tau"], row["decay_input"], **options),
        "IFNode": lambda: IF(**options),
        "TernaryIFNode": lambda: TernaryIF(**options),
        "ParametricLIFNode": lambda: PLIF(row["init_tau"], row["decay_input"], **options),
    }
    return build[row["cls"]]()


def by_equations(neuron, x_t, state):
    return neuron.step(x_t, neuron.init_state(x_t) if state is None else state)


def by_op(neuron, x_t, state):
    spikes, state = neuron(x_t.unsqueeze(0), state)
    return spikes[0], state


def assert_close_to_largest(ours, theirs, share):
    assert (ours - theirs).abs().max() <= share * theirs.abs().max()


@pytest.mark.parametrize("advance", [by_equations, by_op])
@pytest.mark.parametrize("row", cases("sj2_neurons"))
def test_spikingjelly(row, advance):
    golden, name = tensors("sj2_neurons"), row["name"]
    neuron = ours_for_spikingjelly(row)
    x = golden["input"].requires_grad_()
    spikes, membranes, state = [], [], None
    for x_t in x:
        s, state = advance(neuron, x_t, state)
        spikes.append(s)
        membranes.append(state.v)
    spikes, membranes = torch.stack(spikes), torch.stack(membranes)

    expected = golden[f"{name}.spikes"]
    assert torch.equal(spikes, expected)
    assert torch.equal(neuron(x)[0], expected)
    assert spikes.abs().mean().item() == pytest.approx(row["rate"], abs=1e-4)
    torch.testing.assert_close(membranes, golden[f"{name}.v_after_reset"], rtol=0, atol=1e-5)
    loss = (spikes * golden["loss_weights_spike"]).sum() + (membranes * golden["loss_weights_v"]).sum()
    loss.backward()
    assert_close_to_largest(x.grad, golden[f"{name}.grad_input"], 1e-5)
    for parameter, gradient in row["param_grads"].items():
        assert getattr(neuron, parameter).grad.item() == pytest.approx(gradient, rel=1e-5)


def ours_for_snntorch(row):
    surrogate = SURROGATES[row["spike_grad"]]
    if row["reset_mechanism"] == "subtract":
        return Leaky(row["beta"], row["threshold"], row["reset_delay"], surrogate)
    # without delay snnTorch zeroes by a spike that carries its gradient, with delay by a detached one
    return LIF.from_snntorch(row["beta"], row["threshold"], row["reset_mechanism"], surrogate=surrogate,
                             detach_reset=row["reset_delay"])


@pytest.mark.parametrize("row", cases("snntorch_leaky"))
def test_snntorch(row):
    golden, name = tensors("snntorch_leaky"), row["name"]
    neuron = ours_for_snntorch(row)
    x = golden["input"].requires_grad_()
    before_reset = row["reset_mechanism"] == "zero" and row["reset_delay"]
    state = neuron.init_state(x[0])
    spikes, membranes = [], []
    for x_t in x:
        charged = neuron.beta * state[0] + x_t  # snnTorch's mem where its reset comes one step late
        s, state = neuron.step(x_t, state)
        spikes.append(s)
        membranes.append(charged if before_reset else state[0])
    spikes, membranes = torch.stack(spikes), torch.stack(membranes)

    expected = golden[f"{name}.spikes"]
    assert torch.equal(spikes, expected)
    assert torch.equal(neuron(x)[0], expected)
    assert spikes.mean().item() == pytest.approx(row["rate"], abs=1e-4)
    torch.testing.assert_close(membranes, golden[f"{name}.mem"], rtol=0, atol=1e-5)
    loss = (spikes * golden["loss_weights_spike"]).sum() + (membranes * golden["loss_weights_mem"]).sum()
    loss.backward()
    assert_close_to_largest(x.grad, golden[f"{name}.grad_input"], 1e-5)


def test_every_stored_run_is_compared():
    assert (len(cases("sj2_neurons")), len(cases("snntorch_leaky"))) == (53, 24)
