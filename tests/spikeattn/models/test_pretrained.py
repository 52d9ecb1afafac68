"""A model as a directory: the same model comes back, or nothing is loaded and a table says why."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import spikeattn
from spikeattn import create_model, from_pretrained
from spikeattn.models import Spikformer, Spikingformer, load_weights
from spikeattn.neurons import LIF
from spikeattn.surrogate import ATan
from spikeattn.types import flatten_state


@pytest.fixture
def model():
    model = create_model("spikingformer_tiny", attention="bsa").train()
    model(torch.randn(4, 1, 8, 8))
    return model.eval()


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_refused(model, directory, *words, error=ValueError):
    before = weights(model)
    with pytest.raises(error) as caught:
        load_weights(model, directory)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    after = weights(model)
    assert all(torch.equal(before[name], after[name]) for name in before), "something was loaded"


def test_a_fresh_process_gets_the_same_logits(model, saved):
    x = torch.randn(3, 1, 8, 8)
    torch.save(x, saved / "x.pt")
    code = (
        "import torch, spikeattn\n"
        f"x = torch.load({str(saved / 'x.pt')!r}, weights_only=True)\n"
        f"print(spikeattn.from_pretrained({str(saved)!r})(x).double().tolist())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    with torch.no_grad():
        assert json.loads(run.stdout) == model(x).double().tolist()


def test_changed_parts_come_back(tmp_path):
    model = create_model(
        "spikformer_tiny", attention={"name": "ssa", "options": {"scale": 0.25}}, num_classes=4, timesteps=2,
        neuron=LIF(beta=0.75, surrogate=ATan(3.0)), readout="steps",
        neuron_overrides={"blocks.0.attn.attn_neuron": {"threshold": 0.25}},
    )
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path)
    assert again.config == model.config
    assert again.blocks[0].attn.scale == 0.25
    assert again.blocks[0].attn.attn_neuron.threshold == 0.25
    assert again.blocks[0].mlp.neuron.surrogate == ATan(3.0)
    assert again(torch.randn(3, 1, 8, 8)).shape == (2, 3, 4)


def test_front_door_and_class_door(model, saved):
    assert spikeattn.from_pretrained is from_pretrained
    assert type(Spikingformer.from_pretrained(saved)) is Spikingformer
    with pytest.raises(ValueError, match="holds a Spikingformer. Use spikeattn.from_pretrained"):
        Spikformer.from_pretrained(saved)
    assert torch.equal(create_model("spikingformer_tiny", attention="bsa", pretrained=saved).head.weight,
                       model.head.weight)


def test_card_has_a_snippet_that_runs(saved):
    text = (saved / "README.md").read_text()
    snippet = text.split("```python\n")[1].split("```")[0]
    run = subprocess.run([sys.executable, "-c", snippet + "\nprint(tuple(logits.shape))"], cwd=saved,
                         capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "(2, 10)"


def test_wrappers_of_training_are_seen_through(model, saved):
    state = {f"module._orig_mod.{key}": value for key, value in load_file(saved / "model.safetensors").items()}
    save_file(state, saved / "model.safetensors")
    other = create_model("spikingformer_tiny", attention="bsa")
    load_weights(other, saved)
    assert torch.equal(other.head.weight, model.head.weight)


def test_missing_and_unexpected_keys_make_a_table(model, saved):
    state = load_file(saved / "model.safetensors")
    state["head.scale"] = state.pop("head.bias")
    state["head.weight"] = state["head.weight"][:5].clone()
    save_file(state, saved / "model.safetensors")
    assert_refused(model, saved, "head.bias", "missing", "head.scale", "unexpected", "other shape", "(5, 32)",
                   "Nothing was loaded")


def test_a_foreign_checkpoint_is_summarised(model, tmp_path):
    foreign = nn.Linear(3, 3).state_dict() | {f"layer{i}.w": torch.zeros(2) for i in range(30)}
    save_file(foreign, tmp_path / "model.safetensors")
    assert_refused(model, tmp_path, "unexpected", "and", "more", "Nothing was loaded")


@pytest.mark.parametrize("size", [0, 7, 100, -20])
def test_a_truncated_file(model, saved, size):
    path = saved / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:size])
    assert_refused(model, saved, "complete safetensors file", "Copy it again")


def test_numbers_that_are_none(model, saved):
    state = load_file(saved / "model.safetensors")
    state["head.weight"][0, 0] = float("nan")
    save_file(state, saved / "model.safetensors")
    assert_refused(model, saved, "finite", "head.weight", "Nothing was loaded")


def test_no_file(model, tmp_path):
    assert_refused(model, tmp_path, "must be a file", "save_pretrained", error=FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="config.json is missing"):
        from_pretrained(tmp_path)


@pytest.mark.parametrize(("change", "words"), [
    (lambda data: data.pop("config"), ["config", "damaged or of another library"]),
    (lambda data: data.update(model="Resnet"), ["'Resnet'", "Spikformer"]),
    (lambda data: data.update(format=99), ["format", "99", "Update spikeattn"]),
    (lambda data: data["config"].update(depht=1), ["depht", "depth"]),
    (lambda data: data["config"].pop("dim"), ["dim"]),
    (lambda data: data["config"].update(dim="wide"), ["dim"]),
])
def test_a_configuration_that_is_not_ours(saved, change, words):
    path = saved / "config.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError) as caught:
        from_pretrained(saved)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"3"])
def test_a_configuration_that_is_no_json_object(saved, content):
    (saved / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="config.json must be a configuration"):
        from_pretrained(saved)


def test_a_class_that_cannot_come_back_is_not_saved(tmp_path):
    class Mine(Spikformer):
        pass

    model = Mine(create_model("spikformer_tiny").config)
    with pytest.raises(ValueError, match="registered.*got Mine"):
        model.save_pretrained(tmp_path / "mine")
    assert not list(tmp_path.rglob("*.*"))


def test_training_continues_from_a_state_cut_off(model):
    x = torch.randn(4, 2, 1, 8, 8)
    _, state = model.stream(x)
    logits, _ = model.stream(x, state.detach())
    logits.sum().backward()
    assert all(not tensor.requires_grad for tensor in flatten_state(state.detach()).values())
    assert model.head.weight.grad.isfinite().all()
