"""`spikeattn models`: what can be built."""

from typing import Annotated

import typer

from neuromorphic.cli.console import JsonFlag, print_json


def models(
    pattern: Annotated[str, typer.Argument(help="Name, with * and ? as wildcards.")] = "*",
    as_json: JsonFlag = False,
) -> None:
    """List the registered models with their parameters and time steps.

    Example: spikeattn models "spikingformer_*"
    """
    from spikeattn import list_models

    names = list_models(pattern)
    if not names:
        from neuromorphic.cli.sources import nearest

        raise typer.BadParameter(f"no model's name matches {pattern!r}. {nearest(pattern, list_models())}")
    rows = [describe(name) for name in names]
    if as_json:
        print_json(rows)
        return
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    columns = (Column("model", "", number=False), Column("attention", "", number=False), Column("parameters", ""),
               Column("T", ""), Column("input C × Y × X", ""), Column("classes", ""))
    cells = tuple((Cell(row["name"]), Cell("+".join(row["attention"])), Cell(f"{row['parameters']:,}"),
                   Cell(str(row["timesteps"])), Cell(" × ".join(map(str, row["input"]))), Cell(str(row["classes"])))
                  for row in rows)
    output().print(rich_table(Table(columns, cells)))


def describe(name: str) -> dict:
    """The facts of one model; it is built without memory for its weights."""
    import torch

    from spikeattn import create_model

    with torch.device("meta"):
        model = create_model(name)
    config = model.config
    return {
        "name": name,
        "attention": [part.name for part in config.attention],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "timesteps": config.timesteps,
        "input": [config.in_channels, *config.image_size],
        "classes": config.num_classes,
    }
