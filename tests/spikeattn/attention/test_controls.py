"""The two controls: no mixing, and mixing of neighbours."""

import pytest
import torch
from torch.nn.functional import conv2d

from spikeattn.attention import DepthwiseConvolution, Identity
from spikeattn.blocks import EncoderBlock
from spikeattn.neurons import LIF
from spikeattn.testing import spiking_layers


@torch.no_grad()
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_depthwise_convolution_over_the_picture(kernel):
    torch.manual_seed(0)
    mixer = DepthwiseConvolution(6, 2, kernel=kernel).eval()
    x = torch.randn(2, 3, 12, 6)
    pictures = x.mT.reshape(6, 6, 3, 4)
    expected = conv2d(pictures, mixer.conv.weight, mixer.conv.bias, padding=kernel // 2, groups=6)
    out, state = mixer(x, grid=(3, 4))
    assert state is None
    scale = (1 + mixer.norm.eps) ** -0.5
    assert (out - expected.reshape(2, 3, 6, 12).mT * scale).abs().max() < 1e-5
    assert sum(p.numel() for p in mixer.parameters()) == 6 * kernel**2 + 3 * 6


@pytest.mark.parametrize(("options", "words"), [
    ({"grid": None}, "grid=.* must give the 12 tokens of x, got None"),
    ({"grid": (3, 3)}, "must give the 12 tokens"),
    ({"grid": (3, 4), "mask": torch.ones(12, 12, dtype=torch.bool)}, "mask must be None"),
])
def test_what_the_convolution_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        DepthwiseConvolution(4, 1)(torch.ones(1, 1, 12, 4), **options)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="kernel must be odd, got 4"):
        DepthwiseConvolution(4, 1, kernel=4)


@torch.no_grad()
def test_a_block_without_mixing_is_its_mlp_alone():
    torch.manual_seed(0)
    block = EncoderBlock(8, 1, attention=Identity, neuron=LIF).eval()
    assert set(spiking_layers(block)) == {"mlp_neuron", "mlp.neuron"}
    x = torch.randn(4, 2, 6, 8)
    out, state = block(x)
    assert state.attn is None
    alone = torch.cat([block(x[:, :, i:i + 1])[0] for i in range(6)], 2)
    assert torch.allclose(out, alone, atol=1e-6)
    assert torch.equal(Identity(8, 1)(x)[0], x)
