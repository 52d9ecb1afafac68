"""A corrected bias takes out what the codes of its inputs add on average, and nothing else."""

import pytest
import torch
from torch import nn

from neuromorphic.convert import Settings, convert
from neuromorphic.convert.bias_correction import corrected
from neuromorphic.convert.build import build
from neuromorphic.convert.finetune import finetune
from neuromorphic.convert.prepare import prepare
from neuromorphic.convert.quantise import quantise

FLOAT = {"weights": "float", "normaliser": "exact", "norm": "exact", "activation": "exact"}


def skewed(seed: int, count: int = 256) -> torch.Tensor:
    """Most values are small and positive, so that few levels round them all the same way."""
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)).exp()


def network(bias: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12, bias=bias), nn.GELU(), nn.Linear(12, 4, bias=bias)).eval()


@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_error_of_a_layer_is_gone(bias):
    """Of the first layer, whose input is the data: E[W xhat + b'] = E[W x + b], by a loop over the codes."""
    model, x = network(bias), skewed(0)
    prepared = prepare(model, x)
    builder = quantise(prepared.graph, prepared.statistics, Settings(timesteps=2, **FLOAT))
    graph = corrected(prepared, builder)
    (first, *_) = builder.codes.values()
    step, levels = first.step.float(), builder.levels
    words = torch.stack([torch.stack([torch.sign(v) * min(float((v.abs() / s + 0.5).floor()), levels) * s
                                      for v, s in zip(row, step, strict=True)]) for row in x])  # fmt: skip
    before, after = ((words @ layer.weight.T + (0 if layer.bias is None else layer.bias) - model[0](x)).mean(0)
                     for layer in (model[0], graph[prepared.graph.wires[0].name]))  # fmt: skip
    assert before.abs().max() > 0.01 and after.abs().max() < 1e-5
    assert (model[0].bias is None) is not bias  # the source is left as it was


@pytest.mark.parametrize("groups", [1, 2])
def test_the_mean_error_of_a_convolution_is_gone(groups):
    """On average over its positions, borders and all."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1, groups=groups), nn.Flatten(),
                          nn.Linear(54, 3)).eval()
    prepared = prepare(model, torch.randn(64, 2, 5, 5, generator=torch.Generator().manual_seed(0)).exp())
    builder = quantise(prepared.graph, prepared.statistics, Settings(timesteps=2, **FLOAT))
    graph = corrected(prepared, builder)
    assert torch.equal(graph["0"].bias, model[0].bias)  # its input is analog
    values = {}
    prepared.graph({"pixels": torch.cat([batch.inputs["pixels"] for batch in prepared.calibration])},
                   watch=values.__setitem__)
    step = builder.codes["1"].step.float().view(-1, 1, 1)
    words = (values["1"] / step + 0.5).floor().clamp(max=builder.levels) * step
    before, after = ((layer(words) - values["2"]).mean((0, 2, 3)).abs().max() for layer in (model[2], graph["2"]))
    assert before > 0.001 and after < 1e-5


def test_it_brings_a_network_of_few_levels_nearer_to_its_ann():
    model, x, unseen = network(), skewed(0), skewed(1)
    errors = {}
    for biases in ("kept", "corrected"):
        snn, found = convert(model, x, timesteps=2, biases=biases)
        with torch.no_grad():
            codes = snn.codes(unseen)
            assert torch.equal(codes, snn(unseen)) and found.purity.float_free == 1.0
            errors[biases] = float((codes - model(unseen)).square().mean())
        assert snn.config.settings["biases"] == biases
    assert errors["corrected"] < 0.8 * errors["kept"]


def test_padding_has_no_part_in_the_mean():
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    model = BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                                 vocab_size=40, max_position_embeddings=16)).eval()  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 40, (8, 5), generator=generator)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    padded = {name: nn.functional.pad(value, (0, 4)) for name, value in batch.items()}
    found = []
    for inputs in (batch, padded):
        prepared = prepare(model, [inputs])
        builder = quantise(prepared.graph, prepared.statistics, Settings(timesteps=2))
        graph = corrected(prepared, builder)
        found.append([wire.layer.bias for wire in graph.wires if isinstance(wire.layer, nn.Linear)])
    assert len(found[0]) >= 6
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def test_what_was_tuned_is_not_corrected_again():
    prepared = prepare(network(), skewed(0))
    tuned = finetune(prepared, Settings(timesteps=2, biases="kept"), 200, skewed(2))
    assert tuned.kept
    models = [build(prepared, Settings(timesteps=2, biases=biases), tuned).model for biases in ("kept", "corrected")]
    states = [model.state_dict().values() for model in models]
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_a_wrong_word_is_refused():
    with pytest.raises(ValueError, match="biases must be one of corrected, kept, got 'fixed'"):
        Settings(biases="fixed")
