"""What the words on a command line stand for: a model by name or directory, inputs by name."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from neuromorphic.report import Checkpoint, Data

PROFILES = ("horowitz45_fp32", "horowitz45_int8_acc32")
NOISE = "noise"


@dataclass(frozen=True)
class Source:
    """A model that was asked for. training: how its weights came about, None if unknown."""

    label: str
    model: "nn.Module"
    training: str | None
    checkpoint: "Checkpoint | None" = None


def load_model(source: str, **changes: Any) -> Source:
    """A saved model from its directory, else a registered one with the weights of its initialisation."""
    import torch

    from neuromorphic.report.twins import UNTRAINED
    from spikeattn import create_model, from_pretrained, list_models
    from spikeattn.errors import nearest

    directory = model_directory(Path(source))
    if directory is not None:
        if any(value is not None for value in changes.values()):
            raise typer.BadParameter(f"{source} is a saved model; --attention and --timesteps are for names of models.")
        label = Path(source).resolve().name
        return Source(label, from_pretrained(directory), read_training(directory), read_checkpoint(label, directory))
    if source not in list_models():
        raise typer.BadParameter(f"{source!r} is neither a directory with a saved model nor a model's name. "
                                 f"{nearest(source, list_models())}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model(source, **changes).eval()
    return Source(source, model, UNTRAINED)


def model_directory(path: Path) -> Path | None:
    """The directory itself, or the best or last model of a training run in it."""
    if not path.is_dir():
        return None
    return next((place for place in (path, path / "best", path / "last") if (place / "config.json").is_file()), path)


def read_training(directory: Path) -> str | None:
    """One sentence from the recipe that lies beside the weights, if it does."""
    for path in (directory / "recipe.json", directory.parent / "recipe.json"):
        try:
            return training_sentence(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def read_checkpoint(label: str, directory: Path) -> "Checkpoint":
    """The weights of a saved model."""
    from neuromorphic.report import Checkpoint

    return Checkpoint(label, hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest())


def training_sentence(recipe: dict[str, Any]) -> str:
    """How weights came about, from a recipe as plain data."""
    epochs = int(recipe["schedule"]["epochs"])
    return (f"trained on {recipe['data']['name']} for {epochs} epoch{'' if epochs == 1 else 's'}, "
            f"seed {int(recipe['seed'])}")


def default_data(model: "nn.Module") -> str:
    """The bundled digits where they fit, else noise."""
    config = getattr(model, "config", None)
    fits = config is not None and (config.in_channels, *config.image_size) == (1, 8, 8)
    return "digits" if fits else NOISE


def offered(model: "nn.Module", data: str, samples: int,
            batch: int) -> "tuple[list[tuple[Tensor, Tensor] | Tensor], Data]":
    """Batches for a trace and what they are: test pictures with labels, or uniform noise of the model's shape."""
    import torch

    from neuromorphic.report import Data
    from neuromorphic.report.examine import digest
    from neuromorphic.trace import Batch
    from spikeattn.data import DATASETS, load
    from spikeattn.data.batches import evaluation_batches
    from spikeattn.errors import nearest

    if data == NOISE:
        config = model.config
        x = torch.rand((samples, config.in_channels, *config.image_size), generator=torch.Generator().manual_seed(0))
        return list(x.split(batch)), Data("uniform noise, seed 0", None, samples, digest([Batch((x,))]))
    if data not in DATASETS:
        raise typer.BadParameter(f"{data!r} is not a data set. {nearest(data, [*DATASETS, NOISE])}")
    test = load(data).test
    test = test.select(torch.arange(min(samples, len(test))))
    about = Data(data, "test", len(test), digest([Batch((test.images,), labels=test.labels)]))
    return [(test.normalise(test.scale(images)), labels) for images, labels in evaluation_batches(test, batch)], about


def check_profiles(names: list[str]) -> list[str]:
    """The names themselves, once each of them is a built-in profile or a good TOML file, and no two are one."""
    from neuromorphic.energy import load_profile, profiles
    from spikeattn.errors import nearest

    called: dict[str, str] = {}
    for name in names:
        if name not in profiles() and not name.endswith(".toml"):
            raise typer.BadParameter(f"{name!r} is not a price profile. {nearest(name, profiles())}")
        if name not in profiles() and not Path(name).is_file():
            raise typer.BadParameter(f"the price profile {name} does not exist. Give a name or a TOML file.")
        try:
            profile = load_profile(name)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if profile.name in called:
            raise typer.BadParameter(f"price profiles must differ in name, got {profile.name} from "
                                     f"{called[profile.name]} and from {name}. Name it once.")
        called[profile.name] = name
    return names
