"""`spikeattn models`."""

import json
from pathlib import Path

import pytest

import spikeattn as library
from neuromorphic.cli.models import describe
from spikeattn.models import MODELS
from spikeattn.models.published import _table, results

COUNTS = json.loads((Path(__file__).parents[2] / "data" / "golden" / "parameter_counts.json").read_text())
PUBLIC = {  # our name: theirs
    "spikformer_8_384": "spikformer_imagenet_8_384", "spikformer_cifar_4_384": "spikformer_cifar10_4_384",
    "spikformer_dvs_2_256": "spikformer_cifar10dvs_2_256", "spikingformer_8_768": "spikingformer_imagenet_8_768",
    "sdt_8_512": "sdt_v1_imagenet_8_512", "qkformer_10_768": "qkformer_imagenet_10_768",
}


def test_json_is_the_whole_output(spikeattn):
    outcome = spikeattn("models", "*_tiny", "--json")
    rows = json.loads(outcome.out)
    assert outcome.code == 0 and outcome.err == ""
    assert [row["name"] for row in rows] == library.list_models("*_tiny")
    for row in rows:
        model = library.create_model(row["name"])
        assert row["parameters"] == sum(parameter.numel() for parameter in model.parameters())
        assert row["timesteps"] == model.config.timesteps


def test_table(spikeattn):
    outcome = spikeattn("models", "vit_cifar_4_384")
    assert outcome.code == 0 and "vit_cifar_4_384" in outcome.out and "softmax" in outcome.out
    assert "96.73" in outcome.out and "81.02" in outcome.out


def test_markdown_has_the_families_asked_for(spikeattn):
    outcome = spikeattn("models", "maxformer_10_384", "--markdown")
    assert outcome.code == 0 and outcome.err == ""
    assert "## MaxFormer" in outcome.out and "## Spikformer" not in outcome.out
    facts = "ssa | 16,237,240 | 16,237,240 | 4 | 3 × 224 × 224 | 1000 | ImageNet-1K | 77.82 | 4 | 4.89"
    assert f"| maxformer_10_384 | {facts} |" in outcome.out


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_count_includes_what_is_never_used(name):
    assert describe(name)["public_parameters"] == COUNTS[PUBLIC[name]]["parameters"]


def test_a_model_of_our_own_has_no_public_count():
    facts = describe("spikformer_digits_2_64")
    assert facts["public_parameters"] is None and facts["public_file"] is None and facts["published"] == []


@pytest.mark.parametrize("name", _table())
def test_published_results_are_of_registered_models_and_in_range(name):
    assert name in MODELS
    for result in results(name):
        assert 50 < result.top1 < 100 and result.source
        assert result.mj is None or 0.5 < result.mj < 200
        assert isinstance(result.T, int) or "×" in result.T


def test_the_main_result_is_for_the_model_as_registered():
    for name in _table():
        first, config = results(name)[0], MODELS[name].config
        levels = config.neuron.options.get("levels")
        if name != "ms_qkformer_10_768":  # published with one step only
            assert str(first.T) == (f"{config.timesteps}×{levels}" if levels else str(config.timesteps)), name
        assert first.attention == ""
