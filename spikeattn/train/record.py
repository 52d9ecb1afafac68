"""What a run leaves to read: its log, the facts about its machine, the hash of its weights."""

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
from torch import nn


def environment(device: torch.device) -> dict[str, Any]:
    """Where a result comes from: versions, processor and threads, without names of people or places."""
    cuda = device.type == "cuda"
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if cuda else f"cpu ({_processor()})",
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
    }


def _processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class Log:
    """JSON lines, one event each; without a path, nothing is written."""

    def __init__(self, path: Path | None, keep: int = 0):
        """`keep`: bytes of an earlier part that stay (what a resumed run had logged by its checkpoint)."""
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.truncate(path, min(keep, path.stat().st_size))

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path else 0

    def write(self, event: str, **values: Any) -> None:
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event} | values) + "\n")
