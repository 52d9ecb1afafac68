"""`spikeattn convert`: a stock checkpoint as a spiking network on disk, with the report of what that cost."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuromorphic.cli.console import JsonFlag, print_json, progress, say

if TYPE_CHECKING:
    from neuromorphic.convert.record import ConversionReport
    from neuromorphic.convert.sources import Source
    from neuromorphic.report.table import Table

SWEEP = tuple(range(1, 9))
LABELS, REPORT = "labels.json", "report"


def convert(
    source: Annotated[str, typer.Argument(
        metavar="SOURCE", help="Directory or hub id of a checkpoint, or a saved vit_* or cat_* model.")],
    calibration: Annotated[str, typer.Option(
        metavar="PATH", help="Some samples like those of the task: a file, a directory, or digits, mnist, cifar10.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the model and its report.")],
    evaluate: Annotated[str | None, typer.Option(
        metavar="PATH", help="Samples with answers, none of them used for calibration.",
        show_default="no task metric")] = None,
    timesteps: Annotated[int, typer.Option(min=1, max=255, help="T, spikes in a code word.")] = 4,
    coding: Annotated[str | None, typer.Option(
        help="Code of the words: ternary, naf, signed_binary, rate, st_bif or multi_threshold (graded).",
        show_default="ternary, balanced")] = None,
    weights: Annotated[str, typer.Option(help="int8, int12, int16 or float.")] = "int12",
    normaliser: Annotated[str, typer.Option(
        help="Row factor of Shiftmax: row5, row3, nearest, ceil_gain, ceil; exact keeps the float softmax.")] = "row5",
    norm: Annotated[str, typer.Option(
        help="mantissa (integers), exact (float) or l1 (a negative control).")] = "mantissa",
    activation: Annotated[str, typer.Option(help="table, exact (float) or relu (a negative control).")] = "table",
    floor: Annotated[float, typer.Option(help="No channel's range below this share of the tensor's.")] = 0.10,
    ranges: Annotated[str, typer.Option(help="How clip ranges are found: mse, max or percentile.")] = "mse",
    biases: Annotated[str, typer.Option(
        help="corrected for the mean error that the codes add, or kept.")] = "corrected",
    samples: Annotated[int | None, typer.Option(
        min=1, help="Most calibration samples.", show_default="256, or 2048 rows of text")] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also convert for T = 1 to 8 and report each.")] = False,
    ablation: Annotated[bool, typer.Option(
        "--ablation", help="Also convert with parts kept exact and report each.")] = False,
    finetune: Annotated[int | None, typer.Option(
        min=1, metavar="STEPS", help="Then learn scales and thresholds by distillation from the ANN.",
        show_default="training-free")] = None,
    finetune_data: Annotated[str | None, typer.Option(
        metavar="PATH", help="Samples for --finetune; answers are not read.",
        show_default="the calibration data")] = None,
    finetune_weights: Annotated[bool, typer.Option(
        "--finetune-weights", help="Let --finetune learn the weights, too.")] = False,
    metric: Annotated[str | None, typer.Option(
        help="accuracy, spearman or perplexity.", show_default="what the data and the model are for")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a saved model at DIR.")] = False,
    strict: Annotated[bool, typer.Option(
        "--strict", help="Exit code 1, and no model, if floats are left between stem and read-out.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Convert a checkpoint to a spiking network, measure what it lost, and write both to a new directory.

    Example: spikeattn convert all-MiniLM-L6-v2 --calibration sts-dev.csv --evaluate sts-test.csv --out minilm-snn
    """
    from neuromorphic.cli.directory import check_place, publish

    chosen = _settings(timesteps=timesteps, coding=coding, weights=weights, normaliser=normaliser, norm=norm,
                       activation=activation, floor=floor, ranges=ranges, biases=biases)
    _check_metric(metric)
    if (sweep or ablation) and evaluate is None:
        raise typer.BadParameter("--sweep and --ablation compare scores and need --evaluate PATH.")
    if finetune_data and not finetune:
        raise typer.BadParameter("--finetune-data needs --finetune STEPS.")
    tuning = {"finetune": finetune} if finetune else {}
    tuning |= {"finetune_weights": True} if finetune_weights else {}
    tuning |= {"finetune_data": _data(finetune_data, "train")} if finetune_data else {}
    calibration_data, evaluation_data = _data(calibration, "train"), evaluate and _data(evaluate, "test")
    read = [Path(word) for word in (source, calibration, evaluate, finetune_data) if word]
    check_place(out, force=force, inputs=read)
    from neuromorphic.convert.sources import open_source

    opened = open_source(source)
    chosen |= {"samples": samples} if samples else {}
    from neuromorphic.convert import convert as convert_model

    with progress() as step:
        model, report = convert_model(opened, calibration_data, evaluation=evaluation_data, metric=metric,
                                      sweep=SWEEP if sweep else (), ablation=ablation, progress=step, **chosen,
                                      **tuning)
    if strict:
        _refuse_floats(report)
    report = publish(out, lambda directory: _fill(directory, model, report, opened), force=force)
    _show(report, out, as_json)


