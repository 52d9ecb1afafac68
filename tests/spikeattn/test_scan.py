"""The loop over time, and the operator that stands in for it while exporting with a symbolic T."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from spikeattn.neurons import ILIF, LIF, PLIF
from spikeattn.scan import scan


class Sums(NamedTuple):
    total: Tensor
    parts: tuple[Tensor, None]


def add(x, state):
    """Running total, and the last two inputs' sum; outputs alias the state on purpose."""
    total = state.total + x
    return total, Sums(total, (x, None))


def start(x):
    return Sums(torch.zeros_like(x[0]), (torch.zeros_like(x[0]), None))


def test_loop_equals_cumulative_sum():
    x = torch.randn(5, 3, dtype=torch.float64)
    out, state = scan(add, x, start(x))
    torch.testing.assert_close(out, x.cumsum(0))
    assert torch.equal(state.total, out[-1])
    assert torch.equal(state.parts[0], x[-1]) and state.parts[1] is None


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match=r"scan: .*at least one time step, got T = 0\. Pass"):
        scan(add, torch.zeros(0, 3), start(torch.zeros(1, 3)))


class Total(nn.Module):
    def forward(self, x):
        out, state = scan(add, x, start(x))
        return out, state.total, state.parts[0]


class Layer(nn.Module):
    """A neuron behind a weight; T is the first axis."""

    def __init__(self, neuron):
        super().__init__()
        self.linear, self.neuron = nn.Linear(6, 6), neuron

    def forward(self, x):
        spikes, state = self.neuron(3 * self.linear(x))
        return spikes, state.v


def exported(module, x):
    steps, batch = torch.export.Dim("steps"), torch.export.Dim("batch")
    return torch.export.export(module, (x,), dynamic_shapes=({0: steps, 1: batch},))


def calls(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("module", [Total(), Layer(PLIF()), Layer(ILIF(beta=0.5))], ids=["sums", "plif", "ilif"])
def test_one_exported_program_serves_every_length(module):
    module.eval()
    program = exported(module, torch.randn(4, 2, 6))
    names = calls(program)
    assert sum("scan" in name for name in names) == 1
    assert len(program.graph_signature.lifted_tensor_constants) == 0, "a membrane was baked in"
    for steps, batch in ((1, 1), (2, 3), (11, 2)):
        x = torch.randn(steps, batch, 6)
        torch.testing.assert_close(program.module()(x), module(x))


def test_lif_is_one_node_in_the_exported_program():
    module = Layer(LIF()).eval()
    program = exported(module, torch.randn(4, 2, 6))
    names = calls(program)
    assert sum(name.startswith("spikeattn.lif") for name in names) == 1
    assert not any("scan" in name for name in names)
    for steps in (1, 3, 12):
        x = torch.randn(steps, 2, 6)
        torch.testing.assert_close(program.module()(x), module(x))


def test_a_fixed_length_is_unrolled():
    batch = torch.export.Dim("batch")
    program = torch.export.export(Total(), (torch.randn(3, 2, 6),), dynamic_shapes=({1: batch},))
    names = calls(program)
    assert not any("scan" in name for name in names)
    assert sum("add" in name for name in names) == 3


def test_the_loop_runs_under_vmap_of_grad():
    x = torch.randn(4, 3, 2, dtype=torch.float64)

    def loss(row):
        return (scan(add, row, start(row))[0] ** 2).sum()

    per_item = torch.func.vmap(torch.func.grad(loss), in_dims=1, out_dims=1)(x)
    leaf = x.clone().requires_grad_()
    (whole,) = torch.autograd.grad(loss(leaf), leaf)
    torch.testing.assert_close(per_item, whole)
