"""Re-parameterised projections: the border, one equivalent convolution, and the mechanisms that use them."""

import pytest
import torch
from torch.nn import functional

from spikeattn.attention import (
    PointRepProjection,
    RepProjection,
    SpikeDrivenSelfAttentionV2,
    SpikeDrivenSelfAttentionV3,
    SpikingSelfAttention,
)
from spikeattn.neurons import ILIF


def perturb(module):
    torch.manual_seed(3)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return module


@torch.no_grad()
def test_is_one_convolution_of_the_zero_padded_input():
    layer = perturb(RepProjection(3, 4)).double().eval()
    x = torch.randn(2, 1, 20, 3, dtype=torch.float64)
    picture = x.flatten(0, 1).mT.unflatten(-1, (4, 5))

    def respond(wide):  # the layer on any picture, by its own response on single pixels
        return layer(wide.flatten(-2).mT.unsqueeze(0), grid=wide.shape[-2:])[0].mT.unflatten(-1, wide.shape[-2:])

    constant = respond(torch.zeros(1, 3, 3, 3, dtype=torch.float64))[..., 1, 1]
    kernel = torch.empty(4, 3, 3, 3, dtype=torch.float64)
    for channel in range(3):
        pixel = torch.zeros(1, 3, 5, 5, dtype=torch.float64)
        pixel[0, channel, 2, 2] = 1
        kernel[:, channel] = (respond(pixel)[0, :, 1:4, 1:4] - constant[0, :, None, None]).flip(-1, -2)
    merged = functional.conv2d(picture, kernel, padding=1) + constant.view(1, -1, 1, 1)
    torch.testing.assert_close(respond(picture), merged, rtol=1e-10, atol=1e-10)


def test_the_border_carries_no_gradient_to_the_norm():
    layer = perturb(RepProjection(2, 2)).eval()
    border = layer.mix_norm(torch.zeros(1, 2, 1, 1))
    (grad,) = torch.autograd.grad(border.sum(), layer.mix_norm.bias)
    assert grad.tolist() == [1.0, 1.0]  # of the one pixel inside, not of the eight around it


def test_a_grid_is_needed():
    with pytest.raises(ValueError, match="RepProjection: grid must be"):
        RepProjection(4, 4)(torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="RepProjection: grid must hold the 4 tokens"):
        SpikeDrivenSelfAttentionV2(8, 2)(torch.zeros(1, 1, 4, 8), grid=(2, 3))


def test_the_linear_form_has_a_hidden_layer_of_three_halves():
    layer = PointRepProjection(8, 6)
    assert layer.expand.linear.weight.shape == (12, 8) and layer.project.linear.weight.shape == (6, 12)
    assert layer(torch.randn(2, 3, 5, 8)).shape == (2, 3, 5, 6)


@torch.no_grad()
def test_wide_values_and_the_scale_of_levels():
    attention = SpikeDrivenSelfAttentionV3(8, 2).eval()
    q, k, v = (torch.randint(0, 5, shape) / 4 for shape in ((1, 1, 2, 6, 4), (1, 1, 2, 6, 4), (1, 1, 2, 6, 16)))
    expected = torch.einsum("tbhnd,tbhmd,tbhme->tbhne", q, k, v) * (2 * 4 ** -0.5)
    assert torch.equal(attention.mix(q, k, v, None), expected)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    masked = (q @ k.mT * mask) @ v * (2 * 4 ** -0.5)
    assert torch.equal(attention.mix(q, k, v, mask), masked)


def test_values_that_the_heads_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="value_dim must be a multiple of the 2 heads, got 9"):
        SpikingSelfAttention(8, 2).build_projections(RepProjection, value_dim=9)


@torch.no_grad()
def test_undivided_levels_are_exact_too():
    torch.manual_seed(0)
    whole = SpikingSelfAttention(8, 2, neuron=ILIF(levels=4), attn_threshold=1.0).eval()
    divided = SpikingSelfAttention(8, 2, neuron=ILIF(levels=4, normalise=True), attn_threshold=1.0).eval()
    divided.load_state_dict(whole.state_dict())
    q, k, v = (torch.randint(0, 5, (1, 1, 2, 6, 4)).float() for _ in "qkv")
    assert torch.equal(whole.mix(q, k, v, None), 64 * divided.mix(q / 4, k / 4, v / 4, None))
