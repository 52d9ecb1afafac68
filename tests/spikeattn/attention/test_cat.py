"""Circular attention: variants, parameter counts, causality, masks, normalisers, bad input."""

import itertools

import pytest
import torch
from torch import nn

from spikeattn import create_model
from spikeattn.attention import CircularAttention, SoftmaxAttention
from spikeattn.ops import shiftmax
from spikeattn.ops.circular import causal_matmul_gather, circulant

TOKENS, VARIANTS = 9, ("qv", "qkv", "q", "v")


def build(dim=12, heads=3, **options):
    torch.manual_seed(0)
    return CircularAttention(dim, heads, tokens=TOKENS, **options).double().eval()


def tokens(count=TOKENS):
    return torch.randn(2, 3, count, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def weights_without_output(attention):
    """Numbers in linear weights and tables, norms and the output projection left out."""
    inner = (part for name, part in attention.named_children() if name != "proj")
    layers = [module for part in inner for module in part.modules()]
    linear = sum(layer.weight.numel() for layer in layers if isinstance(layer, nn.Linear))
    return linear + sum(layer.table.numel() for layer in layers if hasattr(layer, "table"))


def test_published_parameter_counts():
    softmax, cat = SoftmaxAttention(768, 12), CircularAttention(768, 12)
    assert weights_without_output(softmax) == 1_769_472
    assert weights_without_output(cat) == 599_040
    ours, theirs = (weights_without_output(layer) + 768 * 768 for layer in (cat, softmax))  # with W_o
    assert cat.proj.linear.weight.shape == softmax.proj.linear.weight.shape == (768, 768)
    assert round(100 * ours / theirs, 1) == 50.4


@pytest.mark.parametrize(
    ("variant", "count"),
    [("qv", 15 * 12), ("qkv", 3 * 144), ("q", (TOKENS + 3) * 12), ("v", (TOKENS + 12) * 12)],
)
def test_parameter_counts_of_the_variants(variant, count):
    assert weights_without_output(build(variant=variant)) == count


@pytest.mark.parametrize(
    ("variant", "orientation", "normaliser"),
    list(itertools.product(VARIANTS, ("corr", "conv"), ("softmax", "shiftmax"))),
)
def test_fft_and_gather_agree(variant, orientation, normaliser):
    options = dict(variant=variant, orientation=orientation, normaliser=normaliser)
    fft, gather = build(**options, implementation="fft"), build(**options, implementation="gather")
    (out, state), (expected, _) = fft(tokens()), gather(tokens())
    assert state is None
    assert (out - expected).abs().max() < 1e-11
    assert out.std() > 0.01


def test_coefficients_by_their_formulas():
    x = tokens()
    cat = build()
    assert torch.allclose(cat.coefficients(x), (x @ cat.coefficients.linear.weight.mT).mT)
    averaged = build(variant="qkv").coefficients
    q, k = (layer(x).unflatten(-1, (3, 4)) for layer in (averaged.q, averaged.k))
    expected = torch.einsum("tbnhd,tbhd->tbhn", q, k.mean(2)) / 2
    assert torch.allclose(averaged(x), expected)


def test_the_output_by_its_formula():
    x, cat = tokens(), build()
    matrix = circulant(cat.coefficients(x).softmax(-1))
    assert torch.allclose(cat(x)[0], cat.proj(cat.merge(matrix @ cat.split(cat.v(x)))), atol=1e-12)


@pytest.mark.parametrize("normaliser", ("softmax", "shiftmax"))
@pytest.mark.parametrize("variant", VARIANTS)
def test_causal_sees_the_past_only(variant, normaliser):
    cat, x = build(variant=variant, causal=True, normaliser=normaliser), tokens()
    changed = x.clone()
    changed[:, :, 6:] = torch.randn_like(changed[:, :, 6:])
    before, after = cat(x)[0], cat(changed)[0]
    assert (before - after)[:, :, :6].abs().max() <= 1e-10
    assert (before - after)[:, :, 6:].abs().max() > 1e-3


def test_causal_falls_back_to_the_matrix_when_the_guard_says_so():
    cat = build(causal=True)
    values = tokens().unsqueeze(2)  # (T, B, 1, N, D)
    z = torch.linspace(0, 40, TOKENS, dtype=torch.float64)
    assert torch.equal(cat.mix(z, values), causal_matmul_gather(z, values))


def test_shiftmax_weights_are_powers_of_two_of_rounded_scores():
    cat = build(normaliser="shiftmax")
    z = (cat.coefficients(tokens()) * 3).detach().requires_grad_()
    out = cat.mix(z, torch.eye(TOKENS, dtype=torch.float64))
    assert torch.allclose(out, circulant(shiftmax(z.detach().round())), atol=1e-12)
    (out * torch.randn_like(out)).sum().backward()
    assert z.grad.abs().max() > 0  # the gradient passes the rounding


def test_a_mask_takes_the_matrix_and_hides_its_keys():
    cat, x = build(), tokens()
    keep = torch.ones(TOKENS, dtype=torch.bool)
    keep[5:7] = False
    z, values = cat.coefficients(x), cat.split(cat.v(x))
    changed = values.clone()
    changed[..., 5:7, :] = 99.0
    mixed = cat.mix(z, values, keep)
    assert torch.equal(mixed, cat.mix(z, changed, keep))
    scores = circulant(z).masked_fill(~keep, -torch.inf)
    assert torch.allclose(mixed, scores.softmax(-1) @ values, atol=1e-12)
    assert cat.mix(z, values, torch.zeros(TOKENS, dtype=torch.bool)).abs().max() == 0


def test_fft_refuses_what_is_not_circulant():
    with pytest.raises(ValueError, match="FFT form must have no mask, got one.*'auto' or 'gather'"):
        build(implementation="fft")(tokens(), mask=torch.ones(TOKENS, dtype=torch.bool))
    with pytest.raises(ValueError, match="causal FFT form must have the softmax normaliser, got 'shiftmax'"):
        build(implementation="fft", causal=True, normaliser="shiftmax")(tokens())


def test_half_precision_is_mixed_in_float32():
    cat, x = build().float(), tokens().float()
    z, values = cat.coefficients(x).bfloat16(), cat.split(cat.v(x)).bfloat16()
    half = cat.mix(z, values)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, cat.mix(z.float(), values.float()).bfloat16())


