"""`spikeattn energy`: count what models execute, price it, compare the bills."""

import typer
from typer.core import TyperGroup

from neuromorphic.cli.check_table import check_table
from neuromorphic.cli.compare import compare
from neuromorphic.cli.profiles import profiles
from neuromorphic.cli.report import report


class ReportByDefault(TyperGroup):
    """`spikeattn energy MODEL` means `spikeattn energy report MODEL`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["report", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ReportByDefault, rich_markup_mode=None, no_args_is_help=False)
app.command("report")(report)
app.command("compare")(compare)
app.command("check-table")(check_table)
app.command("profiles")(profiles)


@app.callback()
def energy() -> None:
    """Theoretical energy of models: count every operation on real inputs, then price it.

    Example: spikeattn energy runs/digits_bsa --out energy
    """
