"""`spikeattn models`: what can be built, and what was published about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuromorphic.cli.console import JsonFlag, print_json

if TYPE_CHECKING:
    from spikeattn.models import SpikingModel

MODEL = ("model", "attention", "parameters", "public class", "T", "input C × Y × X", "classes")
RESULT = ("published on", "top-1 %", "T", "mJ", "source")
NUMBERS = {"parameters", "public class", "T", "input C × Y × X", "classes", "top-1 %", "mJ"}
HEAD = """# The models

Written by `make docs` from the registry; do not edit.

- parameters: of our model. public class: of the authors' class with what it builds and never uses.
- published: top-1 accuracy, time steps, and theoretical energy per picture in mJ **by each source's own rule**; these
  energies are not comparable between families, nor with ours ([how we count](../explanation/energy.md)). Left out
  where nothing was published or nothing could be traced.
- T: time steps for one picture; 1×4 is one step of four levels.

Load the authors' own weights with `spikeattn import-checkpoint`, build a model with
`spikeattn.create_model("spikformer_8_384", attention="bsa")`.
"""


def models(
    pattern: Annotated[str, typer.Argument(help="Name, with * and ? as wildcards.")] = "*",
    as_json: JsonFlag = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference page in Markdown.")] = False,
) -> None:
    """List the registered models: parameters, those of the public class, T, published accuracy and energy.

    Example: spikeattn models "spikingformer_*"
    """
    from spikeattn import list_models
    from spikeattn.errors import nearest

    names = list_models(pattern)
    if not names:
        raise typer.BadParameter(f"no model's name matches {pattern!r}. {nearest(pattern, list_models())}")
    rows = [describe(name) for name in names]
    if as_json:
        print_json(rows)
    elif markdown:
        print(page(rows), end="")
    else:
        show(rows)


def describe(name: str) -> dict[str, Any]:
    """The facts of one model; it is built without memory for its weights."""
    from dataclasses import asdict

    import torch

    from spikeattn import create_model
    from spikeattn.models.published import results

    with torch.device("meta"):
        model = create_model(name)
    config = model.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    origin, unused = public_file(model)
    return {
        "name": name,
        "family": type(model).__name__,
        "attention": [part.name for part in config.attention],
        "parameters": parameters,
        "public_parameters": None if origin is None else parameters + unused,
        "public_file": origin,
        "timesteps": config.timesteps,
        "levels": config.neuron.options.get("levels"),
        "input": [config.in_channels, *config.image_size],
        "classes": config.num_classes,
        "published": [asdict(result) for result in results(name)],
    }


def public_file(model: "SpikingModel") -> tuple[str | None, int]:
    """The public model file of this architecture, None without one, and what its class builds and never uses."""
    from math import prod

    from spikeattn.interop.published import SOURCES, origin_of

    try:
        origin = origin_of(model)
    except ValueError:
        return None, 0
    return origin.repo, sum(prod(entry.shape) for entry in SOURCES[origin.repo].dead(origin.settings))


def model_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """What stands under MODEL."""
    public = row["public_parameters"]
    steps = f"{row['timesteps']}×{row['levels']}" if row["levels"] else str(row["timesteps"])
    return (row["name"], "+".join(row["attention"]), f"{row['parameters']:,}", "–" if public is None else f"{public:,}",
            steps, " × ".join(map(str, row["input"])), str(row["classes"]))


def result_cells(result: dict[str, Any] | None) -> tuple[str, ...]:
    """What stands under RESULT."""
    if result is None:
        return ("–",) * len(RESULT)
    remarks = "; ".join(filter(None, (f"with {result['attention']}" if result["attention"] else "", result["note"])))
    return (result["data"], f"{result['top1']:.2f}", str(result["T"]),
            "–" if result["mj"] is None else f"{result['mj']:.2f}",
            f"{result['source']} ({remarks})" if remarks else result["source"])


def lines(row: dict[str, Any]) -> list[tuple[str, ...]]:
    """One line for each published result, the first with the facts of the model, or one line without a result."""
    first, *others = row["published"] or [None]
    blank = ("",) * len(MODEL)
    return [model_cells(row) + result_cells(first), *(blank + result_cells(result) for result in others)]


def show(rows: list[dict[str, Any]]) -> None:
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    columns = tuple(Column(heading, "", number=heading in NUMBERS) for heading in (*MODEL, *RESULT))
    cells = tuple(tuple(map(Cell, line)) for row in rows for line in lines(row))
    output().print(rich_table(Table(columns, cells)))


def page(rows: list[dict[str, Any]]) -> str:
    """The reference page: a section for each family, its first line from the family's file."""
    from spikeattn.models import FAMILIES

    text = HEAD
    for family, module in FAMILIES:
        own = [row for row in rows if row["family"] == family.__name__]
        if not own:
            continue
        headings = (*MODEL, *RESULT)
        rule = " | ".join("---:" if heading in NUMBERS else "---" for heading in headings)
        files = sorted({row["public_file"].split("#")[0] for row in own if row["public_file"]})
        text += f"\n## {family.__name__}\n\n{module.__doc__.splitlines()[0]}\n"
        text += f"\nPublic code: {', '.join(f'`{file}`' for file in files)}.\n" if files else ""
        text += f"\n| {' | '.join(headings)} |\n| {rule} |\n"
        text += "".join(f"| {' | '.join(line)} |\n" for row in own for line in lines(row))
    return text
