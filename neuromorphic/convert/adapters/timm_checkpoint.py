"""timm models from their published weights or from a safetensors file, and how their pictures are prepared.

    load(name, file)       the file's shapes tell the number of classes and the picture size
    published(name)        fetched by timm itself
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeattn.files import write_text
from spikeattn.models.pretrained import load_state, read_safetensors

PREPARATION = "preparation.json"


@dataclass(frozen=True)
class Preparation:
    """How timm prepares a picture: the shorter side to size / crop, the middle cut out, (x - mean) / std.

    (B, C, Y, X) in [0, 1] -> (B, C, size, size). Differs from timm in: the resizing is torch's antialiased one, not
    that of pillow on 8 bits.

    >>> Preparation(2, mean=(0.5,), std=(0.5,))(torch.ones(1, 1, 4, 4)).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = 1.0
    mode: str = "bicubic"

    def __call__(self, pictures: Tensor) -> Tensor:
        short = round(self.size / self.crop)
        scale = short / min(pictures.shape[-2:])
        size = [max(short, round(side * scale)) for side in pictures.shape[-2:]]
        if size != list(pictures.shape[-2:]):
            pictures = functional.interpolate(pictures, size=size, mode=self.mode, antialias=True).clamp(0, 1)
        top, left = ((side - self.size) // 2 for side in size)
        pictures = pictures[..., top : top + self.size, left : left + self.size]
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (pictures - mean) / std

    def save_pretrained(self, directory: str | Path) -> None:
        """Into a directory, beside the model."""
        write_text(Path(directory) / PREPARATION, json.dumps(asdict(self)) + "\n")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> "Preparation":
        found = json.loads((Path(directory) / PREPARATION).read_text(encoding="utf-8"))
        return cls(**found | {name: tuple(found[name]) for name in ("mean", "std")})


def load(name: str, file: Path, options: Mapping[str, Any] | None = None,
         config: Mapping[str, Any] | None = None) -> tuple[nn.Module, Preparation]:  # fmt: skip
    """The model of that name with the weights of a safetensors file. options: arguments of the model."""
    state, options = read_safetensors(file), dict(options or {})
    if "num_classes" not in options:
        options["num_classes"] = len(state["head.weight"]) if "head.weight" in state else 0
    model = create(name, pretrained=False, **options)
    positions, embedded = getattr(model, "pos_embed", None), state.get("pos_embed")
    if positions is not None and embedded is not None and embedded.shape[1] != positions.shape[1]:
        extra = positions.shape[1] - model.patch_embed.num_patches
        side = math.isqrt(embedded.shape[1] - extra) * model.patch_embed.patch_size[0]
        model = create(name, pretrained=False, **options | {"img_size": side})
    load_state(model, state, str(file))
    return model.eval(), preparation(model, config or {})


def published(name: str) -> tuple[nn.Module, Preparation]:
    """The model of that name with the weights that timm fetches for it."""
    try:
        model = create(name, pretrained=True)
    except ImportError:
        raise
    except Exception as error:  # offline, no such weights: timm and the hub have a class for each
        raise ValueError(
            f"open_source: timm:{name} could not be had with its published weights ({type(error).__name__}: "
            f"{first_line(error)}). Pass timm:{name}@FILE with a safetensors file, or go online."
        ) from error
    return model.eval(), preparation(model, {})


def first_line(error: Exception) -> str:
    """What an error says, without what follows.

    >>> first_line(OSError("no route to the hub\\nTraceback ..."))
    'no route to the hub'
    """
    return (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")[:160]


def create(name: str, **options: Any) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            "open_source: a timm model needs the packages timm and torchvision, one is missing. pip install timm."
        ) from error
    if not timm.is_model(name.partition(".")[0]):
        raise ValueError(f"open_source: {name!r} must be a model of timm, and is none. See timm.list_models().")
    return timm.create_model(name, **options)


def preparation(model: nn.Module, config: Mapping[str, Any]) -> Preparation:
    """From the model's own configuration, with what its directory says on top."""
    config = {**(getattr(model, "pretrained_cfg", None) or {}), **config}
    size = getattr(model.patch_embed, "img_size", None) or config["input_size"][-1:]
    half = (0.5,) * model.patch_embed.proj.in_channels
    mode = config.get("interpolation")
    return Preparation(size[0], tuple(config.get("mean") or half), tuple(config.get("std") or half),
                       config.get("crop_pct") or 1.0, "bilinear" if mode == "bilinear" else "bicubic")  # fmt: skip
