"""A model as a directory: config.json, model.safetensors, and a README.md card with a runnable snippet."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from spikeattn.files import write_atomically, write_text

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1


def save(model: nn.Module, directory: str | Path) -> None:
    """Write the three files; each is either the old one or the new one, the configuration last."""
    from spikeattn import __version__
    from spikeattn.models import FAMILIES

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    families = {kind.__name__ for kind, _ in FAMILIES}
    name = type(model).__name__
    if name not in families:
        raise ValueError(f"save_pretrained: the class must be registered to load again, got {name}. Known: {families}.")
    write_safetensors(model, directory / WEIGHTS)
    write_text(directory / CARD, model.card())
    data = {"format": FORMAT, "spikeattn": __version__, "model": name, "config": model.config.to_dict()}
    write_text(directory / CONFIG, json.dumps(data, indent=2) + "\n")


def write_safetensors(model: nn.Module, path: str | Path) -> None:
    """Write all parameters and buffers, atomically.

    As bytes: safetensors' own `save_file` goes through a temporary file that it leaves behind when killed.
    """
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    data = safetensors_bytes(tensors, metadata={"format": "pt"})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def from_pretrained(directory: str | Path) -> nn.Module:
    """The model saved in `directory`, in evaluation mode."""
    return load(directory)


def load(directory: str | Path) -> nn.Module:
    from spikeattn.models import FAMILIES

    directory = Path(directory)
    path = directory / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"from_pretrained: {directory} must hold {CONFIG} and {WEIGHTS}, {CONFIG} is missing. "
            "Pass a directory written by save_pretrained."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        name, config = data["model"], data["config"]
        version = data["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"from_pretrained: {path} must be a configuration written by save_pretrained, got {type(error).__name__}: "
            f"{error}. The file is damaged or of another library."
        ) from error
    if version != FORMAT:
        raise ValueError(f"from_pretrained: {path} must have format {FORMAT}, got {version}. Update spikeattn.")
    kinds = {kind.__name__: kind for kind, _ in FAMILIES}
    if name not in kinds:
        raise ValueError(f"from_pretrained: {path} names model class {name!r}. Known: {', '.join(sorted(kinds))}.")
    kind = kinds[name]
    model = kind(kind.config_class.from_dict(config))
    load_weights(model, directory)
    return model.eval()


def load_weights(model: nn.Module, directory: str | Path) -> None:
    """Copy model.safetensors into the model; every key and shape must fit, or nothing is changed."""
    path = Path(directory)
    path = path / WEIGHTS if path.is_dir() else path
    load_state(model, read_safetensors(path), source=str(path))


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, or one clear line about what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load_weights: {path} must be a file. Pass a directory written by save_pretrained.")
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"load_weights: {path} must be a complete safetensors file, got: {error}. Copy it again."
        ) from error


def load_state(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Like `load_state_dict(strict=True)`, checked as a whole before anything is copied."""
    state = {_unwrapped(key): value for key, value in state.items()}
    expected = model.state_dict()
    rows = [(key, "missing", tuple(expected[key].shape), "") for key in expected.keys() - state.keys()]
    rows += [(key, "unexpected", "", tuple(state[key].shape)) for key in state.keys() - expected.keys()]
    rows += [(key, "other shape", tuple(expected[key].shape), tuple(state[key].shape))
             for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape]
    if rows:
        raise ValueError(
            f"load_weights: every key of {source} must fit {type(model).__name__}, {len(rows)} of "
            f"{len(expected.keys() | state.keys())} do not. Build the model with the configuration of the weights "
            f"(spikeattn.from_pretrained does). Nothing was loaded.\n{_table(sorted(rows, key=str))}"
        )
    broken = [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise ValueError(f"load_weights: all of {source} must be finite, not so in {broken[:3]}. Nothing was loaded.")
    model.load_state_dict(state)


def _unwrapped(key: str) -> str:
    for prefix in ("module.", "_orig_mod."):
        key = key.removeprefix(prefix)
    return key


def _table(rows: list[tuple], most: int = 12) -> str:
    lines = [f"  {'key':<44} {'status':<12} {'model':<18} file"]
    lines += [f"  {key:<44} {status:<12} {ours!s:<18} {theirs}" for key, status, ours, theirs in rows[:most]]
    if len(rows) > most:
        lines.append(f"  ... and {len(rows) - most} more")
    return "\n".join(lines)


def card(model: nn.Module) -> str:
    """The README.md of a classifier for pictures."""
    from spikeattn.attention import ATTENTIONS

    config = model.config
    attentions = [ATTENTIONS[part.name].__name__ for part in config.attention]
    parameters = sum(p.numel() for p in model.parameters())
    shape = (2, config.in_channels, *config.image_size)
    return f"""---
library_name: spikeattn
tags: [spiking-neural-network, transformer, {", ".join(part.name for part in config.attention)}]
---
# {config.name or type(model).__name__}

{type(model).__name__} with {", ".join(attentions)}: {parameters:,} parameters, {config.timesteps} time steps,
{config.in_channels} x {config.image_size[0]} x {config.image_size[1]} input, {config.num_classes} classes.

```python
import torch
import spikeattn

model = spikeattn.from_pretrained(".")
logits = model(torch.rand{shape})
```

Load it from its directory with `spikeattn.from_pretrained(directory)`; count and price its operations with
`spikeattn energy report DIRECTORY`.
"""
