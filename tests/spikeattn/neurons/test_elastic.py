"""Elastic bi-spiking against a scalar loop over its code's equations."""

import pytest
import torch

from spikeattn.neurons import ElasticBiSpiking


def by_hand(currents, alpha):
    """m = 0.25 m (alpha - s) + x, s = alpha clamp(round(m / alpha), -1, 1), with the s of the step before."""
    m, s, sent = 0.0, alpha, []  # nothing to carry at first
    for x in currents:
        m = 0.25 * m * (alpha - s) + x
        s = alpha * min(1.0, max(-1.0, float(round(m / alpha))))
        sent.append(s)
    return sent


@pytest.mark.parametrize("alpha", [1.0, 0.5, 2.0])
def test_spikes_times_alpha_are_those_of_the_code(alpha):
    x = torch.randint(-16, 17, (200, 1), generator=torch.Generator().manual_seed(1)).double() / 16
    neuron = ElasticBiSpiking(threshold=alpha / 2)
    assert neuron.alpha == alpha
    spikes, _ = neuron(x)
    expected = by_hand(x.flatten().tolist(), alpha)
    assert (alpha * spikes).flatten().tolist() == expected and len(set(expected)) == 3


@torch.no_grad()
def test_what_the_reset_leaves_depends_on_the_sign():
    x = torch.tensor([[1.0, 0.4, -1.0]])
    _, state = ElasticBiSpiking()(x)
    assert torch.allclose(state.v, torch.tensor([[0.0, 0.1, -0.5]]))


def test_gradient_is_the_window():
    u = torch.linspace(-3, 3, 60).unsqueeze(0).requires_grad_()
    ElasticBiSpiking(threshold=1.0)(u)[0].sum().backward()
    assert torch.allclose(u.grad, (u.detach().abs() <= 2).float() / 2)


def test_alpha_from_the_first_current():
    x = torch.tensor([[-1.0, 3.0]])
    assert ElasticBiSpiking.from_current(x).alpha == 4.0


@pytest.mark.parametrize(("options", "words"), [({"threshold": 0}, "threshold must be positive"),
                                                ({"beta": 1.5}, "beta must lie in")])
def test_impossible_constants_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ElasticBiSpiking(**options)
