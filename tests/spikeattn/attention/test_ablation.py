"""The paper's ablation, binary or ternary product by no normaliser, softmax or Shiftmax, and the frozen control."""

import pytest
import torch

from spikeattn import create_model
from spikeattn.attention import (
    BinaryShiftmaxAttention,
    BinarySoftmaxAttention,
    BipolarSelfAttention,
    RandomQKAttention,
    SpikingSelfAttention,
    TernaryProductAttention,
    TernarySoftmaxAttention,
)
from spikeattn.neurons import LIF

CELLS = {
    ("binary", "none"): SpikingSelfAttention, ("binary", "softmax"): BinarySoftmaxAttention,
    ("binary", "shiftmax"): BinaryShiftmaxAttention, ("ternary", "none"): TernaryProductAttention,
    ("ternary", "softmax"): TernarySoftmaxAttention, ("ternary", "shiftmax"): BipolarSelfAttention,
}
D, H, N = 16, 2, 5


def spikes(alphabet, generator):
    low = -1 if alphabet == "ternary" else 0
    return torch.randint(low, 2, (1, 1, H, N, D // H), generator=generator).double()


def powers_of_two(scores):
    """2^x over the least power of two that is not below the row's sum, in doubles that hold it exactly."""
    totals = (2.0**scores).sum(-1, keepdim=True)
    mantissa, exponent = torch.frexp(totals)
    return 2.0 ** (scores - (exponent - (mantissa == 0.5).int()))


@pytest.mark.parametrize(("product", "normaliser"), CELLS)
def test_a_cell_is_one_call_and_computes_its_formula(product, normaliser):
    attention = CELLS[product, normaliser](D, H)
    assert attention.q_neuron.alphabet == attention.k_neuron.alphabet == attention.attn_neuron.alphabet == product
    assert (attention.v_neuron is None) == (normaliser != "none")
    generator = torch.Generator().manual_seed(0)
    q, k = spikes(product, generator), spikes(product, generator)
    v = torch.randint(0, 2, q.shape, generator=generator).double()
    scores = q @ k.mT
    weights = {"none": scores * 0.125, "softmax": scores.softmax(-1), "shiftmax": powers_of_two(scores)}[normaliser]
    assert torch.allclose(attention.mix(q, k, v, None), weights @ v, rtol=1e-12, atol=1e-12)


def test_all_cells_have_the_same_parameters():
    counts = {sum(p.numel() for p in kind(D, H).parameters()) for kind in CELLS.values()}
    assert len(counts) == 1


@pytest.mark.parametrize("name", ["tmp", "tmp_softmax", "bmp_softmax", "bmp_shiftmax", "ssa", "bsa"])
def test_every_cell_stands_in_a_host_by_name(name):
    assert create_model("spikingformer_tiny", attention=name)(torch.rand(1, 1, 8, 8)).isfinite().all()


def test_frozen_queries_and_keys_never_move_and_are_saved():
    torch.manual_seed(0)
    attention = RandomQKAttention(D, H, neuron=LIF(), bias=True)
    attention.init_firing(tokens=N, output_scale=1.0)
    before = {name: value.clone() for name, value in attention.state_dict().items()}
    optimiser = torch.optim.SGD(attention.parameters(), lr=1.0)
    x = (torch.rand(3, 2, N, D) < 0.3).float()
    attention(x)[0].square().sum().backward()
    optimiser.step()
    moved = {name for name, value in attention.state_dict().items() if not torch.equal(value, before[name])}
    weights = {name for name in moved if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert weights and all(name.startswith(("v.", "proj.")) for name in weights)
    assert before.keys() == SpikingSelfAttention(D, H, bias=True).state_dict().keys()
    assert before["q.linear.weight"].std() > 0
