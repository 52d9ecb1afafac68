"""Ternary Spike against a scalar loop over its code's equations, and the gradient of its clamp."""

import pytest
import torch

from spikeattn.neurons import ScaledTernarySpike, TernaryLIF, TernarySpike


def by_hand(currents, v_th):
    """mem = 0.25 mem + x, z = mem / V_th, silent where |z| < 0.5, hard reset."""
    mem, sent = 0.0, []
    for x in currents:
        mem = 0.25 * mem + x
        z = mem / v_th
        s = 0.0 if abs(z) < 0.5 else (1.0 if z > 0 else -1.0)
        mem = mem * (1 - abs(s))
        sent.append(s)
    return sent, mem


@pytest.mark.parametrize("v_th", [1.0, 2.0])
def test_spikes_and_membrane_are_those_of_the_code(v_th):
    x = torch.randint(-8, 9, (50, 1), generator=torch.Generator().manual_seed(1)).double() / 8
    spikes, state = TernarySpike(threshold=v_th / 2)(x)
    expected, mem = by_hand(x.flatten().tolist(), v_th)
    assert spikes.flatten().tolist() == expected and len(set(expected)) == 3
    assert state.v.item() == mem


@pytest.mark.parametrize("v_th", [1.0, 0.5])
def test_gradient_is_the_window_of_the_clamp(v_th):
    u = torch.linspace(-2, 2, 41).unsqueeze(0) * v_th + 1e-3 * v_th
    u.requires_grad_()
    TernarySpike(threshold=v_th / 2)(u)[0].sum().backward()
    assert torch.allclose(u.grad, (u.detach().abs() <= v_th).float() / v_th)


def test_a_learnable_amplitude_scales_learns_and_folds():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    neuron = ScaledTernarySpike(amplitude=1.5)
    spikes, _ = neuron(x)
    units, _ = TernarySpike()(x)
    assert torch.equal(spikes, 1.5 * units)
    spikes.square().sum().backward()
    assert neuron.scale.grad.item() == pytest.approx(2 * 1.5 * units.abs().sum().item())
    folded, amplitude = neuron.folded()
    assert amplitude == 1.5 and torch.equal(folded(x)[0] * amplitude, spikes)
    steps, state = [], neuron.init_state(x[0])
    for x_t in x:
        spikes_t, state = neuron.step(x_t, state)
        steps.append(spikes_t)
    assert torch.equal(torch.stack(steps), spikes)


def test_it_is_a_ternary_lif_and_refuses_no_threshold():
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(TernarySpike()(x)[0], TernaryLIF(beta=0.25, threshold=0.5)(x)[0])
    with pytest.raises(ValueError, match="threshold must be positive, got 0"):
        TernarySpike(threshold=0)
