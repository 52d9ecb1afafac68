"""`spikeattn energy check-table`: look for slips in a published energy table."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from neuromorphic.cli.console import JsonFlag, print_json
from neuromorphic.cli.sources import check_profiles


def check_table(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV, TSV, JSON or Markdown table.")],
    profile: Annotated[str, typer.Option(help="Prices that the table's authors used: a name or a TOML file.")]
    = "horowitz45_fp32",
    as_json: JsonFlag = False,
) -> None:
    """Check that the joules of a table can come from its operations; exit code 1 if a row is in error.

    Columns by heading: energy (mJ unless it names pJ, nJ, uJ or J), ops or sops, ac, mac (G unless it names K, M or
    T), t or time steps, resolution, c1 (outputs of the first convolution), kind (ann or snn), profile (where rows
    differ), model. Energies lie in [E_AC × OPs, E_MAC × OPs]; sums, ANN rows and the first convolution × T are
    checked where they are printed.

    Example: spikeattn energy check-table table2.csv --profile horowitz45_fp32
    """
    from neuromorphic.energy import check_table as check
    from neuromorphic.energy import load_profile

    if not table.is_file():
        raise typer.BadParameter(f"{table} does not exist. Give a .csv, .tsv, .json or .md file.")
    prices = load_profile(check_profiles([profile])[0])
    findings = check(table, prices)
    levels = Counter(finding.level for finding in findings)
    if as_json:
        constants = {name: prices.pj(name) for name in ("AC", "MAC")}
        print_json({"file": table.name, "profile": prices.name, "constants_pj": constants,
                    "errors": levels["error"], "suspicious": levels["suspicious"], "ok": levels["ok"],
                    "findings": [vars(finding) for finding in findings]})
    else:
        _print(findings, levels)
    raise typer.Exit(1 if levels["error"] else 0)


def _print(findings: list, levels: Counter) -> None:
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    columns = (Column("row", ""), Column("model", "", number=False), Column("verdict", "", number=False),
               Column("why", "", number=False))
    cells = tuple((Cell(str(finding.row)), Cell(finding.model), Cell(finding.level),
                   Cell("; ".join(finding.messages) or f"held: {', '.join(finding.checks) or 'nothing to check'}"))
                  for finding in findings)
    output().print(rich_table(Table(columns, cells)))
    output().print(f"{levels['error']} in error, {levels['suspicious']} suspicious, {levels['ok']} ok")
