"""The machinery of an op, shown on one of two results: choice, explanation, derivative, vmap, compiler, exporter."""

import pytest
import torch

from spikeattn.ops import bipolar_attention, shiftmax, shiftmax_exponents, ternary_matmul
from spikeattn.ops.op import Differentiable, Implementation, Op, explained, last_derivative


def powers(x, kind, scale):
    """(scale x, scale x^2)"""
    return scale * x, scale * x * x


def fake_powers(x, kind, scale):
    return x.new_empty(x.shape), x.new_empty(x.shape)


def only_short(x, *options):
    return f"rows longer than 4, got {x.shape[-1]}" if x.shape[-1] > 4 else None


def finite(x, *options):
    if not bool(x.isfinite().all()):
        raise ValueError("powers: x must be finite.")


POWERS = Op(
    "test_powers", "(Tensor x, str kind, float scale) -> (Tensor, Tensor)",
    reference=powers, fake=fake_powers, check=finite,
    faster=(
        Implementation("never", powers, lambda *args: "this machine"),
        Implementation("short", lambda x, kind, scale: (x * scale, (x * x) * scale), only_short),
    ),
)
POWERS_BACKWARD = Op(
    "test_powers_backward", "(Tensor grad, Tensor grad_square, Tensor x, float scale) -> Tensor",
    reference=lambda grad, grad_square, x, scale: scale * (grad + 2 * x * grad_square),
    fake=lambda grad, *rest: grad.new_empty(grad.shape),
)
powers_backward = last_derivative(POWERS_BACKWARD)


class Powers(Differentiable):
    op = POWERS

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, ctx.scale = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, grad, grad_square):
        return powers_backward(grad, grad_square, *ctx.saved_tensors, ctx.scale), None, None


@explained(POWERS)
def power_sum(x):
    one, two = Powers.apply(x, "kind", 3.0)
    return one + two


def plain(x):
    return 3 * x + 3 * x * x


def tokens(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_first_that_does_not_refuse_runs():
    assert POWERS.choose(tokens(2, 4), "kind", 3.0).name == "short"
    assert POWERS.choose(tokens(2, 5), "kind", 3.0).name == "reference"
    assert [way.name for way in POWERS.implementations] == ["never", "short", "reference"]


def test_explain_names_it_and_the_reasons_of_the_others():
    text = power_sum.explain(tokens(2, 5))
    assert text.splitlines() == [
        "spikeattn::test_powers runs reference", "  never refuses: this machine",
        "  short refuses: rows longer than 4, got 5",
    ]
    assert "short refuses" not in power_sum.explain(tokens(2, 4))


@pytest.mark.parametrize("function, args", [
    (shiftmax, [torch.zeros(3)]), (shiftmax_exponents, [torch.zeros(3)]),
    (ternary_matmul, [torch.zeros(2, 3)] * 2), (bipolar_attention, [torch.zeros(2, 3)] * 3),
], ids=lambda value: getattr(value, "__name__", ""))
def test_every_public_op_explains_itself(function, args):
    assert function.explain(*args).startswith(f"spikeattn::{function.__name__} runs ")


def test_values_are_checked_inside_the_op():
    with pytest.raises(ValueError, match="must be finite"):
        POWERS(torch.tensor([float("nan")]), "kind", 1.0)
    with pytest.raises(ValueError, match="must be integers"):
        torch.compile(shiftmax, backend="eager", fullgraph=True)(torch.tensor([0.5]))


@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_compiles_as_one_graph_with_gradient(name):
    compiled = torch.compile(power_sum, backend=name, fullgraph=True)
    x = tokens(3, 5).requires_grad_()
    (ours,) = torch.autograd.grad(compiled(x).sum(), x)
    (true,) = torch.autograd.grad(plain(x).sum(), x)
    torch.testing.assert_close(ours, true)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), plain(x))


def test_torch_func_transforms():
    x = tokens(3, 5)
    expected = 3 + 6 * x
    grad = torch.func.grad(lambda x: power_sum(x).sum())
    torch.testing.assert_close(grad(x), expected)
    torch.testing.assert_close(torch.func.vmap(grad)(x), expected)
    torch.testing.assert_close(torch.func.vmap(grad, in_dims=1, out_dims=1)(x), expected)
    torch.testing.assert_close(torch.func.vmap(power_sum, in_dims=1, out_dims=1)(x), plain(x))
    torch.testing.assert_close(torch.func.jacrev(power_sum)(x[0]), torch.diag(expected[0]))
    compiled = torch.compile(torch.func.vmap(power_sum), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), plain(x))


