"""`spikeattn energy`: count what models execute, price it, compare the bills."""

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from neuromorphic.cli.check_table import check_table
from neuromorphic.cli.console import JsonFlag, print_json, progress, say
from neuromorphic.cli.sources import NOISE, PROFILES, UNTRAINED

Sources = Annotated[list[str], typer.Argument(
    metavar="MODEL|DIR...", help="Names of models, or directories with saved ones.")]
Data = Annotated[str | None, typer.Option(
    help="digits, mnist, cifar10 or noise.", show_default="digits where they fit, else noise")]
Profiles = Annotated[list[str] | None, typer.Option(
    help="Price profile: a name or a TOML file; may be repeated.", show_default=" and ".join(PROFILES))]
Out = Annotated[Path | None, typer.Option(
    help="Directory for report.html, report.json, report.md and layers.csv.", show_default="print only")]


class ReportByDefault(TyperGroup):
    """`spikeattn energy MODEL` means `spikeattn energy report MODEL`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["report", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ReportByDefault, rich_markup_mode=None, no_args_is_help=False)
app.command("check-table")(check_table)


@app.callback()
def energy() -> None:
    """Theoretical energy of models: count every operation on real inputs, then price it.

    Example: spikeattn energy report/bsa_model vit_digits_2_64 --out energy
    """


@app.command("report")
def report(
    sources: Sources,
    data: Data = None,
    profile: Profiles = None,
    out: Out = None,
    samples: Annotated[int, typer.Option(min=1, help="Most samples to trace.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Samples at a time.")] = 64,
    attention: Annotated[str | None, typer.Option(help="Attention to build named models with.")] = None,
    timesteps: Annotated[int | None, typer.Option(min=1, help="Time steps to build named models with.")] = None,
    title: Annotated[str, typer.Option(help="Title of the report.")] = "Energy report",
    per_sample: Annotated[bool, typer.Option(
        "--per-sample", help="Trace samples one by one and say how sure the means and ratios are.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if anything is uncovered or unpriced.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Count and price models, side by side; the first softmax network among them is the yardstick.

    Example: spikeattn energy report bsa_model vit_digits_2_64 --out energy
    """
    from neuromorphic import report as reports
    from neuromorphic.cli.sources import check_profiles, default_data, load_model

    profiles = check_profiles(profile or list(PROFILES))
    if per_sample and samples < 2:
        raise typer.BadParameter("--per-sample needs at least two samples, got --samples 1.")
    loaded = [load_model(source, attention=attention, timesteps=timesteps) for source in sources]
    labels = _labels([source.label for source in loaded], sources)
    chosen = [data or default_data(source.model) for source in loaded]
    with progress() as step:
        counted = [_count(label, source, name, samples, batch, per_sample, step)
                   for label, source, name in zip(labels, loaded, chosen, strict=True)]
    entries = tuple(_entry(label, ledger, profiles, source.training)
                    for label, source, (ledger, _) in zip(labels, loaded, counted, strict=True))
    notes = [f"{label}: not trained; its firing rates and energy are those of the initial weights."
             for label, source in zip(labels, loaded, strict=True) if source.training == UNTRAINED]
    notes += [f"{label}: the inputs were uniform noise, so its firing rates and energy are those of noise."
              for label, name in zip(labels, chosen, strict=True) if name == NOISE]
    notes += _spread(entries, [singles for _, singles in counted], chosen) if per_sample else []
    _show(reports.Report(entries, title, tuple(notes)), out, as_json)
    if strict:
        _refuse_gaps(entries)


def _refuse_gaps(entries) -> None:
    """Totals that are lower bounds fail a strict run, after the report has been shown and written."""
    from neuromorphic.report import facts

    found = [sentence for entry in entries for sentence in facts.missing(entry)]
    if found:
        raise ValueError("energy report: with --strict everything must be counted and priced, "
                         f"got {len(found)} gap(s). {' '.join(found)} "
                         "Price them in a profile of yours, or leave --strict out.")


def _labels(labels: list[str], sources: list[str]) -> list[str]:
    """Short labels where they differ, else what was typed."""
    short = labels if len(set(labels)) == len(labels) else sources
    if len(set(short)) < len(short):
        raise typer.BadParameter(f"every model may be given once, got {', '.join(sources)}.")
    return short


def _count(label, source, data, samples, batch, per_sample, step):
    """The ledger of all samples, and where asked those of each sample in order."""
    from neuromorphic.cli.sources import inputs
    from neuromorphic.trace import trace, trace_each

    batches = list(inputs(source.model, data, samples, batch))
    ledger, singles = None, []
    for done, one in enumerate(batches, start=1):
        parts = trace_each(source.model, one) if per_sample else (trace(source.model, one),)
        singles += parts if per_sample else ()
        for part in parts:
            ledger = part if ledger is None else ledger + part
        step(f"count {label}", done, len(batches), f"{ledger.samples} samples")
    return ledger, singles


