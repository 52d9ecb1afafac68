"""What every model promises beyond what every layer does."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from spikeattn.models import SpikingModel, from_pretrained
from spikeattn.testing.firing import firing_rates, recorded_spikes
from spikeattn.testing.layer import LayerContract


class ModelContract(LayerContract):
    """Promises of a model: `model(x) -> logits` and `model.stream(x, state) -> (logits, state)`. Override `make`.

    rates: a spiking layer outside this range at initialisation is silent or saturated.
    """

    rates = (0.01, 0.9)

    def make(self) -> SpikingModel:
        return super().make()

    def example(self, batch: int) -> Tensor:
        config = self.make().config
        generator = torch.Generator().manual_seed(7)
        return torch.randn(self.steps, batch, config.in_channels, *config.image_size, generator=generator)

    def run(self, layer, x, state=None):
        return layer.stream(x, state)

    def bad_inputs(self) -> Sequence[Tensor]:
        x = self.example(1)
        return [x[0, 0, 0], torch.cat([x, x], 2), x.unsqueeze(0)]

    @torch.no_grad()
    def test_every_layer_fires_at_initialisation(self):
        for training in (True, False):
            torch.manual_seed(0)
            model = self.make().train(training)
            with recorded_spikes(model) as record:
                model(self.example(8))
            lowest, highest = self.rates
            for name, rate in firing_rates(record).items():
                assert lowest <= rate <= highest, f"{name} fires at {rate:.1%} with train({training})"

    @torch.no_grad()
    def test_call_is_the_read_out_of_the_stream(self):
        model, x = self.prepared()
        steps, _ = model.stream(x)
        assert steps.shape == (len(x), x.shape[1], model.config.num_classes)
        assert torch.equal(model(x), steps.mean(0) if model.config.readout == "mean" else steps)

    @torch.no_grad()
    def test_a_picture_is_shown_at_every_step(self):
        model, x = self.prepared()
        shown = x[0].expand(model.config.timesteps, *x[0].shape)
        assert torch.equal(model(x[0]), model(shown))

    @torch.no_grad()
    def test_a_single_frame_is_one_step(self):
        model, x = self.prepared()
        if self.chunk(model) == 1:
            assert torch.equal(model.stream(x[0])[0], model.stream(x[:1])[0])

    def test_gradient_reaches_the_first_weights(self):
        model, x = self.prepared()
        model.train()
        model(x).square().sum().backward()
        first = next(iter(model.parameters()))
        assert first.grad.isfinite().all()
        assert first.grad.count_nonzero() > 0

    def test_features_and_a_new_classifier(self):
        model, x = self.prepared()
        features = model.forward_features(x)
        assert features.shape[:2] == x.shape[:2] and features.shape[-1] == model.head.in_features
        model.reset_classifier(3)
        assert model.config.num_classes == 3
        assert model(x).shape[-1] == 3

    @torch.no_grad()
    def test_saved_model_is_the_same(self):
        model, x = self.prepared()
        with TemporaryDirectory() as directory:
            model.save_pretrained(directory)
            written = {path.name for path in Path(directory).iterdir()}
            again = from_pretrained(directory)
        assert written == {"config.json", "model.safetensors", "README.md"}
        assert type(again) is type(model)
        assert again.config == model.config
        assert torch.equal(again(x), model(x))

    def test_config_is_plain_data(self):
        config = self.make().config
        data = json.loads(json.dumps(config.to_dict()))
        assert type(config).from_dict(data) == config
        try:
            type(config).from_dict(data | {"depht": 3})
        except ValueError as error:
            assert "depth" in str(error)
        else:
            raise AssertionError("an unknown key was accepted")
