"""Exact resume and survival of crashes."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from spikeattn.train import checkpoint, fit, weights_hash

TIMES = {"images_per_second", "seconds"}


class Crash(Exception):
    pass


def crash_at(count):
    def progress(_):
        progress.steps += 1
        if progress.steps == count:
            raise Crash
    progress.steps = 0
    return progress


def timeless(records):
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


def read_log(directory):
    return timeless(json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines())


@pytest.fixture
def whole(small, splits, recipe, tmp_path):
    recipe = recipe.override({"save_every": 1, "data.validation": 0.2})
    return recipe, fit(small(), splits, recipe, out=tmp_path / "whole"), read_log(tmp_path / "whole")


@pytest.mark.parametrize("steps", range(1, 10))
def test_a_run_stopped_at_any_step_continues_bit_for_bit(small, splits, whole, tmp_path, steps):
    recipe, expected, log = whole
    assert len(expected.epochs) * 3 == 9
    for name, every in (("each step", 1), ("each epoch", 0)):
        out = tmp_path / name
        changed = recipe.override({"save_every": every})
        with pytest.raises(Crash):
            fit(small(), splits, changed, out=out, progress=crash_at(steps))
        torch.manual_seed(steps)  # whatever happened in between
        result = fit(small(), splits, changed, out=out, resume=True)
        assert result.weights_hash == expected.weights_hash
        assert timeless(result.epochs) == timeless(expected.epochs)
        assert (result.test, result.validation) == (expected.test, expected.validation)
        assert [line for line in read_log(out) if line["event"] != "start"] == [
            line for line in log if line["event"] != "start"]


def test_a_time_limit_stops_with_a_checkpoint_and_resumes(small, splits, whole, tmp_path):
    recipe, expected, _ = whole
    limited = recipe.override({"limit_minutes": 1e-9, "save_every": 0})
    results = [fit(small(), splits, limited, out=tmp_path / "limited", resume=True) for _ in range(9)]
    assert [result.finished for result in results] == [False] * 8 + [True]
    assert results[0].test is None
    assert results[-1].weights_hash == expected.weights_hash


def test_resuming_a_finished_run_evaluates_it_again(small, splits, whole, tmp_path):
    recipe, expected, log = whole
    result = fit(small(), splits, recipe, out=tmp_path / "whole", resume=True)
    assert result.weights_hash == expected.weights_hash and result.test == expected.test
    assert read_log(tmp_path / "whole") == log


def test_a_run_is_not_overwritten_nor_resumed_with_another_recipe(small, splits, whole, tmp_path):
    recipe, _, _ = whole
    with pytest.raises(ValueError, match="must not hold a run already"):
        fit(small(), splits, recipe, out=tmp_path / "whole")
    with pytest.raises(ValueError, match="must be resumed with its own recipe"):
        fit(small(), splits, recipe.override({"optimiser.lr": 0.5}), out=tmp_path / "whole", resume=True)


def saved(directory, small, number):
    model = small()
    with torch.no_grad():
        model.head.bias.fill_(number)
    checkpoint.save(directory, model, {"number": number, "tensor": torch.arange(3)}, step=number)
    return model


def assert_complete(directory, small, numbers):
    model = small()
    state = checkpoint.load(directory, model)
    assert state["number"] in numbers
    assert (model.head.bias == state["number"]).all(), "state and weights belong to different saves"
    assert not list(directory.glob(".*")), "stale temporary files"
    return state["number"]


@pytest.mark.parametrize("failure", ["replace 1", "replace 2", "fsync 1", "fsync 2", "unlink 1"])
def test_a_fault_at_any_stage_leaves_a_whole_checkpoint(small, tmp_path, monkeypatch, failure):
    saved(tmp_path, small, 1)
    name, count = failure.split()
    owner = Path if name == "unlink" else os
    original, calls = getattr(owner, name), []

    def fails(*args, **options):
        if name == "unlink" and not str(args[0]).endswith(".safetensors"):
            return original(*args, **options)
        calls.append(name)
        if len(calls) == int(count):
            raise OSError(28, "No space left on device")
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        with pytest.raises(OSError, match="No space left"):
            saved(tmp_path, small, 2)
    assert calls, "the fault was never reached"
    assert_complete(tmp_path, small, {2} if name == "unlink" else {1})
    saved(tmp_path, small, 3)
    assert_complete(tmp_path, small, {3})
    assert len(list(tmp_path.glob("weights-*"))) == 1


def test_what_a_killed_save_left_is_removed(small, tmp_path):
    saved(tmp_path, small, 1)
    (tmp_path / ".state.pt.abc.tmp").write_bytes(b"half")
    (tmp_path / ".weights-2.safetensors.xyz.tmp").write_bytes(b"half")
    assert_complete(tmp_path, small, {1})


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_mode_of_the_umask(small, tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        saved(tmp_path, small, 1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


class Attack:
    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('pwned').write_text('x')",)


def test_a_hostile_or_damaged_state_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "checkpoint"
    saved(directory, small, 1)
    path = directory / "state.pt"
    whole = path.read_bytes()
    for wrong in (b"", whole[:100], whole[: len(whole) // 2], b"x" * 1000, pickle.dumps(Attack())):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match="must be a state written by this program"):
            checkpoint.load(directory, small())
    torch.save({"weights": Attack()}, path)
    with pytest.raises(ValueError, match="got a program"):
        checkpoint.load(directory, small())
    torch.save({"weights": "w", "zeros": torch.zeros(1 << 20)}, tmp_path / "big.pt")
    with zipfile.ZipFile(tmp_path / "big.pt") as big, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for info in big.infolist():
            bomb.writestr(info.filename, big.read(info))
    with pytest.raises(ValueError, match="got a compressed file"):
        checkpoint.load(directory, small())
    assert not (tmp_path / "pwned").exists()


def test_missing_or_truncated_weights_change_nothing(small, tmp_path):
    saved(tmp_path, small, 1)
    weights = tmp_path / "weights-1.safetensors"
    whole, model = weights.read_bytes(), small()
    before = weights_hash(model)
    weights.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="complete safetensors file"):
        checkpoint.load(tmp_path, model)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="weights-1"):
        checkpoint.load(tmp_path, model)
    assert weights_hash(model) == before


SAVES_FOREVER = """
import sys, torch
from pathlib import Path
from spikeattn.train import checkpoint
model = torch.nn.Linear(512, 512)
for number in range(1, 10_000):
    torch.nn.init.constant_(model.bias, number)
    checkpoint.save(Path(sys.argv[1]), model, {"number": number}, number)
    print(number, flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_random_moments(tmp_path):
    moments = random.Random(0)
    for attempt in range(12):
        directory = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, "-c", SAVES_FOREVER, str(directory)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        reported = [int(line) for line in process.stdout.read().splitlines()]
        process.wait()
        process.stdout.close()
        model = torch.nn.Linear(512, 512)
        number = checkpoint.load(directory, model)["number"]
        assert (model.bias == number).all()
        assert number >= max(reported, default=1)
        assert not list(directory.glob(".*"))
