"""Checkpoint files as they lie on people's disks, hostile ones among them, and their conversion on disk."""

import argparse
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import spikeattn
from spikeattn.interop.published import export_state_dict, load, origin_of
from spikeattn.interop.published.checkpoint import read_checkpoint
from spikeattn.interop.published.importing import convert, import_checkpoint, registered_like

GOLDEN = Path(__file__).parents[3] / "data" / "golden"
CASES = ["spikformer_cifar", "spikformer_dvs", "spikingformer_imagenet", "sdt_v1_plif", "statten_dvs", "qkformer_cifar",
         "maxformer_event", "spikingresformer", "sj2_sdt"]
CIFAR = "ZK-Zhou/spikformer:cifar10/model.py"


def golden(case):
    """repo, config and state dict of a stored case."""
    card = json.loads((GOLDEN / f"{case}.json").read_text())
    tensors = load_file(GOLDEN / f"{case}.safetensors")
    state = {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}
    config = {**card["constructor"], "class": card["class"]} | ({"T": card["T"]} if "T" in card else {})
    config["neuron"] = {"default": card["neuron_default"], "overrides": card["neuron_overrides"]}
    return f"{card['repo']}:{card['path']}", config, state


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], value) for key, value in other.items())


# Reading


@pytest.mark.parametrize("wrap", [
    lambda state: state,
    lambda state: {"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=0.1), "state_dict_ema": state},
    lambda state: {"model": state, "optimizer": {"state": {}}, "epoch": 7, "args": argparse.Namespace(batch=2)},
    lambda state: {"module." + key: value for key, value in state.items()},
    lambda state: {"model": {"module." + key: torch.nn.Parameter(value) if value.is_floating_point() else value
                             for key, value in state.items()}},
], ids=["bare", "timm", "mae", "parallel", "mae-parallel"])
def test_containers_and_prefixes_are_opened(tmp_path, wrap):
    _, _, state = golden("spikformer_cifar")
    torch.save(wrap(state), tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth")
    assert same(found, state)
    assert not any(tensor.requires_grad for tensor in found.values())


def test_safetensors_are_read_whatever_the_suffix(tmp_path):
    _, _, state = golden("spikformer_cifar")
    for name in ("a.safetensors", "a.pth"):
        save_file(state, tmp_path / name)
        assert same(read_checkpoint(tmp_path / name), state)


class Code:
    """What a pickle may do when it is opened without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def recompressed(data, name=None, content=b""):
    """The archive with deflated entries, and perhaps one more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        if name:
            new.writestr(name, content)
    return buffer.getvalue()


def plain(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", data)
    return buffer.getvalue()


WEIGHT = {"w": torch.arange(64.0)}
HOSTILE = {
    "code": (lambda place: saved({"state_dict": WEIGHT, "hook": Code(str(place / "made"))}),
             "tensors and plain data only"),
    "code-beside": (lambda place: saved({"w": Code(str(place / "made"))}), "tensors and plain data only"),
    "object": (lambda place: saved({"model": WEIGHT, "args": Path("x")}), "tensors and plain data only"),
    "legacy": (lambda place: saved(WEIGHT, _use_new_zipfile_serialization=False), "torch.save .1.6 or later"),
    "legacy-code": (lambda place: saved(Code(str(place / "made")), _use_new_zipfile_serialization=False),
                    "torch.save .1.6 or later"),
    "cut": (lambda place: saved(WEIGHT)[:-60], "complete file"),
    "half": (lambda place: saved({"w": torch.zeros(4096)})[:3000], "complete file"),
    "empty": (lambda place: b"", "complete file"),
    "text": (lambda place: b"version https://git-lfs.github.com/spec/v1\n", "complete file"),
    "archive": (lambda place: plain(b"hello"), "damaged file or another archive"),
    "bomb": (lambda place: recompressed(saved({"w": torch.zeros(1 << 18)})), "unpack to at most 8 times"),
    "bomb-beside": (lambda place: recompressed(saved(WEIGHT), "archive/data/9", bytes(1 << 20)), "unpack to at most"),
    "repeated": (lambda place: saved({"w": torch.zeros(1).expand(1 << 20)}), "unpack to at most"),
    "nan": (lambda place: saved({"w": torch.tensor([1.0, float("nan")])}), "must be finite"),
    "sparse": (lambda place: saved({"w": torch.eye(3).to_sparse()}), "tensors and plain data only|must be dense"),
    "list": (lambda place: saved([torch.zeros(2)]), "must hold a state dict.*got list"),
    "no-state": (lambda place: saved({"epoch": 3, "lr": 0.1}), "must hold a state dict.*got epoch, lr"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line_and_run_nothing(tmp_path, kind):
    make, words = HOSTILE[kind]
    (tmp_path / "a.pth").write_bytes(make(tmp_path))
    with pytest.raises(ValueError, match=words) as error:
        read_checkpoint(tmp_path / "a.pth")
    assert len(str(error.value).splitlines()) == 1 and "weights_only" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"a.pth"}


def test_a_flipped_bit_is_noticed(tmp_path):
    data = bytearray(saved({"w": torch.arange(4096.0)}))
    data[len(data) // 2] ^= 0x01
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(ValueError, match="check sum of .* is wrong"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be a file"):
        read_checkpoint(tmp_path / "none.pth")


# Converting


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_a_golden_case_on_disk_is_the_model_that_load_gives(tmp_path, case):
    repo, config, state = golden(case)
    torch.save({"model": state}, tmp_path / "a.pth")
    (tmp_path / "out").mkdir()  # an empty directory will do
    found = import_checkpoint(tmp_path / "a.pth", repo, tmp_path / "out", config)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.pth", "out"}
    again, direct = spikeattn.from_pretrained(tmp_path / "out"), load(repo, config, state)
    assert again.config == direct.config and same(again.state_dict(), direct.state_dict())
    fates = found.fates
    assert {fate.theirs for fate in fates} == state.keys()
    assert {fate.ours for fate in fates if fate.kind != "dropped"} == direct.state_dict().keys()
    assert all(fate.how for fate in fates) and found.like is None


@pytest.mark.parametrize(("name", "classes"), [("spikformer_cifar_2_384", 10), ("spikformer_cifar_2_384", 100),
                                               ("sdt_dvs_2_256", 10), ("qkformer_dvs_2_256", 10),
                                               ("maxformer_dvs_gesture_2_256", 11)])
def test_a_registered_size_needs_no_config(tmp_path, name, classes):
    torch.manual_seed(0)
    model = spikeattn.create_model(name, num_classes=classes)
    repo = origin_of(model).repo
    torch.save(export_state_dict(model), tmp_path / "a.pth")
    found = import_checkpoint(tmp_path / "a.pth", repo, tmp_path / "out")
    assert found.like == name
    assert same(found.model.state_dict(), model.state_dict())
    for field in ("dim", "depth", "heads", "num_classes", "timesteps", "image_size", "in_channels"):
        assert getattr(found.model.config, field) == getattr(model.config, field), field
    assert {fate.kind for fate in found.fates} <= {"mapped", "dropped"}


def test_what_no_tensor_shows_can_be_given():
    with torch.device("meta"):
        state = export_state_dict(spikeattn.create_model("spikformer_cifar_4_384"))
    found = convert(state, CIFAR, {"T": 2, "num_heads": 8})
    assert (found.model.config.timesteps, found.model.config.heads, found.model.config.dim) == (2, 8, 384)
    assert found.like == "spikformer_cifar_4_384"


def test_heads_that_differ_between_two_files_of_one_repository():
    with torch.device("meta"):
        model = spikeattn.create_model("spikingformer_cifar_4_384", num_classes=100)
    state = export_state_dict(model)
    heads = {repo: dict(registered_like(state, f"zhouchenlin2096/Spikingformer:{repo}/model.py"))[
        "spikingformer_cifar_4_384"]["num_heads"] for repo in ("cifar10", "cifar100")}
    assert heads == {"cifar10": 12, "cifar100": 8}


def test_fused_tensors_are_split():
    repo, config, state = golden("sj2_spikformer")
    assert "split" in {fate.kind for fate in convert(state, repo, config).fates}


def nothing_written(tmp_path):
    return {path.name for path in tmp_path.iterdir()} <= {"a.pth"}


@pytest.mark.parametrize(("spoil", "words", "table"), [
    (lambda s: s.pop("head.bias"), "must have the keys and shapes of", "missing"),
    (lambda s: s.update(extra=torch.zeros(2)), "must have the keys and shapes of", "unexpected"),
    (lambda s: s.update({"head.weight": torch.zeros(3, 7)}), "must have the keys and shapes of", "wrong shape"),
], ids=["missing", "extra", "shape"])
def test_misfits_are_one_line_and_a_table_and_nothing_is_written(tmp_path, spoil, words, table):
    repo, config, state = golden("spikformer_cifar")
    spoil(state)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=words) as error:
        import_checkpoint(tmp_path / "a.pth", repo, tmp_path / "out", config)
    line, *rows = str(error.value).splitlines()
    assert len(rows) == 1 and table in rows[0]
    assert nothing_written(tmp_path)


def test_another_size_asks_for_the_config(tmp_path):
    _, _, state = golden("spikformer_cifar")
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="give the constructor's arguments as config") as error:
        import_checkpoint(tmp_path / "a.pth", CIFAR, tmp_path / "out")
    assert "other shape" in str(error.value) and nothing_written(tmp_path)


def test_another_repository_is_said_to_be_one():
    _, _, state = golden("spikingresformer")
    with pytest.raises(ValueError, match="got 0 of .* of another repository"):
        convert(state, CIFAR)
    with pytest.raises(ValueError, match="got 2 of .* of another repository"):
        convert(golden("maxformer_event")[2], CIFAR)  # heads are called so everywhere
    with pytest.raises(ValueError, match="repo must be a known model file.*Did you mean ZK-Zhou/spikformer:cifar10"):
        convert(state, "ZK-Zhou/spikformer:cifar/model.py")


def test_a_directory_with_something_in_it_is_left_alone(tmp_path):
    repo, config, state = golden("spikformer_cifar")
    torch.save(state, tmp_path / "a.pth")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="must be a new or an empty directory"):
        import_checkpoint(tmp_path / "a.pth", repo, tmp_path / "out", config)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_failing_disk_leaves_nothing(tmp_path, monkeypatch):
    repo, config, state = golden("spikformer_cifar")
    torch.save(state, tmp_path / "a.pth")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("spikeattn.models.pretrained.write_text", full)
    with pytest.raises(OSError, match="No space"):
        import_checkpoint(tmp_path / "a.pth", repo, tmp_path / "out", config)
    assert nothing_written(tmp_path)
