"""`spikeattn energy report`: count models on real inputs, price them beside their rivals, say how sure that is."""

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuromorphic.cli.console import JsonFlag, Step, print_json, progress, say
from neuromorphic.cli.sources import NOISE, PROFILES, Source, check_profiles, default_data, load_model

if TYPE_CHECKING:
    from neuromorphic.energy import Rule
    from neuromorphic.report import Entry, Report

ELSEWHERE = {"--json": 0, "--out": 1}  # options that say where a report goes, not what it is; words that follow them


def report(
    ctx: typer.Context,
    sources: Annotated[list[str], typer.Argument(
        metavar="MODEL|DIR...", help="Names of models, or directories with saved ones.")],
    data: Annotated[str | None, typer.Option(
        help="digits, mnist, cifar10 or noise.", show_default="digits where they fit, else noise")] = None,
    profile: Annotated[list[str] | None, typer.Option(
        help="Price profile: a name or a TOML file; may be repeated.", show_default=" and ".join(PROFILES))] = None,
    reuse: Annotated[str | None, typer.Option(
        help="Also charge memory, under this reuse model: none, weight_stationary, output_stationary, T_parallel or "
        "ideal.", show_default="compute only")] = None,
    out: Annotated[Path | None, typer.Option(
        help="Directory for report.html, report.json, report.md, report.tex and layers.csv.",
        show_default="print only")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Most samples to trace.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Samples at a time, where they are not traced one by one.")] = 64,
    attention: Annotated[str | None, typer.Option(help="Attention to build named models with.")] = None,
    timesteps: Annotated[int | None, typer.Option(min=1, help="Time steps to build named models with.")] = None,
    title: Annotated[str, typer.Option(help="Title of the report.")] = "Energy report",
    twins: Annotated[bool, typer.Option(
        help="Also price the same topology with softmax, CAT and bipolar attention (untrained).")] = True,
    ann: Annotated[str | None, typer.Option(
        metavar="MODEL|DIR", help="An ANN whose zeros are measured: the zero-skipping row.")] = None,
    sensitivity: Annotated[bool, typer.Option(help="Also vary firing rate, T, prices, reuse and accounting.")] = True,
    per_sample: Annotated[bool, typer.Option(
        "--per-sample/--batched", help="One sample at a time, until the energy is known to 1 %; or all in batches.")]
    = True,
    seeds: Annotated[bool, typer.Option(
        "--seeds", help="Demand that the directories hold one configuration, trained several times.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Also measure the joules of a graphics card.")] = False,
    fail_above: Annotated[float | None, typer.Option(
        min=0, metavar="MJ", help="Exit code 1 if a model needs more mJ per sample (first profile).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if anything is uncovered or unpriced.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Count and price models, side by side; the first softmax network among them is the yardstick.

    A spiking model is shown beside its twins: the same topology as an ANN with softmax and with CAT, and with bipolar
    attention. Directories with one configuration trained several times also give a spread over seeds.

    Example: spikeattn energy report runs/digits_bsa --out energy
    """
    from neuromorphic import report as reports

    profiles = check_profiles(profile or list(PROFILES))
    rule = rule_of(reuse, profiles)
    check_directory(out)
    loaded = [load_model(source, attention=attention, timesteps=timesteps) for source in sources]
    labels = _labels([source.label for source in loaded], sources)
    skipping = load_model(ann) if ann else None
    groups = seed_groups(loaded, labels, demanded=seeds)
    study = Study(data, samples, batch, profiles, rule, per_sample, sensitivity)
    with progress() as step:
        entries = [study.entry(source, step, label) for source, label in zip(loaded, labels, strict=True)]
        models = tuple(entries)
        if twins:
            entries += study.twins(loaded, models, step)
        if skipping:
            label = f"{skipping.label}, zeros skipped"
            entries.append(study.entry(skipping, step, label, "zero-skipping ann", labels[0]))
            if entries[-1].spiking:
                raise typer.BadParameter(f"--ann must be a network without spikes, got {ann}.")
        if measure:
            entries[:len(models)] = [study.measured(entry, source, step)
                                     for entry, source in zip(models, loaded, strict=True)]
    found = reports.Report(tuple(entries), title, tuple(study.notes),
                           provenance=reports.Provenance(command(ctx.find_root().obj)), seeds=groups)
    _show(found, out, as_json)
    _refuse_costly(found, fail_above)
    if strict:
        _refuse_gaps(found)


class Study:
    """What all models of one report share: the inputs, the prices, how they are traced; and the notes they give."""

    def __init__(self, data: str | None, samples: int, batch: int, profiles: list[str], rule: "Rule",
                 per_sample: bool, sensitivity: bool):
        self.data, self.samples, self.batch, self.profiles = data, samples, batch, profiles
        self.rule, self.per_sample, self.sensitivity, self.notes = rule, per_sample, sensitivity, []

    def entry(self, source: Source, step: Step, label: str, role: str = "model", twin_of: str | None = None) -> "Entry":
        """Trace, price and vary one model."""
        from neuromorphic.cli.sources import offered
        from neuromorphic.report.examine import T_SAMPLES, examine

        name = self.data or default_data(source.model)
        batches, data = offered(source.model, name, self.samples, self.batch)
        vary = self.sensitivity and role == "model"
        if role.endswith("twin"):  # an accuracy of initial weights says nothing
            batches = [one[0] if isinstance(one, tuple) else one for one in batches]
        found = examine(source.model, batches, label=label, profiles=self.profiles, rule=self.rule, role=role,
                        training=source.training, twin_of=twin_of, statistics=self.per_sample, sensitivity=vary,
                        data=data, checkpoint=source.checkpoint,
                        progress=lambda done, total, beside: step(f"count {label}", done, total, beside))
        if name == NOISE and role == "model":
            self.notes.append(f"{label}: the inputs were uniform noise, so its firing rates and energy are those of "
                              "noise.")
        if vary and found.spiking:
            few = min(T_SAMPLES, data.count)
            self.notes.append(f"{label}: the runs at other T took the first {few} sample(s) only.")
        return found

    def twins(self, sources: list[Source], models: "tuple[Entry, ...]", step: Step) -> "list[Entry]":
        """Twins of the spiking models that the caller did not bring along, each configuration once."""
        from neuromorphic.report.twins import ATTENTION, UNTRAINED
        from neuromorphic.report.twins import twins as twins_of

        given = {(not entry.spiking, entry.model.attention, entry.model.input_shape) for entry in models}
        found, seen = [], set()
        for source, entry in zip(sources, models, strict=True):
            for twin in twins_of(source.model):
                label = f"{entry.label}, {twin.role}"
                if twin.model is None:
                    self.notes.append(f"{label}: none, since {twin.reason}")
                elif (twin.role != "bsa twin", ATTENTION[twin.role], entry.model.input_shape) not in given \
                        and twin.config not in seen:
                    seen.add(twin.config)
                    found.append(self.entry(Source(label, twin.model, UNTRAINED), step, label, twin.role, entry.label))
        return found

    def measured(self, entry: "Entry", source: Source, step: Step) -> "Entry":
        """The entry with what a graphics card used for one of its batches."""
        import torch

        from neuromorphic.cli.sources import offered
        from neuromorphic.measured import measure

        if not torch.cuda.is_available():
            return replace(entry, measured=measure(None, 1))
        batches, _ = offered(source.model, self.data or default_data(source.model), self.samples, self.batch)
        x = (batches[0][0] if isinstance(batches[0], tuple) else batches[0]).cuda()
        with on_card(source.model) as model, torch.inference_mode():
            def run() -> None:
                model(x)
                torch.cuda.synchronize()

            step(f"measure {entry.label}", 0, 1, "")
            seen = measure(run, len(x), device=f"GPU-{torch.cuda.get_device_properties(x.device).uuid}")
        step(f"measure {entry.label}", 1, 1, seen.state)
        return replace(entry, measured=seen)


@contextmanager
def on_card(model) -> Iterator:
    """The model on the graphics card, and back where it was."""
    before = next(iter(model.parameters())).device
    try:
        yield model.cuda()
    finally:
        model.to(before)


def rule_of(reuse: str | None, profiles: list[str]) -> "Rule":
    """The headline's rule, with memory under the reuse model of this name where one is given."""
    from neuromorphic.energy import Rule

    if reuse is None:
        return Rule()
    from neuromorphic.energy import REUSE, load_profile
    from spikeattn.errors import nearest

    if reuse not in REUSE:
        raise typer.BadParameter(f"{reuse!r} is not a reuse model. {nearest(reuse, REUSE)}")
    lacking = [name for name in profiles if load_profile(name).memory is None]
    if lacking:
        raise typer.BadParameter(f"--reuse needs profiles with memories, got {', '.join(lacking)} without. "
                                 "See spikeattn energy profiles.")
    return Rule(reuse=reuse)


def check_directory(out: Path | None) -> None:
    """Before hours of tracing: the report can be written where it is to go."""
    if out is None:
        return
    place = next((place for place in (out, *out.absolute().parents) if place.exists()), Path("/"))
    if not place.is_dir():
        raise typer.BadParameter(f"--out must be a directory, got {out}, where {place} is a file.")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ValueError(f"energy report: --out must be a directory that can be written, got {out}: "
                         f"{error.strerror}. Name another.") from error


def command(arguments: list[str] | None) -> str | None:
    """The words that were typed, without those that only say where the report goes.

    >>> command(["energy", "my model", "--out", "a", "--json", "--samples", "4"])
    "spikeattn energy 'my model' --samples 4"
    """
    if arguments is None:
        return None
    words, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ELSEWHERE:
            del rest[:ELSEWHERE[word]]
        elif not word.startswith("--out="):
            words.append(word)
    return shlex.join(["spikeattn", *words])


def seed_groups(loaded: list[Source], labels: list[str], demanded: bool) -> tuple[tuple[str, ...], ...]:
    """Labels of the saved models that share a configuration, where there are several."""
    groups: dict[str, list[str]] = {}
    for source, label in zip(loaded, labels, strict=True):
        if source.checkpoint:
            groups.setdefault(repr(replace(source.model.config, name="")), []).append(label)
    found = tuple(tuple(group) for group in groups.values() if len(group) > 1)
    if demanded and (len(found) != 1 or len(found[0]) < len(labels)):
        raise typer.BadParameter("--seeds needs several directories with models of one configuration, got "
                                 f"{len(groups)} configuration(s) in {len(labels)} source(s).")
    return found


def _labels(labels: list[str], sources: list[str]) -> list[str]:
    """Short labels where they differ, else what was typed."""
    short = labels if len(set(labels)) == len(labels) else sources
    if len(set(short)) < len(short):
        raise typer.BadParameter(f"every model may be given once, got {', '.join(sources)}.")
    return short


def _show(found: "Report", out: Path | None, as_json: bool) -> None:
    from neuromorphic import report as reports
    from neuromorphic.report import json

    files = reports.write(found, out) if out else {}
    if as_json:
        print_json(json.plain(found))
    else:
        reports.print_report(found)
        say(f"Written: {', '.join(map(str, files.values()))}" if files else
            "Add --out DIR for the page with all layers.")


def _refuse_costly(found: "Report", limit: float | None) -> None:
    """Models above a user's limit fail the run, after the report has been shown and written."""
    bills = {entry.label: entry.bills[0] for entry in found.entries if entry.role == "model"}
    above = [f"{label} at {bill.total_mj:g} mJ" for label, bill in bills.items()
             if limit is not None and bill.total_mj > limit]
    if above:
        name = found.entries[0].bills[0].profile.name
        raise ValueError(f"energy report: no model may need more than {limit:g} mJ per sample under {name}, got "
                         f"{', '.join(above)}. Raise --fail-above, or look at the layers that cost most.")


def _refuse_gaps(found: "Report") -> None:
    """Totals that are lower bounds fail a strict run, after the report has been shown and written."""
    from neuromorphic.report import facts

    gaps = [sentence for entry in found.entries for sentence in facts.missing(entry)]
    if gaps:
        raise ValueError("energy report: with --strict everything must be counted and priced, "
                         f"got {len(gaps)} gap(s). {' '.join(gaps)} "
                         "Price them in a profile of yours, or leave --strict out.")
