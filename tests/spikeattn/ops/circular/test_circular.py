"""Derivatives, number formats, graphs and error messages of the circulant products."""

import pytest
import torch

from spikeattn.ops.circular import (
    causal_matmul,
    causal_matmul_fft,
    causal_matmul_gather,
    circulant_matmul,
    circulant_matmul_gather,
)

FORMS = (circulant_matmul, circulant_matmul_gather, causal_matmul_fft, causal_matmul_gather)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tokens", (1, 4, 5))
def test_gradients_are_true(form, tokens):
    torch.manual_seed(0)
    z = torch.randn(2, tokens, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, tokens, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(form, (z, values))


@pytest.mark.parametrize("form", (circulant_matmul, causal_matmul_fft))
def test_half_precision_is_computed_in_float32(form):
    torch.manual_seed(0)
    z, values = torch.rand(33).bfloat16(), torch.randn(33, 4).bfloat16()
    out = form(z, values)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, form(z.float(), values.float()).bfloat16())


def test_a_program_never_contains_the_choice_made_while_tracing():
    calm, wild = torch.zeros(16), torch.linspace(0, 60, 16)
    values = torch.randn(16, 2)
    compiled = torch.compile(causal_matmul, backend="eager", fullgraph=True)
    compiled(calm, values)
    assert torch.equal(compiled(wild, values), causal_matmul_gather(wild, values))

    class Layer(torch.nn.Module):
        def forward(self, z, values):
            return causal_matmul(z, values)

    program = torch.export.export(Layer(), (calm, values)).module()
    assert torch.equal(program(wild, values), causal_matmul_gather(wild, values))


def test_shapes_and_orientation_are_checked():
    with pytest.raises(ValueError, match=r"with one N, got \(4,\) and \(5, 2\)"):
        circulant_matmul(torch.zeros(4), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="orientation must be .* got 'left'"):
        circulant_matmul_gather(torch.zeros(4), torch.zeros(4, 2), "left")
