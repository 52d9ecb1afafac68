"""Parameter counts: those of the public classes minus what they never use, exactly; built without memory."""

import json
from pathlib import Path

import pytest
import torch

from spikeattn import create_model, list_models
from spikeattn.models import MODELS, Spikformer, Spikingformer
from spikeattn.neurons import LIF

TABLE = json.loads((Path(__file__).parents[2] / "data" / "golden" / "parameter_counts.json").read_text())
DATA_SETS = {  # as the table writes them: as our names do, number of classes where ours is another
    "_imagenet_": ("_", None), "_cifar10_": ("_cifar_", 10), "_cifar100_": ("_cifar_", 100),
    "_cifar10dvs_": ("_dvs_", None), "_dvsgesture_": ("_dvs_gesture_", None),
}


def public_rows():
    """(our name, classes, row) of every stored public class that is registered here."""
    rows = []
    for row in TABLE:
        for theirs, (ours, classes) in DATA_SETS.items():
            name = row.replace(theirs, ours).replace("sdt_v1", "sdt")
            if theirs in row and name in MODELS:
                rows.append(pytest.param(name, classes, row, id=row))
    return rows


def unused(row, config):
    """Weights of the public class, LayerNorms aside, that its forward pass never reads."""
    if row == "spikformer_cifar10dvs_2_256":
        return 64 * 256  # a position table
    if row.startswith(("sdt_v1", "statten")):
        return config.depth * config.heads**2  # `talking_heads`
    return 0


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def on_meta(name, **changes):
    with torch.device("meta"):
        return create_model(name, **changes)


@pytest.mark.parametrize(("name", "classes", "row"), public_rows())
def test_count_is_that_of_the_public_class_without_dead_weights(name, classes, row):
    public = TABLE[row]
    model = on_meta(name, num_classes=classes)
    ours = count(model)
    assert ours == public["parameters"] - public["unused_layernorm"] - unused(row, model.config)
    if public["published_million"] and row.startswith(("spikformer", "spikingformer")):
        assert abs(public["published_million"] - ours / 1e6) < 0.011


def test_all_public_rows_of_these_families_are_compared():
    expected = {row for row in TABLE if row.startswith(("spikformer", "spikingformer"))}
    assert {param.values[2] for param in public_rows()} >= expected


def closed_form(config, family):
    """Convolutions without bias and norms, attention, MLP of ratio r, read-out; written down independently."""
    D, r = config.dim, config.mlp_ratio
    widths = [config.in_channels, *(width for width, _ in config.stem)]
    stem = sum(9 * a * b + 2 * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    if issubclass(family, Spikformer):
        stem += 9 * D * D + 2 * D
    projection = D * D + 2 * D + (D if config.qkv_bias else 0)
    output = D * D + 3 * D
    attention = {"cat": D * config.heads + projection + output}.get(config.attention[0].name, 3 * projection + output)
    mlp = 2 * r * D * D + 3 * r * D + 3 * D
    return stem + config.depth * (attention + mlp) + D * config.num_classes + config.num_classes


@pytest.mark.parametrize("name", [
    name for name in list_models() if issubclass(MODELS[name].model, Spikformer | Spikingformer)
])
def test_every_model_builds_without_memory_and_has_the_closed_form(name):
    model = on_meta(name)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert count(model) == closed_form(model.config, type(model))


def test_the_ann_has_the_published_count():
    assert count(on_meta("vit_cifar_4_384")) == 9_320_122
    assert count(on_meta("vit_cifar_4_384")) == count(on_meta("spikingformer_cifar_4_384"))


@pytest.mark.parametrize("attention", [
    "bsa", "bsa_spike", "tmp", "tmp_softmax", "bmp_softmax", "bmp_shiftmax", "sorbet", "alpha_xnor", "a2os2a",
    "softmax",
])
def test_attention_by_scores_adds_no_parameters(attention):
    host = count(on_meta("spikingformer_8_512"))
    assert count(on_meta("spikingformer_8_512", attention=attention)) == host


def test_a_learnable_decay_adds_one_number_per_neuron():
    plain = on_meta("spikingformer_tiny")
    neurons = sum(isinstance(module, LIF) for module in plain.modules())
    learnable = on_meta("spikingformer_tiny", neuron="plif")
    assert count(learnable) - count(plain) == neurons
