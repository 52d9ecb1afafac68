"""Dual spike self-attention: its equations written out, running firing rates, unset rates, what it refuses."""

import pytest
import torch

from spikeattn.attention import DualSpikeSelfAttention
from spikeattn.neurons import LIF


def make(**options):
    torch.manual_seed(0)
    return DualSpikeSelfAttention(8, 2, neuron=LIF.from_tau(2.0), patch=2, **options)


def spikes(batch=2, rate=0.3):
    return (torch.rand(3, batch, 16, 8, generator=torch.Generator().manual_seed(1)) < rate).float()


def by_hand(attention, x, rates):
    """The two products with loops over heads; rates: (f_x, f_A) of each head."""
    picture = x.flatten(0, 1).mT.reshape(-1, 8, 4, 4)
    y = attention.norm(attention.reduce(picture)).reshape(*x.shape[:2], 16, 4)  # 4 patches of 2 x 2
    scores, currents = [], []
    for head in range(2):
        y1 = y[:, :, head * 8:head * 8 + 4]
        x_h = x[..., head * 4:head * 4 + 4]  # (T, B, N, d)
        scores.append(torch.einsum("tbdp,tbnd->tbpn", y1, x_h) / (rates[0][head] * 4) ** 0.5)
    fired, _ = attention.attn_neuron(torch.stack(scores, 2))
    for head in range(2):
        y2 = y[:, :, head * 8 + 4:head * 8 + 8]
        currents.append(torch.einsum("tbdp,tbpn->tbnd", y2, fired[:, :, head]) / (rates[1][head] * 4) ** 0.5)
    out, _ = attention.out_neuron(torch.cat(currents, -1))
    return attention.proj(out)


@torch.no_grad()
def test_is_the_two_products_of_its_equations():
    attention, x = make().double().eval(), spikes().double()
    rates = ([0.3, 0.2], [0.1, 0.4])
    attention.firing_rate_x.copy_(torch.tensor(rates[0]).view(1, 1, 2, 1, 1))
    attention.firing_rate_attn.copy_(torch.tensor(rates[1]).view(1, 1, 2, 1, 1))
    out, _ = attention(x, grid=(4, 4))
    torch.testing.assert_close(out, by_hand(attention, x, rates), rtol=1e-12, atol=1e-12)


def test_the_first_training_batch_sets_the_rates_and_later_ones_move_them():
    attention, first, second = make(momentum=0.75).train(), spikes(rate=0.25), spikes(rate=0.75)
    attention(first, grid=(4, 4))
    rate = first.unflatten(-1, (2, 4)).mean((0, 1, 2, 4))
    torch.testing.assert_close(attention.firing_rate_x.flatten(), rate)
    assert 0 < attention.firing_rate_attn.min() < attention.firing_rate_attn.max() < 1
    attention(second, grid=(4, 4))
    moved = 0.75 * rate + 0.25 * second.unflatten(-1, (2, 4)).mean((0, 1, 2, 4))
    torch.testing.assert_close(attention.firing_rate_x.flatten(), moved)
    stored = attention.state_dict()
    assert {"firing_rate_x", "firing_rate_attn"} <= stored.keys()
    attention.eval()(first, grid=(4, 4))
    torch.testing.assert_close(attention.firing_rate_x.flatten(), moved)


@torch.no_grad()
def test_unset_rates_are_those_of_the_item_at_hand_and_stay_unset_in_evaluation():
    attention, x = make().eval(), spikes()
    out, _ = attention(x, grid=(4, 4))
    assert out.isfinite().all() and out.std() > 0
    assert attention.firing_rate_x.count_nonzero() == 0
    alone, _ = attention(x[:, 1:], grid=(4, 4))
    assert torch.equal(out[:, 1:], alone)


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
def test_a_silent_input_gives_no_division_by_zero(training):
    attention = make().train(training)
    out, state = attention(torch.zeros(3, 2, 16, 8), grid=(4, 4))
    assert out.isfinite().all() and state.attn.v.isfinite().all()


@torch.no_grad()
def test_a_stored_number_of_keys_replaces_that_of_the_picture():
    attention, x = make().eval(), spikes()
    twin = make(keys=64).eval()
    currents = []
    for layer in (attention, twin):
        layer.firing_rate_x.fill_(0.3)
        layer.firing_rate_attn.fill_(0.3)
        layer.out_neuron.register_forward_hook(lambda _module, inputs, _output: currents.append(inputs[0]))
        layer(x, grid=(4, 4))
    torch.testing.assert_close(currents[0], 4 * currents[1])  # sqrt(64 / 4)


@pytest.mark.parametrize(("call", "words"), [
    (lambda a, x: a(x), "grid must be .* got None"),
    (lambda a, x: a(x, grid=(4, 5)), "grid must hold the 16 tokens"),
    (lambda a, x: a(x, grid=(16, 1)), "one patch of 2 x 2, got"),
    (lambda a, x: a(x, grid=(4, 4), mask=torch.ones(16, 16, dtype=torch.bool)), "mask must be None"),
])
def test_what_it_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call(make(), spikes())
    with pytest.raises(ValueError, match="patch must be at least 1"):
        DualSpikeSelfAttention(8, 2, patch=0)
