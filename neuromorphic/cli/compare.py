"""`spikeattn energy compare`: what changed between two reports."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuromorphic.cli.console import JsonFlag, print_json

if TYPE_CHECKING:
    from neuromorphic.energy import Bill
    from neuromorphic.report import Report

MOST = 8  # classes and layers shown of each pair
PJ_PER_MJ = 1e9


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A report.json, or the directory that holds it.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    fail_above: Annotated[float | None, typer.Option(
        min=0, metavar="MJ", help="Exit code 1 if a model of B needs more mJ per sample.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare two reports: energies of the models and profiles that both have, then classes and layers that changed.

    Example: spikeattn energy compare before after --fail-above 0.5
    """
    a, b = _read(first), _read(second)
    rows = differences(a, b)
    if as_json:
        print_json(rows)
    else:
        _show(rows, a, b)
    if fail_above is not None:
        above = [f"{row['model']} {row['b_mj']:g} mJ under {row['profile']}" for row in rows
                 if row["b_mj"] > fail_above]
        if above:
            raise ValueError(f"energy compare: no model of B may need more than {fail_above:g} mJ per sample, got "
                             f"{', '.join(above)}. Raise --fail-above, or look at the layers that changed.")


def _read(path: Path) -> "Report":
    from neuromorphic import report as reports

    path = path / "report.json" if path.is_dir() else path
    if not path.is_file():
        raise typer.BadParameter(f"{path} does not exist. Write it with spikeattn energy report MODEL --out DIR.")
    try:
        return reports.read(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"energy compare: {path}: {error}") from error


def differences(a: "Report", b: "Report") -> list[dict]:
    """Pairs of equal label and profile; a report with a single model is compared with all models of the other."""
    models_a, models_b = (([entry for entry in report.entries if entry.role == "model"] or report.entries)
                          for report in (a, b))
    alone = 1 in (len(models_a), len(models_b))
    pairs = [(x, y) for x in a.entries for y in b.entries
             if x.label == y.label or alone and x in models_a and y in models_b]
    rows = [
        {"model": x.label if x.label == y.label else f"{x.label} → {y.label}", "profile": bill.profile.name,
         "a_mj": bill.total_mj, "b_mj": other.total_mj,
         "ratio": other.total_mj / bill.total_mj if bill.total_mj else None,
         "a_lower_bound": bill.lower_bound, "b_lower_bound": other.lower_bound,
         "a_accuracy": x.accuracy, "b_accuracy": y.accuracy, "differs": _accounting(bill, other),
         "classes": _changes(bill, other, "by_class"), "layers": _changes(bill, other, "by_layer")}
        for x, y in pairs for bill in x.bills if (other := y.bill(bill.profile.name))
    ]
    if not rows:
        raise ValueError("energy compare: the reports must share a model and a profile, got none in common. "
                         "Write both with the same labels and profiles.")
    return rows


def _accounting(a: "Bill", b: "Bill") -> list[str]:
    """What makes two energies no comparison of models: another rule, or other prices under the same name."""
    from neuromorphic.report.facts import RULES

    found = []
    for field in fields(a.rule):
        title, words = RULES.get(field.name, (field.name, {}))
        found.append((title, *(words.get(value, value) for value in (getattr(one.rule, field.name) for one in (a, b)))))
    ours, theirs = ({name: price.pj for name, price in one.profile.prices.items()}
                    | {name: constant.value for name, constant in one.profile.constants.items()} for one in (a, b))
    found += [(f"price of {name}", ours.get(name), theirs.get(name)) for name in dict.fromkeys((*ours, *theirs))]
    return [f"{what}: {x} in A, {y} in B" for what, x, y in found if x != y]


def _changes(a: "Bill", b: "Bill", by: str) -> list[dict]:
    """What changed in mJ per sample, the largest change first."""
    ours, theirs = getattr(a, by), getattr(b, by)
    found = [{"name": name or "(model)", "a_mj": ours.get(name, 0.0), "b_mj": theirs.get(name, 0.0)}
             for name in dict.fromkeys((*ours, *theirs)) if ours.get(name, 0.0) != theirs.get(name, 0.0)]
    return sorted(found, key=lambda one: (-abs(one["b_mj"] - one["a_mj"]), one["name"]))


def _show(rows: list[dict], a: "Report", b: "Report") -> None:
    from neuromorphic.report import facts, text
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    def energy(mj: float, bound: bool = False) -> Cell:
        return Cell(("≥ " if bound else "") + text.energy(mj * PJ_PER_MJ))

    columns = (Column("model", "", number=False), Column("profile", "", number=False), Column("energy A", ""),
               Column("energy B", ""), Column("B ÷ A", ""), Column("accuracy A", ""), Column("accuracy B", ""))
    cells = tuple((Cell(row["model"]), Cell(row["profile"]), energy(row["a_mj"], row["a_lower_bound"]),
                   energy(row["b_mj"], row["b_lower_bound"]), Cell(text.ratio(row["ratio"])),
                   Cell(_accuracy(row["a_accuracy"])), Cell(_accuracy(row["b_accuracy"]))) for row in rows)
    output().print(rich_table(Table(columns, cells)))
    columns = (Column("model", "", number=False), Column("profile", "", number=False), Column("what changed most", "",
               number=False), Column("A", ""), Column("B", ""), Column("B − A", ""))
    cells = tuple((Cell(row["model"]), Cell(row["profile"]), Cell(f"{kind} {one['name']}"), energy(one["a_mj"]),
                   energy(one["b_mj"]), Cell(_signed(one["b_mj"] - one["a_mj"])))
                  for row in rows for kind, found in (("class", row["classes"]), ("layer", row["layers"]))
                  for one in found[:MOST])
    output().print(rich_table(Table(columns, cells)) if cells else "No class and no layer changed.")
    for sentence in dict.fromkeys(f"Not the same accounting under {row['profile']}: {'; '.join(row['differs'])}."
                                  for row in rows if row["differs"]):
        output().print(sentence)
    compared = {row["profile"] for row in rows}
    output().print(facts.disclaimer(bill for bill in (*a.bills, *b.bills) if bill.profile.name in compared))


def _accuracy(value: float | None) -> str:
    from neuromorphic.report import text

    return "not given" if value is None else text.percent(value)


def _signed(mj: float) -> str:
    from neuromorphic.report import text

    return ("+" if mj > 0 else "−") + text.energy(abs(mj) * PJ_PER_MJ)
