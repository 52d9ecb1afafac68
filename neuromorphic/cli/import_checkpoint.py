"""`spikeattn import-checkpoint`: a published checkpoint as a model of ours on disk."""

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuromorphic.cli.console import JsonFlag, print_json, say

if TYPE_CHECKING:
    from spikeattn.interop.published.importing import Imported

READERS = {".json": json.loads, ".toml": tomllib.loads}


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="The .pth or .safetensors file.")],
    repo: Annotated[str, typer.Option(help="Public model file of the weights: owner/name:path.")],
    out: Annotated[Path, typer.Option(help="New directory for the model.")],
    config: Annotated[Path | None, typer.Option(
        help="JSON or TOML file with arguments of the public constructor.",
        show_default="those of the registered model with these tensors")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Convert a checkpoint of an original repository; print what became of each of its keys.

    Example: spikeattn import-checkpoint best.pth --repo "ZK-Zhou/spikformer:cifar10/model.py" --out spikformer
    """
    from spikeattn.interop.published.importing import import_checkpoint as convert

    given = None if config is None else read_config(config)
    try:
        found = convert(file, repo, out, given)
    except ValueError as error:  # one line on standard error is the application's; the table goes before it
        line, _, table = str(error).partition("\n")
        if table:
            print(table, file=sys.stderr)
        raise ValueError(line) from error
    if as_json:
        print_json(record(found, out))
    else:
        show(found, out)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration from a JSON or TOML file."""
    if path.suffix not in READERS or not path.is_file():
        raise typer.BadParameter(f"--config must be an existing .json or .toml file, got {path}.")
    try:
        data = READERS[path.suffix](path.read_text(encoding="utf-8"))
    except ValueError as error:  # both kinds of syntax error are
        kind = path.suffix[1:].upper()
        raise ValueError(f"import-checkpoint: {path} must be readable {kind}, got: {error}. Check the file.") from error
    if not isinstance(data, dict):
        raise ValueError(f"import-checkpoint: {path} must be a table of names, got {type(data).__name__}. See --help.")
    return data


def record(found: "Imported", out: Path) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "directory": str(out),
        "like": found.like,
        "config": {key: value for key, value in found.config.items() if key != "neuron"},
        "parameters": sum(parameter.numel() for parameter in found.model.parameters()),
        "keys": [{"theirs": fate.theirs, "shape": list(fate.shape), "kind": fate.kind, "ours": fate.ours,
                  "how": fate.how} for fate in found.fates],
    }


def show(found: "Imported", out: Path) -> None:
    """One row for each key; then what was assumed, and where the model lies."""
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    headings = ("their key", "shape", "", "our key", "how")
    columns = tuple(Column(heading, "", number=False) for heading in headings)
    lines = ((fate.theirs, "×".join(map(str, fate.shape)) or "scalar", fate.kind, fate.ours, fate.how)
             for fate in found.fates)
    output().print(rich_table(Table(columns, tuple(tuple(map(Cell, line)) for line in lines))))
    kinds = [fate.kind for fate in found.fates]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    say(f"\n{len({fate.theirs for fate in found.fates})} keys: {counts}.")
    model = found.model.config
    if found.like is not None:
        rows, columns = model.image_size
        say(f"Recognised as {found.like}. No tensor shows heads ({model.heads}), time steps ({model.timesteps}), "
            f"picture size ({rows} × {columns}) and neuron settings: they are those of that model; --config overrides "
            "them.")
    say(f"Model: {out}")
