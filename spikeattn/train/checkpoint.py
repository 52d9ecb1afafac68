"""Checkpoints that survive a crash: the run continues from the last one that was complete, bit for bit.

A checkpoint is two files, and the second names the first:

    weights-<step>.safetensors   parameters and buffers
    state.pt                     optimiser, position, random state, and the name of its weights

Each is written to a temporary neighbour, flushed, and renamed; the old weights are removed only after the new
state is in place. A crash at any moment leaves a state and exactly the weights it names.
"""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeattn.files import write_atomically
from spikeattn.models.pretrained import load_state, read_safetensors, write_safetensors

STATE = "state.pt"


def save(directory: Path, model: nn.Module, state: dict[str, Any], step: int) -> None:
    """Write a checkpoint of numbers, text, tensors, lists and dictionaries; older ones then go."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = f"weights-{step}.safetensors"
    write_safetensors(model, directory / weights)
    write_atomically(directory / STATE, lambda temporary: torch.save(state | {"weights": weights}, temporary))
    for other in directory.glob("weights-*.safetensors"):
        if other.name != weights:
            other.unlink(missing_ok=True)


def load(directory: Path, model: nn.Module) -> dict[str, Any] | None:
    """Put the last complete checkpoint into the model and return its state; None where there is none."""
    clean(directory)
    path = directory / STATE
    if not path.is_file():
        return None
    state = _read_state(path)
    weights = directory / Path(str(state["weights"])).name
    load_state(model, read_safetensors(weights), source=str(weights))
    return state


def clean(directory: Path) -> list[Path]:
    """Remove what a killed save left behind."""
    stale = sorted(directory.glob(".*.tmp"))
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def _read_state(path: Path) -> dict[str, Any]:
    """Tensors and plain data only: nothing in the file can run code, nor unpack to more than its size."""
    problem = f"checkpoint: {path} must be a state written by this program, got "
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"{problem}a compressed file. It is refused; remove the directory to start again.")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, KeyError) as error:
        raise ValueError(f"{problem}{type(error).__name__}. Remove the directory to start again.") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise ValueError(f"{problem}a program. It is refused; remove the directory to start again.") from error
    if not isinstance(state, dict) or "weights" not in state:
        raise ValueError(f"{problem}something else. Remove the directory to start again.")
    return state


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's global generators, which layers such as dropout draw from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
