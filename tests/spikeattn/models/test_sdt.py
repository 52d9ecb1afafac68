"""Spike-driven Transformer and STAtten: the modes that the registry's tiny models leave out."""

import pytest
import torch

from spikeattn import create_model
from spikeattn.models import MODELS
from spikeattn.testing import ModelContract, firing_rates, recorded_spikes

MODES = {
    "plif": ("sdt_tiny", {"neuron": "plif"}),
    "events": ("sdt_tiny", {"in_channels": 2, "attention": {"name": "sdsa", "options": {"erode": "kv"}}}),
    "two-shortcuts": ("sdt_tiny", {"mlp_ratio": 1.0}),
    "steps-and-biases": ("sdt_tiny", {"readout": "steps", "stem_bias": True}),
    "statten-events": ("statten_tiny", {"attention": {"name": "statten", "options": {"chunk": 4, "erode": True}}}),
}


class TestModes(ModelContract):
    @pytest.fixture(autouse=True, params=MODES)
    def _parameters(self, request):
        self.name, self.sizes = MODES[request.param]
        self.exact = request.param != "plif"  # its decay is a sigmoid

    def make(self):
        return create_model(self.name, **self.sizes)


@pytest.mark.parametrize("name", ["sdt_cifar_2_256", "sdt_dvs_2_256", "statten_dvs_2_256"])
@pytest.mark.parametrize("training", [True, False])
@torch.no_grad()
def test_narrow_twins_of_the_published_models_fire(name, training):
    torch.manual_seed(0)
    model = create_model(name, dim=64, heads=2, timesteps=4).train(training)
    config = model.config
    with recorded_spikes(model) as record:
        model(torch.randn(4, 2, config.in_channels, *config.image_size))
    for layer, rate in firing_rates(record).items():
        assert 0.01 <= rate <= 0.9, f"{layer} fires at {rate:.1%}"


def test_streams_advance_by_the_chunk_of_the_attention_in_use():
    assert create_model("sdt_tiny").stream_chunk == 1
    assert create_model("statten_tiny").stream_chunk == 2
    assert create_model("statten_tiny", attention="bsa").stream_chunk == 1
    mixed = [{"name": "statten", "options": {"chunk": chunk}} for chunk in (2, 3)]
    assert create_model("spikingformer_tiny", attention=mixed, depth=2).stream_chunk == 6
    with pytest.raises(ValueError, match="T a multiple of 2"):
        create_model("statten_tiny").stream(torch.rand(3, 1, 1, 8, 8))


@torch.no_grad()
def test_the_read_out_sees_the_spikes_of_the_mean_membrane():
    torch.manual_seed(0)
    model = create_model("sdt_tiny").eval()
    x = torch.randn(4, 2, 1, 8, 8)
    logits, state = model.stream(x)
    spikes, after = model.head_neuron(model.forward_features(x).mean(2))
    assert 0 < spikes.mean() < 1
    assert torch.equal(logits, model.head(spikes))
    assert torch.equal(state.head.v, after.v)


def test_two_shortcuts_where_the_hidden_layer_is_as_wide_as_the_stream():
    assert create_model("sdt_tiny", mlp_ratio=1.0).blocks[0].inner_shortcut
    assert not create_model("sdt_tiny").blocks[0].inner_shortcut


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith(("sdt_", "statten_"))])
def test_parameters_follow_the_closed_form(name):
    with torch.device("meta"):
        model = create_model(name)
    config, parameters = model.config, sum(p.numel() for p in model.parameters())
    d, hidden, classes = config.dim, round(config.dim * config.mlp_ratio), config.num_classes
    widths = [config.in_channels, *(width for width, _ in config.stem), d]
    stem = sum(9 * before * width + 2 * width for before, width in zip(widths[:-1], widths[1:], strict=True))
    block = 4 * d * d + 9 * d + 2 * d * hidden + hidden + d + 2 * hidden + 2 * d
    assert parameters == stem + config.depth * block + d * classes + classes
