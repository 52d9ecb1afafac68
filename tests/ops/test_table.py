"""Tables against the functions they stand for."""

import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.ops import table_lookup
from spikeattn.ops.table import FUNCTIONS, Function, build_table

TORCHS = {
    "gelu": nnf.gelu, "gelu_tanh": lambda x: nnf.gelu(x, approximate="tanh"), "silu": nnf.silu, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "relu": torch.relu, "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}  # fmt: skip
every_function = pytest.mark.parametrize("name", FUNCTIONS)


@every_function
def test_formula_and_slope(name):
    x = torch.linspace(-12, 12, 240_001, dtype=torch.float64, requires_grad=True)
    y = FUNCTIONS[name].formula(x)
    assert (y - TORCHS[name](x)).abs().max() < 1e-12
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert 0.9999 * FUNCTIONS[name].lipschitz < slope.abs().max().item() <= FUNCTIONS[name].lipschitz


@every_function
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_error_stays_within_the_bound(name, data):
    """Real x in the unit of the accumulator, 2**-shift of that of the table."""
    bits, shift = data.draw(st.integers(4, 12)), data.draw(st.integers(0, 12))
    input_unit = data.draw(st.floats(1e-3, 0.5))
    output_unit = 2.0 ** data.draw(st.integers(-14, -2))
    table = build_table(name, input_unit=input_unit, output_unit=output_unit, bits=bits)
    edge = 2 ** (bits - 1 + shift)
    half = 2**shift // 2
    a = torch.tensor(data.draw(st.lists(st.integers(-edge - half, edge - half - 1), min_size=1, max_size=40)))
    y = output_unit * table_lookup(a, shift, table)
    x = a.double() * input_unit / 2**shift
    assert (y - FUNCTIONS[name].formula(x)).abs().max() <= table.bound(FUNCTIONS[name]) * (1 + 1e-12)


def test_the_bound_is_nearly_reached():
    table = build_table("gelu", input_unit=0.1, output_unit=0.05, bits=8)
    a = torch.arange(-1024, 1024)  # sixteenths of the table's unit
    error = (0.05 * table_lookup(a, 4, table) - FUNCTIONS["gelu"].formula(a * 0.1 / 16)).abs().max().item()
    assert 0.85 * table.bound(FUNCTIONS["gelu"]) < error <= table.bound(FUNCTIONS["gelu"])


def test_values_beyond_the_table_read_its_ends():
    table = build_table("tanh", input_unit=0.25, output_unit=2**-8, bits=6)
    ends = table_lookup(torch.tensor([-(2**40), 2**40]), 0, table)
    assert ends.tolist() == [table.entries[0].item(), table.entries[-1].item()]


def test_one_shift_for_each_channel():
    table = build_table("relu", input_unit=1.0, output_unit=1.0, bits=8)
    assert table_lookup(torch.tensor([[12, 12, -12]]), torch.tensor([0, 2, -1]), table).tolist() == [[12, 3, 0]]


def test_the_two_gelus_are_different_functions():
    erf, tanh = (build_table(name, input_unit=2**-6, output_unit=2**-14) for name in ("gelu", "gelu_tanh"))
    difference = (erf.entries - tanh.entries).abs().max().item() * 2**-14
    assert 4e-4 < difference < 6e-4


def test_gelu_is_not_monotone():
    table = build_table("gelu", input_unit=2**-8, output_unit=2**-16, bits=12)
    lowest = table.entries.argmin().item() + table.lowest
    assert lowest * 2**-8 == pytest.approx(-0.75176, abs=2**-6)  # entries next to it round alike
    assert table.entries.min().item() * 2**-16 == pytest.approx(-0.16997, abs=2**-16)


def test_a_function_of_your_own():
    table = build_table(Function(lambda x: x.abs(), 1.0), input_unit=1.0, output_unit=1.0, bits=3)
    assert table.entries.tolist() == [4, 3, 2, 1, 0, 1, 2, 3]


def test_refusals():
    with pytest.raises(ValueError, match="gelu"):
        build_table("gellu", input_unit=1.0, output_unit=1.0)
    with pytest.raises(ValueError, match="entries"):
        build_table("gelu", input_unit=1.0, output_unit=1.0, bits=0)
    with pytest.raises(ValueError, match="units must be positive"):
        build_table("gelu", input_unit=0.0, output_unit=1.0)
    with pytest.raises(TypeError, match="int64"):
        table_lookup(torch.tensor([1.0]), 0, build_table("gelu", input_unit=1.0, output_unit=1.0))
