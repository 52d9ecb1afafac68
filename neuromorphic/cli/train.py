"""`spikeattn train`: one recipe, one run directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from neuromorphic.cli.console import JsonFlag, print_json, progress, say

if TYPE_CHECKING:
    from spikeattn.train import Recipe, Result


class TrainCommand(TyperCommand):
    """Lists the fields of a recipe under the help; only then are they imported."""

    def format_epilog(self, ctx, formatter) -> None:
        from spikeattn.train.config import flags

        rows = [(f"--{flag.name}", f"{flag.help} [{'none' if flag.default is None else flag.default}]")
                for flag in flags()]
        with formatter.section("Every field of the recipe is a flag, too"):
            formatter.write_dl(rows)


COMMAND = {"cls": TrainCommand, "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}}


def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A recipe: a TOML file such as those in recipes/.")],
    out: Annotated[Path | None, typer.Option(help="Directory of the run [runs/<name of the recipe>].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in that directory.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a model as a recipe says; log, checkpoints and the model go to a directory.

    Example: spikeattn train recipes/digits_bsa.toml --optimiser.lr 3e-3 --seed 1 --out runs/bsa1
    """
    recipe = read_recipe(config, context.args)
    directory = out or Path("runs") / config.stem
    from spikeattn.data import load
    from spikeattn.train import build_model, fit

    splits = load(recipe.data.name, recipe.data.root)
    model = build_model(recipe, splits)
    with progress() as step:
        result = fit(model, splits, recipe, out=directory, resume=resume, progress=lambda p: step(
            f"train {config.stem}", (p.epoch - 1) * p.steps + p.step, p.epochs * p.steps,
            f"epoch {p.epoch}/{p.epochs}, loss {p.loss:.3f}, accuracy {100 * p.accuracy:.1f} %"))
    if as_json:
        print_json(summary(result))
    else:
        report(result)


def read_recipe(config: Path, arguments: list[str]) -> "Recipe":
    """The recipe of a file with the fields given as flags; what does not fit is wrong usage."""
    from spikeattn.train import Recipe

    try:
        return Recipe.read(config).override(parse_fields(arguments))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def parse_fields(arguments: list[str]) -> dict[str, str]:
    """{dotted name: text} from `--a.b value` and `--a.b=value`.

    >>> parse_fields(["--optimiser.lr", "1e-3", "--seed=4"])
    {'optimiser.lr': '1e-3', 'seed': '4'}
    """
    found, rest = {}, list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise typer.BadParameter(f"{word!r} is not expected here; fields are given as --section.field value.")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not rest:
                raise typer.BadParameter(f"--{name} needs a value: --{name} VALUE.")
            value = rest.pop(0)
        found[name.replace("-", "_")] = value
    return found


def summary(result: "Result") -> dict:
    """A result as plain data."""
    return {
        "finished": result.finished,
        "directory": str(result.directory),
        "epochs": len(result.epochs),
        "test_accuracy": result.test.accuracy if result.test else None,
        "test_correct": result.test.correct if result.test else None,
        "test_count": result.test.count if result.test else None,
        "validation_accuracy": result.validation.accuracy if result.validation else None,
        "complaints": result.complaints,
        "weights_hash": result.weights_hash,
        "seconds": round(result.seconds, 1),
    }


def report(result: "Result") -> None:
    if not result.finished:
        say(f"Stopped by limit_minutes after {result.seconds:.0f} s. Continue with --resume --out {result.directory}")
        return
    print(f"test accuracy {100 * result.test.accuracy:.2f} % ({result.test.correct} of {result.test.count})")
    if result.validation:
        print(f"validation accuracy {100 * result.validation.accuracy:.2f} %: the best epoch's weights")
    say(f"Seed {result.recipe.seed}, {result.seconds:.0f} s. Model, log and checkpoint: {result.directory}")
