"""`spikeattn evaluate`: the accuracy of a saved model on a whole set; of a converted one, its metric on a file."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuromorphic.cli.console import JsonFlag, print_json, progress
from neuromorphic.cli.sources import model_directory

if TYPE_CHECKING:
    from neuromorphic.convert.record import Score

KINDS = {"input_ids": "text", "pixels": "pictures"}  # of the data, by the first input of a converted model


def evaluate(
    directory: Annotated[Path, typer.Argument(help="A saved model, or the directory of a training run.")],
    data: Annotated[str, typer.Option(
        help="Data set: digits, mnist or cifar10; for a converted model also a file or a directory.")],
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
    if data not in DATASETS and Path(data).exists():
        return show(measure(place, Path(data), batch), place, data, as_json)
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


def measure(place: Path, path: Path, batch: int) -> "Score":
    """The metric that the data call for, on spikes: accuracy, Spearman's rank correlation or perplexity."""
    from neuromorphic.convert.batches import open_data
    from neuromorphic.convert.metrics import measure as run
    from neuromorphic.convert.metrics import metric_for, score
    from neuromorphic.convert.sources import open_source
    from spikeattn.models.converted import ConvertedModel

    source = open_source(place)
    model = source.model
    if not isinstance(model, ConvertedModel):
        raise typer.BadParameter(f"files and directories are for converted models, got a {type(model).__name__}. "
                                 "Name a data set.")
    with progress() as step:
        found = open_data(path, KINDS.get(model.config.inputs[0], "features"), tokenizer=source.tokenizer,
                          processor=source.processor, inputs=model.config.inputs, batch_size=batch,
                          max_length=source.max_length, classes=source.labels)
        outcome = run(model, found, metric_for(None, found), lambda done, total: step("evaluate", done, total))
    return score(outcome)


def show(found: "Score", place: Path, data: str, as_json: bool) -> None:
    """The score with its 95 % interval."""
    from neuromorphic.report.conversion import facts

    if as_json:
        print_json({"directory": str(place), "data": data, **asdict(found)})
        return
    print(f"{data}: {found.metric} {facts.value(found.metric, found.value)}, 95 % interval {facts.interval(found)} "
          f"({found.samples:,} samples)")