def _settings(coding: str | None, **others: Any) -> dict[str, Any]:
    """The settings as `convert` takes them; what does not fit is wrong usage."""
    from neuromorphic.convert.settings import Settings

    chosen = others | ({"coding": coding} if coding else {})
    try:
        Settings(**chosen)
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("convert: ")) from error
    return chosen


def _check_metric(metric: str | None) -> None:
    from neuromorphic.convert.metrics import METRICS
    from spikeattn.errors import nearest

    if metric is not None and metric not in METRICS:
        raise typer.BadParameter(f"--metric must be one of {', '.join(METRICS)}, got {metric!r}. "
                                 f"{nearest(metric, METRICS)}")


def _data(word: str, split: str) -> Any:
    """The samples of a data set by its name, else a path that holds something."""
    from spikeattn.data import DATASETS, load

    path = Path(word).expanduser()
    if not path.exists():
        if word in DATASETS:
            return getattr(load(word), split)
        raise typer.BadParameter(f"{word} does not exist, and is no data set. Known sets: {', '.join(DATASETS)}.")
    if (path.is_file() and not path.stat().st_size) or (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"convert: {word} must hold samples, got an empty one. Check the path.")
    return path


def _refuse_floats(report: "ConversionReport") -> None:
    """A strict conversion computes without floats, or it fails and leaves nothing."""
    seen = report.purity
    if seen is None or seen.float_free < 1:
        found = "; ".join(seen.offenders[:5]) if seen and seen.offenders else "no count of operations"
        raise ValueError("convert: with --strict no float operation may be left between stem and read-out, got "
                         f"{found}. Nothing was written; leave --strict out to keep the hybrid.")


def _fill(directory: Path, model: Any, report: "ConversionReport", source: "Source") -> "ConversionReport":
    """Model, tokenizer or processor, labels, and the report; the report as it was written."""
    import json

    from neuromorphic import report as reports

    model.save_pretrained(directory)
    for part in (source.tokenizer, source.processor):
        if hasattr(part, "save_pretrained"):  # with its class, which transformers else asks the model's config.json for
            _save_beside(part, directory)
    for name, file in source.files.items():
        if not (directory / name).exists():  # the model's own files go first
            shutil.copyfile(file, directory / name)
    if source.labels:
        (directory / LABELS).write_text(json.dumps(source.labels, ensure_ascii=False) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    report = replace(report, disk_bytes=report.disk_bytes | {"converted directory": size})
    reports.write(report, directory / REPORT)
    return report


def _save_beside(part: Any, directory: Path) -> None:
    """A tokenizer or processor of transformers, saved without touching what is there."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=directory) as place:
        part.save_pretrained(place)
        for file in Path(place).iterdir():
            if not (directory / file.name).exists():
                file.rename(directory / file.name)


def _show(report: "ConversionReport", out: Path, as_json: bool) -> None:
    from neuromorphic.report.conversion import facts, json, table

    if as_json:
        print_json({"directory": str(out), "report": str(out / REPORT / "report.html")} | json.plain(report))
        return
    print(facts.headline(report))
    for data, title in ((table.sweep(report), facts.trials_title(report)),
                        (table.ablation(report), "Ablation: each row is a conversion of its own")):
        if data:
            _print_table(data, title)
    for doubt, *more in facts.gathered(report):
        others = f" {len(more)} more such place{'s' if len(more) > 1 else ''} in the report." if more else ""
        print(f"Warning: {doubt.where}: {doubt.what}{others} {doubt.what_to_do}")
    print(facts.simulation(report))
    say(f"Written: model {out}, report {out / REPORT / 'report.html'}")


def _print_table(data: "Table", title: str) -> None:
    from neuromorphic.report.terminal import output, rich_table

    console = output()
    console.print()
    console.print(rich_table(data, title))
    console.print()
