"""Models through Inductor give what they give in eager mode: three of them always, the others with the slow tests."""

import shutil

import pytest
import torch
from torch._inductor import config as inductor

from spikeattn import create_model, list_models

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler")
ALWAYS = ("spikingformer_tiny", "spikformer_tiny", "vit_tiny")
NAMES = [
    pytest.param(name, marks=[pytest.mark.compile] + ([] if name in ALWAYS else [pytest.mark.slow]))
    for name in list_models("*_tiny")
]


@pytest.fixture(autouse=True)
def nothing_cached():
    """Inductor's cache does not know when an op of ours changes."""
    torch._dynamo.reset()
    with inductor.patch(force_disable_caches=True):
        yield


@pytest.mark.parametrize("name", NAMES)
def test_inductor_equals_eager(name):
    attention = "bsa" if name == "spikingformer_tiny" else None
    model = create_model(name, attention=attention).double().eval()
    config = model.config
    x = torch.randn(2, config.in_channels, *config.image_size, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        found = torch.compile(model, fullgraph=True)(x)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.compile
def test_inductor_trains_like_eager():
    model = create_model("spikingformer_tiny", attention="bsa").double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    model(x).square().sum().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    torch.compile(model, fullgraph=True)(x).square().sum().backward()
    assert expected["stem.convs.0.conv.weight"].abs().max() > 0
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-6, atol=1e-9)