@pytest.mark.parametrize("causal", (False, True))
def test_compiles_and_exports_as_one_graph(causal):
    cat, x = build(causal=causal).float(), tokens().float()
    compiled = torch.compile(cat, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x)[0], cat(x)[0], atol=1e-5)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(cat, (x,), dynamic_shapes={"x": {1: batch}}).module()
    more = torch.cat([x, x], 1)
    assert torch.allclose(program(more)[0], cat(more)[0], atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_parameter(variant):
    cat = build(variant=variant).train()
    out = cat(tokens())[0]
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in cat.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if "bias" not in name or name == "proj.norm.bias":  # the last norm removes every other constant
            assert parameter.grad.abs().max() > 1e-6, name


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="heads must divide dim, got dim=12, heads=5"):
        CircularAttention(12, 5)
    with pytest.raises(ValueError, match="variant must be one of .* got 'qkvv'. Did you mean qkv"):
        CircularAttention(12, 3, variant="qkvv")
    with pytest.raises(ValueError, match="got 'shift'. Did you mean shiftmax"):
        CircularAttention(12, 3, normaliser="shift")
    with pytest.raises(ValueError, match="orientation must be one of"):
        CircularAttention(12, 3, orientation="left")
    with pytest.raises(ValueError, match="causal form must have orientation 'conv', got 'corr'"):
        CircularAttention(12, 3, causal=True, orientation="corr")
    for variant in ("q", "v"):
        with pytest.raises(ValueError, match="must know the number of tokens"):
            CircularAttention(12, 3, variant=variant)
        with pytest.raises(ValueError, match="x must have the 9 tokens its table was built for, got 4"):
            build(variant=variant)(tokens(4))
    with pytest.raises(ValueError, match=r"x must have shape \(T, B, N, D\) with T >= 1, got \(3, 9, 12\)"):
        build()(tokens()[0])
    with pytest.raises(TypeError, match="mask must be boolean"):
        build()(tokens(), mask=torch.zeros(TOKENS))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_host_builds_every_variant(variant):
    model = create_model("cat_tiny", attention={"name": "cat", "options": {"variant": variant}})
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_cat_alter_is_a_schedule_of_layers():
    model = create_model("cat_digits_2_64", attention=("cat", "softmax"), depth=3)
    assert [type(block.attn) for block in model.blocks] == [CircularAttention, SoftmaxAttention, CircularAttention]
    cat, softmax = (weights_without_output(block.attn) for block in list(model.blocks)[:2])
    assert (cat + softmax) / 2 == (2 * 64 + 4 / 2) * 64  # mean (2 D + H / 2) D
