"""A loop over time inside a network gives the rows that an axis of time gives."""

from dataclasses import replace

import pytest
import snntorch
import torch
from torch import nn

from neuromorphic import energy, trace
from spikeattn.neurons import LIF

T, B = 4, 2


class Axis(nn.Module):
    """Time as an axis."""

    def __init__(self, samples: torch.Tensor | None = None):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second = nn.Linear(6, 5, bias=False), nn.Linear(5, 3)
        self.neuron, self.last = LIF(beta=0.5), LIF(beta=0.5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randint(-4, 5, parameter.shape, generator=generator) / 4)

    def forward(self, x):  # (T, B, D)
        hidden, _ = self.neuron(self.first(x))
        return self.last(self.second(hidden))[0].mean(0)


class Loop(Axis):
    """The same network, a step at a time."""

    def forward(self, x):
        states, out = (None, None), []
        for step in x.split(1):
            hidden, first = self.neuron(self.first(step), states[0])
            spikes, second = self.last(self.second(hidden), states[1])
            states, out = (first, second), [*out, spikes]
        return torch.cat(out).mean(0)


class Twice(Axis):
    """Its second layer runs twice in every step, on spikes and then on real numbers."""

    def forward(self, x):
        state, out = None, 0
        for step in x.split(1):
            hidden, state = self.neuron(self.first(step), state)
            out = out + self.second(hidden) + self.second(hidden * 0.3 + 0.1)
        return out[0]


def moving() -> torch.Tensor:
    return torch.randint(-2, 4, (T, B, 6), generator=torch.Generator().manual_seed(1)).float()


def of_modules(ledger):
    return [replace(row, order=0) for row in ledger.rows if row.scope]


def test_loop_and_axis_leave_the_same_rows_and_bills():
    x = moving()
    axis, loop = (trace(kind(), x, timesteps=T, batch_axis=1) for kind in (Axis, Loop))
    assert of_modules(axis) == of_modules(loop) and {row.steps for row in loop.rows if row.scope} == {T}
    assert [replace(e, order=0) for e in axis.emissions] == [replace(e, order=0) for e in loop.emissions]
    assert 0 < sum(loop.emissions[0].positive) < loop.emissions[0].numel
    for profile in ("horowitz45_fp32", "horowitz45_int8_acc32"):
        bills = [energy.price(ledger, profile) for ledger in (axis, loop)]
        assert bills[0].by_layer == bills[1].by_layer and bills[0].ann_mj == bills[1].ann_mj


def test_batches_of_a_loop_add_up():
    x = moving()
    whole, parts = (trace(Loop(), batches, timesteps=T, batch_axis=1) for batches in ([x], [x[:, :1], x[:, 1:]]))
    assert whole.rows == parts.rows and whole.emissions == parts.emissions


def test_places_within_a_step_stay_apart():
    rows = [row for row in trace(Twice(), moving(), timesteps=T, batch_axis=1).rows if row.scope == "second"]
    assert [(row.call, row.steps, row.left.kind) for row in rows] == [(0, T, "binary"), (1, T, "real")]


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_visits_that_are_no_multiple_of_the_steps_stay_as_they_are(steps):
    class Uneven(Loop):
        def forward(self, x):
            return super().forward(torch.cat([x] * 4)[:7])

    rows = [row for row in trace(Uneven(), moving(), timesteps=steps, batch_axis=1).rows if row.scope == "first"]
    assert [(row.call, row.steps) for row in rows] == [(call, 1) for call in range(7)]


def test_a_step_of_another_shape_leaves_its_module_as_it_is():
    class Narrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv1d(2, 2, 3)

        def forward(self, x):
            for _ in range(2):
                x = self.layer(x)
            return x

    rows = trace(Narrowing(), torch.rand(B, 2, 9), timesteps=2).rows
    assert [row.steps for row in rows] == [1, 1]


class Shown(nn.Module):
    """A picture shown at every step, as it is or drawn anew."""

    def __init__(self, drawn: bool):
        super().__init__()
        self.drawn, self.layer, self.neuron = drawn, nn.Linear(6, 5, bias=False), snntorch.Leaky(beta=0.5)

    def forward(self, x):
        membrane, out = self.neuron.init_leaky(), 0
        for step in range(T):
            spikes, membrane = self.neuron(self.layer(x[step] if self.drawn else x), membrane)
            out = out + spikes
        return out


def test_a_picture_shown_at_every_step_is_known_to_repeat():
    """Then, and only then, may its first layer be charged once."""
    once = energy.Rule(first_conv="once")
    shown, drawn = trace(Shown(False), torch.rand(B, 6)), trace(Shown(True), torch.rand(T, B, 6), batch_axis=1)
    assert shown.model.timesteps == T and shown.rows[0].left.repeats and not drawn.rows[0].left.repeats
    dense = T * B * 6 * 5
    assert [energy.operation_counts(shown, rule)["MAC"] for rule in (energy.Rule(), once)] == [dense, dense // T]
    assert energy.operation_counts(drawn, once)["MAC"] == dense