def _entry(label, ledger, profiles, training):
    from neuromorphic.energy import price
    from neuromorphic.report import Entry

    return Entry(label, tuple(price(ledger, profile) for profile in profiles), training=training)


def _spread(entries, singles, data) -> list[str]:
    """Sentences on the spread over samples; ratios to the baseline where both models saw the same samples."""
    from neuromorphic.report import Report
    from neuromorphic.report.spread import paired, spread

    found = [sentence for entry, each in zip(entries, singles, strict=True) for sentence in spread(entry, each)]
    base = Report(entries).baseline
    if base is None:
        return found
    known = {entry.label: (each, name, entry.model.input_shape)
             for entry, each, name in zip(entries, singles, data, strict=True)}
    same = [entry for entry in entries if entry is not base and known[entry.label][1:] == known[base.label][1:]]
    return found + [sentence for entry in same
                    for sentence in paired(entry, known[entry.label][0], base, known[base.label][0])]


def _show(report, out: Path | None, as_json: bool) -> None:
    from neuromorphic import report as reports
    from neuromorphic.report import json

    files = reports.write(report, out) if out else {}
    if as_json:
        print_json(json.plain(report))
    else:
        reports.print_report(report)
        written = f"Written: {', '.join(map(str, files.values()))}"
        say(written if files else "Add --out DIR for the page with all layers.")


@app.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A report.json, or the directory that holds it.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    as_json: JsonFlag = False,
) -> None:
    """Compare two reports: the energy of every model and profile that both have.

    Example: spikeattn energy compare before/report.json after/report.json
    """
    a, b = _read(first), _read(second)
    rows = _differences(a, b)
    if as_json:
        print_json(rows)
        return
    from neuromorphic.report import facts, text
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    columns = (Column("model", "", number=False), Column("profile", "", number=False), Column("energy A", ""),
               Column("energy B", ""), Column("B ÷ A", ""), Column("accuracy A", ""), Column("accuracy B", ""))
    cells = tuple((Cell(row["model"]), Cell(row["profile"]), Cell(text.energy(row["a_mj"] * 1e9)),
                   Cell(text.energy(row["b_mj"] * 1e9)), Cell(text.ratio(row["ratio"])),
                   Cell(text.percent(row["a_accuracy"])), Cell(text.percent(row["b_accuracy"]))) for row in rows)
    output().print(rich_table(Table(columns, cells)))
    compared = {row["profile"] for row in rows}
    output().print(facts.disclaimer(profile for profile in a.profiles if profile.name in compared))


def _read(path: Path):
    from neuromorphic import report as reports

    path = path / "report.json" if path.is_dir() else path
    if not path.is_file():
        raise typer.BadParameter(f"{path} does not exist. Write it with spikeattn energy report MODEL --out DIR.")
    return reports.read(path.read_text(encoding="utf-8"))


def _differences(a, b) -> list[dict]:
    """Pairs of equal label and profile; where either report has a single model, that one is compared with all."""
    pairs = [(x, y) for x in a.entries for y in b.entries
             if x.label == y.label or 1 in (len(a.entries), len(b.entries))]
    rows = [
        {"model": x.label if x.label == y.label else f"{x.label} → {y.label}", "profile": bill.profile.name,
         "a_mj": bill.total_mj, "b_mj": other.total_mj,
         "ratio": other.total_mj / bill.total_mj if bill.total_mj else None,
         "a_accuracy": x.accuracy, "b_accuracy": y.accuracy}
        for x, y in pairs for bill in x.bills if (other := y.bill(bill.profile.name))
    ]
    if not rows:
        raise ValueError("energy compare: the reports must share a model and a profile, got none in common. "
                         "Write both with the same labels and profiles.")
    return rows


@app.command("profiles")
def profiles(as_json: JsonFlag = False) -> None:
    """List the price profiles.

    Example: spikeattn energy profiles
    """
    from neuromorphic.energy import load_profile
    from neuromorphic.energy import profiles as names

    found = [load_profile(name) for name in names()]
    if as_json:
        print_json([{"name": p.name, "title": p.title, "node_nm": p.node_nm, "date": p.date, "source": p.source,
                     "verified": p.verified, "model": p.model,
                     "prices_pj": {name: price.pj for name, price in p.prices.items()},
                     "constants": {name: constant.value for name, constant in p.constants.items()}} for p in found])
        return
    from neuromorphic.report.table import Cell, Column, Table
    from neuromorphic.report.terminal import output, rich_table

    columns = (Column("profile", "", number=False), Column("title", "", number=False), Column("MAC [pJ]", ""),
               Column("AC [pJ]", ""), Column("verified", "", number=False), Column("source", "", number=False))
    cells = tuple((Cell(p.name), Cell(p.title), Cell(_pj(p, "MAC")), Cell(_pj(p, "AC")),
                   Cell("yes" if p.verified else "no"), Cell(p.source)) for p in found)
    output().print(rich_table(Table(columns, cells)))


def _pj(profile, operation: str) -> str:
    value = profile.pj(operation)
    return "–" if value is None else f"{value:g}"
