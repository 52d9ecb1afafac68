"""Neurons are priced by what they declare, ours and those of other libraries."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.count import COUNTERS, FREE
from neuromorphic.count.neuron import per_update
from spikeattn.neurons import IF, ILIF, LIF, PLIF, Leaky, TernaryLIF
from spikeattn.ops import OPS, lif
from spikeattn.types import NeuronCost

BASE = {"ADD": 1, "CMP": 1}
DECLARED = {  # neuron: operations of one update
    "IF": (IF(), BASE | {"AND": 1}),
    "LIF, decay 1/2": (LIF(beta=0.5), BASE | {"SHIFT": 1, "AND": 1}),
    "LIF, decay 0.9": (LIF(beta=0.9), BASE | {"MUL": 1, "AND": 1}),
    "LIF, soft reset": (LIF(beta=0.5, reset="soft"), {"ADD": 2, "SHIFT": 1, "CMP": 1}),
    "LIF, no reset": (LIF(beta=0.5, reset="none"), BASE | {"SHIFT": 1}),
    "PLIF": (PLIF(), BASE | {"MUL": 1, "AND": 1}),
    "TernaryLIF": (TernaryLIF(beta=0.5), {"ADD": 1, "CMP": 2, "SHIFT": 1, "AND": 1}),
}


@pytest.mark.parametrize("name", DECLARED)
def test_our_neurons(name):
    neuron, per_element = DECLARED[name]
    x = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0)) * 2  # (T, B, D)
    ledger = trace(neuron, x, timesteps=3, batch_axis=1)
    (row,) = ledger.rows
    assert energy.operation_counts(ledger) == {op: 30 * n for op, n in per_element.items()}
    assert row.words == {"membrane_read": 30, "membrane_write": 30}
    spikes, _ = neuron(x)
    (emission,) = ledger.emissions
    assert 0 < int((spikes != 0).sum()) < 30
    assert emission.positive == tuple(int((s > 0).sum()) for s in spikes)
    assert emission.negative == tuple(int((s < 0).sum()) for s in spikes)
    assert (emission.units, emission.numel, emission.steps) == (5, 30, 3)
    assert emission.silent_units == sum(bool((spikes[..., i] == 0).all()) for i in range(5))
    assert emission.saturated_units == sum(bool((spikes[..., i] != 0).all()) for i in range(5))


@pytest.mark.parametrize("neuron", [ILIF(levels=4), Leaky(beta=0.5)])
def test_the_declaration_is_what_is_counted(neuron):
    ledger = trace(neuron, torch.rand(2, 3, 4) * 3, timesteps=2, batch_axis=1)
    assert energy.operation_counts(ledger) == {op: 24 * n for op, n in per_update(neuron.cost).items()}


def test_levels_of_an_integer_neuron():
    x = torch.tensor([[[1.2, 3.9, 0.1]], [[0.0, 2.0, 9.0]]])
    (emission,) = trace(ILIF(levels=4), x, timesteps=2, batch_axis=1).emissions
    assert (emission.positive, emission.levels) == ((2, 2), (5, 6))


class Home(nn.Module):
    """A neuron from elsewhere that declares its cost in our words, with a weight layer inside."""

    alphabet = "binary"

    def __init__(self):
        super().__init__()
        self.cost = NeuronCost(leak="none", compares=1, reset="none", state_words=3)
        self.recurrent = nn.Linear(4, 4, bias=False)

    def forward(self, x, state=None):
        return (self.recurrent(x) > 0).float().exp().log(), None


def test_weights_inside_a_neuron_are_not_lost():
    ledger = trace(Home(), torch.rand(2, 3, 4), timesteps=2, batch_axis=1)
    assert [(row.scope, row.op) for row in ledger.rows] == [("recurrent", "linear"), ("", "neuron")]
    assert energy.operation_counts(ledger) == {"MAC": 2 * 3 * 16, "ADD": 24, "CMP": 24}
    assert ledger.rows[1].words["membrane_read"] == 3 * 24


spikingjelly = pytest.importorskip("spikingjelly.activation_based.neuron")
snntorch = pytest.importorskip("snntorch")

JELLY = {
    "IFNode": ({}, BASE | {"AND": 1}),
    "IFNode soft": ({"v_reset": None}, {"ADD": 2, "CMP": 1}),
    "LIFNode": ({"tau": 2.0}, BASE | {"SHIFT": 1, "AND": 1}),
    "LIFNode slow": ({"tau": 3.0}, BASE | {"MUL": 1, "AND": 1}),
    "ParametricLIFNode": ({}, BASE | {"MUL": 1, "AND": 1}),
    "SimpleIFNode": ({}, BASE | {"AND": 1}),
    "SimpleLIFNode": ({"tau": 2.0, "decay_input": True}, BASE | {"SHIFT": 1, "AND": 1}),
    "HalfThresholdIFNode": ({}, {"ADD": 2, "CMP": 1}),
    "KLIFNode": ({"tau": 2.0}, {"ADD": 1, "SHIFT": 1, "MUL": 1, "CMP": 2, "AND": 1}),
    "ILIFNode": ({"tau": 2.0, "v_threshold": 0.5}, {"ADD": 2, "SHIFT": 1, "CMP": 4}),
    "TernaryIFNode": ({}, {"ADD": 1, "CMP": 2, "AND": 1}),
    "TernaryLIFNode": ({"tau": 2.0, "v_reset": None}, {"ADD": 2, "SHIFT": 1, "CMP": 2}),
}


@pytest.mark.parametrize("name", JELLY)
def test_spikingjelly(name):
    options, per_element = JELLY[name]
    neuron = getattr(spikingjelly, name.split()[0])(step_mode="m", **options)
    neuron.v = torch.full((2, 5), 0.25)  # a membrane somebody left behind
    x = torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(0)) * 3 - 0.5
    ledger = trace(neuron, x, timesteps=3, batch_axis=1)
    assert energy.operation_counts(ledger) == {op: 30 * n for op, n in per_element.items()}
    assert (ledger.emissions[0].steps, ledger.emissions[0].units) == (3, 5)
    assert 0 < sum(ledger.emissions[0].positive) + sum(ledger.emissions[0].negative) < 30
    assert ledger.coverage.fraction == 1.0
    assert torch.equal(neuron.v, torch.full((2, 5), 0.25))


@pytest.mark.parametrize("name", JELLY)
def test_spikingjelly_one_step_at_a_time(name):
    options, per_element = JELLY[name]
    neuron = getattr(spikingjelly, name.split()[0])(step_mode="s", **options)

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.neuron = neuron

        def forward(self, x):
            return torch.stack([self.neuron(step) for step in x.unbind(1)], 1)

    x = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)) * 3 - 0.5  # (B, T, D)
    ledger = trace(Loop(), x)
    assert energy.operation_counts(ledger) == {op: 30 * n for op, n in per_element.items()}
    assert [(e.call, e.steps, e.units) for e in ledger.emissions] == [(0, 3, 5)]  # the turns of the loop are steps
    (whole,) = trace(Loop(), x, timesteps=3).emissions
    assert whole == ledger.emissions[0] and trace(Loop(), x, timesteps=1).emissions[1].steps == 1
    assert ledger.coverage.fraction == 1.0


def test_spikingjelly_currents_decay_too():
    neuron = spikingjelly.CUBALIFNode(c_decay=0.5, v_decay=0.75)
    neuron.step_mode = "m"
    ledger = trace(neuron, torch.rand(3, 2, 5), timesteps=3, batch_axis=1)
    assert energy.operation_counts(ledger) == {"ADD": 60, "SHIFT": 30, "MUL": 30, "CMP": 30, "AND": 30}
    assert ledger.rows[0].words["membrane_read"] == 60


PARALLEL = {"PSN": {"T": 3}, "MaskedPSN": {"T": 3, "k": 2}, "SlidingPSN": {"k": 2}}


@pytest.mark.parametrize("name", PARALLEL)
def test_weights_over_time_are_products(name):
    neuron = getattr(spikingjelly, name)(**PARALLEL[name], **({} if name == "PSN" else {"step_mode": "m"}))
    ledger = trace(neuron, torch.rand(3, 2, 5), timesteps=3, batch_axis=1)
    products = [row for row in ledger.rows if row.dense]
    assert len(products) == 1 and products[0].dense >= 3 * 10 and ledger.coverage.fraction == 1.0
    (neuron,) = (row for row in ledger.rows if row.op == "neuron")
    assert neuron.counts == {"CMP": 30} and not neuron.words["membrane_read"]


@pytest.mark.parametrize("name", ["QIFNode", "EIFNode", "IzhikevichNode", "GatedLIFNode", "ComplementaryLIFNode"])
def test_spikingjelly_neurons_nobody_described_are_named(name):
    options = {"T": 3} if name == "GatedLIFNode" else {}
    ledger = trace(getattr(spikingjelly, name)(step_mode="m", **options), torch.rand(3, 2, 5), batch_axis=1)
    assert [(t.op, t.numel) for t in ledger.coverage.uncovered] == [(f"neuron:{name}", 30)]
    assert not ledger.rows and ledger.coverage.fraction == 0.0


def test_spikingjelly_batches_do_not_see_each_other():
    neuron = spikingjelly.IFNode(step_mode="m")
    x = torch.full((2, 4, 3), 0.4)
    once, twice = trace(neuron, x, batch_axis=1, timesteps=2), trace(neuron, [x, x], batch_axis=1, timesteps=2)
    assert twice == once + once


class Stepping(nn.Module):
    """snnTorch's way: a loop over time in the user's code."""

    def __init__(self, neuron, start):
        super().__init__()
        self.fc, self.neuron, self.start = nn.Linear(6, 5), neuron, start

    def forward(self, x):
        state = getattr(self.neuron, self.start)()
        state = state if isinstance(state, tuple) else (state,)
        for _ in range(3):
            spikes, *state = self.neuron(self.fc(x), *state)
        return spikes


SNNTORCH = {
    "Leaky": (lambda: snntorch.Leaky(beta=0.9), "init_leaky", {"ADD": 2, "MUL": 1, "CMP": 1}),
    "Leaky zero": (
        lambda: snntorch.Leaky(beta=0.5, reset_mechanism="zero"), "init_leaky", BASE | {"SHIFT": 1, "AND": 1},
    ),
    "Synaptic": (
        lambda: snntorch.Synaptic(alpha=0.9, beta=0.5), "init_synaptic", {"ADD": 3, "MUL": 1, "SHIFT": 1, "CMP": 1},
    ),
    "Synaptic zero": (
        lambda: snntorch.Synaptic(alpha=0.9, beta=0.5, reset_mechanism="zero"), "init_synaptic",
        {"ADD": 2, "MUL": 1, "SHIFT": 1, "CMP": 1, "AND": 2},
    ),
    "Leaky none": (lambda: snntorch.Leaky(beta=0.9, reset_mechanism="none"), "init_leaky", BASE | {"MUL": 1}),
    "Lapicque": (lambda: snntorch.Lapicque(R=5, C=0.4), "init_lapicque", {"ADD": 2, "SHIFT": 1, "CMP": 1}),
    "Lapicque slow": (lambda: snntorch.Lapicque(beta=0.9), "init_lapicque", {"ADD": 2, "MUL": 1, "CMP": 1}),
    "Alpha": (
        lambda: snntorch.Alpha(alpha=0.9, beta=0.5), "init_alpha", {"ADD": 3, "MUL": 2, "SHIFT": 1, "CMP": 1, "AND": 3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SNNTORCH)
def test_snntorch(name):
    build, start, per_element = SNNTORCH[name]
    ledger = trace(Stepping(build(), start), torch.rand(2, 6))
    neurons = [row for row in ledger.rows if row.op == "neuron"]
    assert [(row.steps, row.counts) for row in neurons] == [(3, {op: 30 * n for op, n in per_element.items()})]
    assert {row.op for row in ledger.rows} == {"linear", "neuron"}
    assert ledger.coverage.fraction == 1.0


def test_snntorch_hidden_membranes():
    neuron = snntorch.Leaky(beta=0.5, init_hidden=True)
    model, x = nn.Sequential(nn.Linear(6, 5), neuron), torch.rand(2, 6)
    assert trace(model, [x, x]) == trace(model, x) + trace(model, x)


@pytest.mark.parametrize("all_to_all", [True, False])
def test_recurrent_weights_are_products(all_to_all):
    sizes = {"linear_features": 5} if all_to_all else {"V": 0.5}
    model = Stepping(snntorch.RLeaky(beta=0.5, all_to_all=all_to_all, **sizes), "init_rleaky")
    ledger = trace(model, torch.rand(2, 6) * 3)
    gate = {} if all_to_all else {"AND": 30}
    neurons = [row for row in ledger.rows if row.op == "neuron"]
    assert [row.counts for row in neurons] == [{"ADD": 90, "SHIFT": 30, "CMP": 30} | gate]
    inside = [row for row in ledger.rows if row.scope == "neuron.recurrent"]
    assert [row.dense for row in inside] == (2 * [2 * 25] if all_to_all else [])  # nothing came back at the first step
    assert ledger.coverage.fraction == 1.0


@pytest.mark.parametrize("options", [{"inhibition": True}, {"state_quant": lambda state: state}])
def test_options_that_cost_more_than_the_equation_are_uncovered(options):
    ledger = trace(Stepping(snntorch.Leaky(beta=0.9, **options), "init_leaky"), torch.rand(2, 6))
    assert [(t.op, t.calls, t.numel) for t in ledger.coverage.uncovered] == [("neuron:Leaky", 3, 30)]
    assert ledger.coverage.fraction == 0.5


def test_a_foreign_neuron_nobody_described_is_uncovered():
    ledger = trace(snntorch.SLSTM(6, 5), torch.rand(2, 6))
    assert [(t.op, t.calls, t.numel) for t in ledger.coverage.uncovered] == [("neuron:SLSTM", 1, 10)]
    assert {row.op for row in ledger.rows} == {"linear"}  # its weights are still products


def test_a_subclass_of_a_known_neuron_is_known():
    class Mine(spikingjelly.LIFNode):
        def extra_repr(self):
            return "mine"

    ledger = trace(Mine(step_mode="m"), torch.rand(3, 2, 5), timesteps=3, batch_axis=1)
    assert [t.op for t in ledger.coverage.counted] == ["neuron:Mine"]


def test_a_subclass_with_dynamics_of_its_own_is_not():
    class Cubic(spikingjelly.LIFNode):
        def multi_step_forward(self, x):
            return (x**3 > 1).to(x)

    ledger = trace(Cubic(step_mode="m"), torch.rand(3, 2, 5), timesteps=3, batch_axis=1)
    assert [t.op for t in ledger.coverage.uncovered] == ["neuron:Cubic"] and not ledger.rows


@dataclass
class NoCost:
    leak: str = "none"


def test_a_module_with_another_cost_is_no_neuron():
    class Priced(nn.Linear):
        cost, alphabet = NoCost(), "binary"

    assert [row.op for row in trace(Priced(4, 2), torch.rand(1, 4)).rows] == ["linear"]


def test_the_lif_op_by_itself_costs_what_the_neuron_costs():
    class Functional(nn.Module):
        def forward(self, x):
            return lif(x, None, beta=0.9, threshold=0.5, reset="soft", ternary=True)[0]

    ledger = trace(Functional(), torch.rand(3, 2, 5), timesteps=3, batch_axis=1)
    assert energy.operation_counts(ledger) == {"ADD": 60, "MUL": 30, "CMP": 60}
    assert ledger.coverage.fraction == 1.0


def test_every_op_of_ours_is_known():
    forward = {f"spikeattn::{op.name}" for op in OPS if not op.name.endswith("_backward")}
    assert len(forward) >= 7 and forward <= COUNTERS.keys() | FREE


def test_levels_of_a_normalised_integer_neuron_are_levels():
    """k / D is the level k times a step that folds into the weights: D unit spikes at most, never a real number."""
    from spikeattn.blocks import SpikingSequential
    from spikeattn.neurons import ILIF

    x = torch.tensor([[[1.0, 2.0, 0.2, 9.0]]])
    rows = {}
    for normalise in (False, True):
        torch.manual_seed(0)
        layer = SpikingSequential(ILIF(levels=4, normalise=normalise), nn.Linear(4, 3, bias=False))
        rows[normalise] = next(row for row in trace(layer, x, timesteps=1).rows if row.op == "linear")
    assert rows[True].left.kind == "graded" and rows[True].left_units == 3 * (1 + 2 + 0 + 4)
    assert rows[True] == rows[False]


def test_lowest_levels_of_a_normalised_neuron_are_single_events():
    """Where it sends nothing but 1 / D, every 1 / D is one event, in whatever product it is met."""
    from spikeattn.neurons import ILIF

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.neuron, self.conv = ILIF(levels=4, normalise=True), nn.Conv2d(1, 1, 3, padding=1, bias=False)

        def forward(self, x):
            spikes = self.neuron(x)[0][0]
            return self.conv(spikes), spikes @ spikes.mT, nn.functional.scaled_dot_product_attention(*[spikes] * 3)

    fired = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])  # none reaches the second level
    ledger = trace(Net(), fired.view(1, 1, 1, 3, 3), timesteps=1, batch_axis=1)
    taps = torch.tensor([[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]])
    (conv,), (product, _, value) = ([row for row in ledger.rows if row.op == op] for op in ("conv", "matmul"))
    assert conv.left_events == conv.left_units == int((taps * fired).sum())
    per_column = fired.sum(0)
    assert product.coincidence == int((per_column * per_column).sum())
    assert value.coincidence == 3 * int(fired.sum())
    (emission,) = ledger.emissions
    assert (emission.silent_units, emission.saturated_units) == (3, 6)
