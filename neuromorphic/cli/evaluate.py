"""`spikeattn evaluate`: the accuracy of a saved model on a whole set."""

from pathlib import Path
from typing import Annotated

import typer

from neuromorphic.cli.console import JsonFlag, print_json
from neuromorphic.cli.sources import model_directory


def evaluate(
    directory: Annotated[Path, typer.Argument(help="A saved model, or the directory of a training run.")],
    data: Annotated[str, typer.Option(help="Data set: digits, mnist or cifar10.")],
    root: Annotated[Path | None, typer.Option(help="Directory with the data [SPIKEATTN_DATA].")] = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Count the right answers of a saved model on every picture of a set.

    Example: spikeattn evaluate runs/digits_bsa --data digits
    """
    from spikeattn import from_pretrained
    from spikeattn.data import DATASETS, load
    from spikeattn.errors import nearest
    from spikeattn.train import evaluate as count_correct
    from spikeattn.train.engine import pick_device

    place = model_directory(directory)
    if place is None:
        raise typer.BadParameter(f"{directory} is not a directory with a saved model.")
    if data not in DATASETS:
        raise typer.BadParameter(f"{data!r} is not a data set. {nearest(data, DATASETS)}")
    if split not in ("test", "train"):
        raise typer.BadParameter(f"--split must be test or train, got {split!r}.")
    model = from_pretrained(place)
    dataset = getattr(load(data, root), split)
    target = pick_device(device)
    found = count_correct(model.to(target), dataset, batch, target)
    if as_json:
        classes = {name: [right, of] for name, right, of in
                   zip(dataset.classes, found.correct_per_class, found.count_per_class, strict=True)}
        print_json({"directory": str(place), "data": data, "split": split, "accuracy": found.accuracy,
                    "correct": found.correct, "count": found.count, "loss": found.loss, "classes": classes})
        return
    print(f"{data} {split}: {100 * found.accuracy:.2f} % ({found.correct} of {found.count}), loss {found.loss:.4f}")