def test_forward_mode_and_second_derivatives_are_errors():
    x = tokens(3)
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(power_sum, (x,), (x,))
    with pytest.raises(NotImplementedError, match="test_powers_backward: this op has a first derivative only"):
        torch.func.grad(lambda x: torch.func.grad(lambda x: power_sum(x).sum())(x).sum())(x)


def test_a_call_of_the_op_itself_keeps_the_derivative():
    x = tokens(3, 5).requires_grad_()
    one, two = torch.ops.spikeattn.test_powers(x, "kind", 3.0)
    (ours,) = torch.autograd.grad((one + two).sum(), x)
    torch.testing.assert_close(ours, 3 + 6 * x.detach())


class Attention(torch.nn.Module):
    def forward(self, q, k, v, mask):
        return bipolar_attention(q, k, v, mask), shiftmax(ternary_matmul(q, k), mask)


@pytest.mark.parametrize("strict", [False, True])
def test_exports_with_any_batch_and_keeps_one_node_for_each_op(strict):
    def operands(batch):
        g = torch.Generator().manual_seed(0)
        q, k = (torch.randint(-1, 2, (batch, 2, n, 8), generator=g).float() for n in (3, 5))
        return q, k, tokens(batch, 2, 5, 4), torch.rand(batch, 1, 1, 5) > 0.3

    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(Attention(), operands(2), dynamic_shapes=({0: batch},) * 4, strict=strict)
    names = [str(node.target) for node in program.graph.nodes if "spikeattn" in str(node.target)]
    assert names == [f"spikeattn.{op}.default" for op in ("bipolar_attention", "ternary_matmul", "shiftmax")]
    for batch_size in (1, 7):
        args = operands(batch_size)
        for ours, true in zip(program.module()(*args), Attention()(*args), strict=True):
            assert torch.equal(ours, true)


def attention_arguments():
    g = torch.Generator().manual_seed(0)
    q, k = (torch.randint(-1, 2, (4, 2, n, 8), generator=g).double() for n in (3, 5))
    return q, k, torch.randn(4, 2, 5, 6, generator=g).double(), torch.rand(4, 3, 5, generator=g) > 0.4


def test_vmap_of_attention_and_its_gradient():
    q, k, v, mask = attention_arguments()

    def loss(q, k, v, mask):
        return (bipolar_attention(q, k, v, mask) * torch.arange(6)).sum()

    one_by_one = [torch.func.grad(loss, argnums=(0, 1, 2))(*each) for each in zip(q, k, v, mask, strict=True)]
    for batched, single in zip(torch.func.vmap(torch.func.grad(loss, argnums=(0, 1, 2)))(q, k, v, mask),
                               zip(*one_by_one, strict=True), strict=True):
        torch.testing.assert_close(batched, torch.stack(single))
    shared = torch.func.vmap(bipolar_attention, in_dims=(0, None, None, 0))(q, k[0], v[0], mask)
    for i in range(4):
        torch.testing.assert_close(shared[i], bipolar_attention(q[i], k[0], v[0], mask[i]))


def test_attention_compiles_with_gradient():
    q, k, v, mask = attention_arguments()
    mask = mask.unsqueeze(1)
    operands = [t.requires_grad_() for t in (q, k, v)]
    compiled = torch.compile(bipolar_attention, backend="aot_eager", fullgraph=True)
    ours = torch.autograd.grad(compiled(*operands, mask).sum(), operands)
    true = torch.autograd.grad(bipolar_attention(*operands, mask).sum(), operands)
    torch.testing.assert_close(ours, true)


@pytest.mark.compile
def test_attention_compiles_with_inductor():
    q, k, v, mask = attention_arguments()
    operands = [t.requires_grad_() for t in (q, k, v)]
    compiled = torch.compile(lambda q, k, v: bipolar_attention(q, k, 2 * v) + 1, fullgraph=True)
    ours = torch.autograd.grad(compiled(*operands).sum(), operands)
    true = torch.autograd.grad((bipolar_attention(q, k, 2 * v) + 1).sum(), operands)
    torch.testing.assert_close(ours, true)
