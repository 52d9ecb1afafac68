"""`spikeattn import-checkpoint`."""

import json

import pytest
import torch

import spikeattn as library
from spikeattn.interop.published import export_state_dict

REPO = "ZK-Zhou/spikformer:cifar10/model.py"
SMALL = {"img_size_h": 32, "img_size_w": 32, "patch_size": 4, "num_classes": 5, "embed_dims": 16, "num_heads": 2,
         "mlp_ratios": 2, "depths": 1}


@pytest.fixture
def small(tmp_path):
    """A small model, and its weights in a file of the original repository."""
    model = library.create_model("spikformer_cifar_4_384", dim=16, heads=2, depth=1, mlp_ratio=2.0, num_classes=5)
    torch.save({"state_dict": export_state_dict(model)}, tmp_path / "a.pth")
    return model


def toml(values):
    return "".join(f"{key} = {value}\n" for key, value in values.items())


@pytest.mark.parametrize(("name", "write"), [("c.json", json.dumps), ("c.toml", toml)])
def test_a_table_of_every_key_and_a_model(spikeattn, tmp_path, small, name, write):
    (tmp_path / name).write_text(write(SMALL))
    outcome = spikeattn("import-checkpoint", tmp_path / "a.pth", "--repo", REPO, "--config", tmp_path / name,
                        "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    for key, _ in export_state_dict(small).items():
        assert key in outcome.out
    assert "LayerNorm that no forward pass uses" in outcome.out and "4 dropped" in outcome.err
    assert "Recognised" not in outcome.err
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(library.from_pretrained(tmp_path / "out")(x), small.eval()(x))


def test_json_is_the_whole_output(spikeattn, tmp_path):
    with torch.device("cpu"):
        model = library.create_model("spikformer_cifar_4_256")
    torch.save(export_state_dict(model), tmp_path / "a.pth")
    outcome = spikeattn("import-checkpoint", tmp_path / "a.pth", "--repo", REPO, "--out", tmp_path / "out", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 0 and outcome.err == "" and found["like"] == "spikformer_cifar_4_256"
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert {row["kind"] for row in found["keys"]} == {"mapped", "dropped"} and found["config"]["num_heads"] == 8


def test_a_misfit_is_a_table_and_one_line(spikeattn, tmp_path, small):
    outcome = spikeattn("import-checkpoint", tmp_path / "a.pth", "--repo", REPO, "--out", tmp_path / "out")
    lines = outcome.err.splitlines()
    assert outcome.code == 1 and outcome.out == "" and not (tmp_path / "out").exists()
    assert lines[-1].startswith("spikeattn: import_checkpoint: the tensors must be those of a registered model")
    assert all(line.startswith("  ") for line in lines[:-1]) and len(lines) > 1


@pytest.mark.parametrize(("name", "text", "code", "words"), [
    ("c.json", "{", 1, "must be readable JSON"), ("c.toml", "a = ", 1, "must be readable TOML"),
    ("c.json", "[1]", 1, "must be a table of names"),
    ("c.yaml", "a: 1", 2, "must be an existing .json or .toml file"),
    ("c.json", '{"depht": 2}', 1, "got unknown ['depht']"),
])
def test_bad_configs(spikeattn, tmp_path, small, name, text, code, words):
    (tmp_path / name).write_text(text)
    outcome = spikeattn("import-checkpoint", tmp_path / "a.pth", "--repo", REPO, "--config", tmp_path / name,
                        "--out", tmp_path / "out")
    assert outcome.code == code and words in outcome.err and len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
