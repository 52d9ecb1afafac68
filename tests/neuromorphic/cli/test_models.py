"""`spikeattn models`."""

import json

import spikeattn as library


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
