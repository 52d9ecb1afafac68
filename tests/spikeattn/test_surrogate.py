"""Spike functions: exact steps forward, the stated derivative backward, in every mode of PyTorch."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spikeattn.neurons import TernaryLIF
from spikeattn.surrogate import (
    STE,
    SURROGATES,
    ATan,
    FastSigmoid,
    Rectangle,
    Sigmoid,
    SuperSpike,
    Surrogate,
    Triangle,
)

GOLDEN = load_file(Path(__file__).parents[1] / "data" / "golden" / "sj2_surrogates.safetensors")
every_surrogate = pytest.mark.parametrize("surrogate", [kind() for kind in SURROGATES.values()], ids=SURROGATES)


def gradient(surrogate, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(surrogate(x).sum(), x)[0]


@every_surrogate
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_forward_is_the_exact_step_and_equality_fires(surrogate, dtype):
    tiny = torch.finfo(dtype).tiny
    x = torch.tensor([-1e4, -1.0, -tiny, -0.0, 0.0, tiny, 1.0, 1e4], dtype=dtype)
    spikes = surrogate(x)
    assert spikes.dtype == dtype
    assert spikes.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("name", "surrogate"), [
    ("Sigmoid_alpha4", Sigmoid(4.0)),
    ("ATan_alpha2", ATan(2.0)),
    ("PiecewiseQuadratic_alpha1", Triangle(1.0)),
    ("Rect_alpha1", Rectangle(1.0)),
])
def test_spikingjelly_values(name, surrogate):
    x = GOLDEN["x"]
    assert torch.equal(surrogate(x), GOLDEN[f"{name}.out"])
    torch.testing.assert_close(gradient(surrogate, x), GOLDEN[f"{name}.grad"], rtol=1e-6, atol=1e-6)


def test_soft_sign_is_half_of_super_spike():
    x, alpha = GOLDEN["x"], 2.0
    theirs = GOLDEN["SoftSign_alpha2.grad"]  # (alpha / 2) / (1 + alpha |x|)^2
    torch.testing.assert_close(gradient(SuperSpike(alpha), x) / 2, theirs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient(FastSigmoid(alpha), x) * alpha / 2, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("surrogate", [Sigmoid(4.0), ATan(2.0), Triangle(0.5), Rectangle(2.0), STE(1.0)])
def test_area_under_the_derivative_is_one(surrogate):
    x = torch.linspace(-500, 500, 400_001, dtype=torch.float64)
    # ATan's tails beyond 500 hold 2 / (pi^2 500) = 4e-4
    assert torch.trapezoid(surrogate.derivative(x), x).item() == pytest.approx(1, abs=1e-2)


@every_surrogate
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_are_finite_everywhere(surrogate, dtype):
    magnitudes = torch.logspace(-8, 4, 500)
    x = torch.cat([-magnitudes, torch.zeros(1), magnitudes]).to(dtype)
    grad = gradient(surrogate, x)
    assert grad.dtype == dtype
    assert grad.isfinite().all()
    assert grad.min() >= 0 and grad.max() > 0


@every_surrogate
def test_vmap_and_func_grad(surrogate):
    x = torch.randn(3, 5)
    assert torch.equal(torch.vmap(surrogate)(x), surrogate(x))
    per_row = torch.func.vmap(torch.func.grad(lambda row: surrogate(row).sum()))(x)
    assert torch.equal(per_row, gradient(surrogate, x))
    assert torch.equal(torch.func.grad(lambda y: surrogate(y).sum())(x), surrogate.derivative(x))


@every_surrogate
def test_compiles_as_one_graph(surrogate):
    x = torch.randn(7)
    compiled = torch.compile(lambda y: surrogate(y), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), surrogate(x))
    torch.testing.assert_close(gradient(compiled, x), gradient(surrogate, x))
    torch.compiler.reset()


def test_forward_mode_is_an_error_and_never_zero():
    with pytest.raises(NotImplementedError):
        torch.func.jvp(ATan(), (torch.randn(3),), (torch.ones(3),))


def test_ste_of_a_ternary_neuron_is_the_derivative_of_clamp():
    u = torch.tensor([-2.0, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0], dtype=torch.float64)
    neuron = TernaryLIF(threshold=0.5, surrogate=STE(1.0))
    ours = gradient(lambda x: neuron(x.unsqueeze(0))[0], u)
    clamped = gradient(lambda x: x.clamp(-1, 1), u)
    assert torch.equal(ours, clamped)
    assert ours[5] == 1  # u = 0, where the two branches join


def test_records_compare_and_refuse():
    assert ATan(2.0) == ATan(2.0) != ATan(3.0)
    assert {kind.name: kind for kind in SURROGATES.values()} == SURROGATES
    assert len({ATan(), Sigmoid(), ATan()}) == 2
    for alpha in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="alpha must be a positive number, got"):
            Sigmoid(alpha)
    with pytest.raises(TypeError, match="slope must be given"):
        Surrogate.slope(torch.zeros(1), 1.0)
