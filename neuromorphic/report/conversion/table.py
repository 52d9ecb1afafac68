"""Tables as data: the same columns, definitions and digits in every view."""

from collections.abc import Callable

from neuromorphic.convert.record import ConversionReport, Energy, PurityRow, Site, Trial

from .. import text
from ..table import Cell, Column, Table
from . import facts

DISK = {"ann": "weights of the ANN", "snn": "weights of the converted network"}
TUNED = "finetune"  # the setting that only a fine-tuned conversion has
AS_REPORTED = "as reported"
PATH = Column("site", "path of the value in the source network", number=False)


Named = tuple[Column, Callable[[Trial], Cell]]  # a column and what stands in it for each trial


def name(trial: Trial) -> Cell:
    return Cell(trial.name)


def words(heading: str, definition: str) -> Column:
    return Column(heading, definition, number=False)


def number(value: float | None, digits: int = 3) -> Cell:
    return Cell(text.NOTHING if value is None else text.significant(value, digits) if value >= 0 else
                f"−{text.significant(value, digits)}", value)


def percent(value: float | None, decimals: int = 2) -> Cell:
    return Cell(text.percent(value, decimals), value)


def ratio(energy: Energy, ann_mj: float) -> Cell:
    """Energy over that of an ANN."""
    return Cell(facts.ratio(energy, ann_mj), energy.snn_mj / ann_mj if ann_mj else None)


def scores(report: ConversionReport) -> Table | None:
    """The task metric of the ANN, of the converted network, and the paired difference."""
    if report.metric_snn is None:
        return None
    metric = report.metric_snn.metric
    columns = (words("network", "which network"), Column(metric, "score on the evaluation data"),
               words("95 % interval", "by bootstrap over samples; of the difference paired on the same samples"),
               Column("samples", "evaluated"))
    rows = []
    for name, score, written in (("ANN, as given", report.metric_ann, facts.value),
                                 (f"spiking, T = {report.timesteps}", report.metric_snn, facts.value),
                                 ("difference", report.difference, facts.change)):
        if score is not None:
            rows.append((Cell(name), Cell(written(metric, score.value), score.value),
                         Cell(facts.interval(score, written)), Cell(f"{score.samples:,}", score.samples)))
    return Table(columns, tuple(rows), highlight=min(1, len(rows) - 1))


def trials(report: ConversionReport, found: tuple[Trial, ...], *first: Named) -> Table | None:
    """One row for each further conversion, leaving out columns that none of them fills."""
    if not found:
        return None
    metric = next((trial.score.metric for trial in found if trial.score), "score")
    profile = next((trial.energy[0].profile for trial in found if trial.energy), "")
    kind = next((trial.fidelity.kind for trial in found if trial.fidelity), "fidelity")
    columns = [
        *first,
        (Column(metric, "score of that conversion on the evaluation data"),
         lambda t: Cell(facts.value(metric, t.score and t.score.value), t.score and t.score.value)),
        (Column("to the ANN", "paired difference of the scores"),
         lambda t: Cell(facts.change(metric, t.difference and t.difference.value),
                        t.difference and t.difference.value)),
        (words("95 % interval", "of the difference, by bootstrap over samples"),
         lambda t: Cell(facts.interval(t.difference, facts.change))),
        (Column(kind, "mean over samples, of the outputs with those of the ANN"),
         lambda t: Cell(facts.near(t.fidelity), t.fidelity and t.fidelity.mean)),
        (Column("spikes per value", "non-zero spikes per coded value that is no padding"), lambda t: number(t.spikes)),
        (Column("latency", "steps until the logits are ready"), lambda t: Cell(str(t.latency_steps), t.latency_steps)),
        (Column("float-free", "share of operations that are no float multiplication, division or exponential"),
         lambda t: Cell(text.NOTHING if t.float_free is None else facts.share(t.float_free), t.float_free)),
        (Column(f"energy, {profile}", "theoretical energy per sample under that profile"),
         lambda t: Cell(facts.trial_energy(t), t.energy[0].snn_mj if t.energy else None)),
        (Column("to ANN int8", "energy over that of the ANN in int8 under the same profile"),
         lambda t: ratio(t.energy[0], t.energy[0].ann_int8_mj) if t.energy else Cell(text.NOTHING)),
    ]  # fmt: skip
    cells = [[make(trial) for trial in found] for _, make in columns]
    kept = [index for index, column in enumerate(cells) if any(cell.text != text.NOTHING for cell in column)]
    here = next((index for index, trial in enumerate(found) if is_reported(trial, report)), None)
    return Table(tuple(columns[index][0] for index in kept),
                 tuple(tuple(cells[index][row] for index in kept) for row in range(len(found))), highlight=here)


def sweep(report: ConversionReport) -> Table | None:
    return trials(report, report.sweep, (words("conversion", "a separate conversion with that T"), name))


def ablation(report: ConversionReport) -> Table | None:
    return trials(report, report.ablation, (words("conversion", "a separate conversion with these parts"), name),
                  (words("other settings", "how that conversion differs from the one reported"),
                   lambda trial: Cell(settings(trial, report))))


def settings(trial: Trial, report: ConversionReport) -> str:
    """What a trial does differently: `norm, activation exact; weights float`."""
    names: dict[str, list[str]] = {}
    for setting, value in trial.settings.items():
        if report.settings.get(setting) != value:
            names.setdefault(str(value), []).append(setting)
    if facts.is_fine_tuned(report) and TUNED not in trial.settings:
        names[facts.FINE] = []
    return "; ".join(f"{', '.join(some)} {value}".strip() for value, some in names.items()) or AS_REPORTED


def is_reported(trial: Trial, report: ConversionReport) -> bool:
    """Whether a trial is the conversion that the report is about."""
    return settings(trial, report) == AS_REPORTED


def sites(report: ConversionReport) -> Table:
    """One row for each coded place, by path."""
    columns = (
        PATH, words("role", "what the value is"), words("ranges", "per channel, per head or per tensor"),
        Column("range", "largest clip range of its channels"),
        Column("smallest", "smallest clip range of its channels"),
        Column("floor", "share of channels whose range the floor raised"),
        Column("levels", "N: codes run from −N to N"), Column("step", "largest grid step"),
        Column("bound", "promised largest error of a value inside its range, in steps"),
        Column("largest error", "measured on values inside their range, in steps"),
        Column("code error", "RMS error of the code over the RMS of the values"),
        Column("error to ANN", "relative error of the value in the converted network against the ANN"),
        Column("saturated, calibration", "share of values outside of the range"),
        Column("saturated, evaluation", "share of values outside of the range"),
        Column("spikes", "non-zero spikes per value that is no padding"),
        Column("bits", "widest sum seen"),
    )
    return Table(columns, tuple(map(_site, sorted(report.layers, key=lambda site: natural(site.path)))))


def _site(site: Site) -> tuple[Cell, ...]:
    return (
        Cell(site.path), Cell(site.role), Cell(site.granularity), number(site.largest_range),
        number(site.smallest_range), percent(site.floor_share, 1), Cell(f"{site.levels:,}", site.levels),
        number(site.step), number(site.bound), number(site.max_error), percent(site.rms_error),
        percent(site.block_error), percent(site.saturation_calibration), percent(site.saturation_evaluation),
        number(site.spikes), Cell(text.NOTHING if site.accumulator_bits is None else str(site.accumulator_bits),
                                  site.accumulator_bits),
    )  # fmt: skip


def natural(path: str) -> list[tuple[int, int, str]]:
    """Sorting key that puts layer 10 after layer 9.

    >>> sorted(["h.10.a", "h.9.a", "h.x"], key=natural)
    ['h.9.a', 'h.10.a', 'h.x']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.split(".")]


def purity(report: ConversionReport) -> Table | None:
    """Executed operations of every class, with what they count as."""
    if report.purity is None:
        return None
    columns = (words("class", "name of the class"), words("what", "what such an operation is"),
               words("counts as", "whether such operations are spike-driven"),
               Column("operations", "executed on the traced samples"), Column("share", "of all operations listed"),
               words("each step", "evaluated again at every time step"), words("sites", "where it ran"))
    total = sum(row.count for row in report.purity.rows) or 1
    return Table(columns, tuple(
        (Cell(row.name), Cell(row.what), Cell(counts_as(row)),
         Cell(text.count(row.count), row.count), percent(row.count / total), Cell("yes" if row.per_step else "no"),
         Cell(some(row.sites))) for row in report.purity.rows))


def counts_as(row: PurityRow) -> str:
    """X6 is analog input in the declared stem: no offence, and no spike."""
    return "declared stem" if row.name == "X6" else "spike-driven" if row.spike_driven else "not spike-driven"


def some(names: tuple[str, ...], most: int = 2) -> str:
    """A list of names that ends in how many more there are.

    >>> some(("a", "b", "c")), some(())
    ('a, b and 1 more', '–')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or text.NOTHING


def energy(report: ConversionReport) -> Table | None:
    """The converted network beside the ANN in fp32 and in int8, under every profile."""
    if not report.energy:
        return None
    columns = (words("profile", "prices in use"), Column("spiking", "theoretical energy per sample"),
               Column("ANN fp32", "the source network, all operations, 32-bit floats"),
               Column("ANN int8", "the source network, all operations, 8-bit integers"),
               Column("to fp32", "spiking over ANN fp32"), Column("to int8", "spiking over ANN int8"))
    return Table(columns, tuple(
        (Cell(one.profile), Cell(("≥ " if one.lower_bound else "") + text.energy(one.snn_mj * 1e9), one.snn_mj),
         Cell(text.energy(one.ann_fp32_mj * 1e9), one.ann_fp32_mj),
         Cell(text.energy(one.ann_int8_mj * 1e9), one.ann_int8_mj),
         ratio(one, one.ann_fp32_mj), ratio(one, one.ann_int8_mj))
        for one in report.energy))


def circumstances(report: ConversionReport) -> list[tuple[str, str]]:
    """What must be known to make the conversion again, as (what, text)."""
    found = [("Source", report.source), ("Family", report.family), ("Weights", report.provenance),
             ("Code", facts.coding(report))]
    for name, value in report.settings.items():
        inside = value.items() if isinstance(value, dict) else [("", value)]
        found += [(f"Setting {name} {key}".rstrip(), shown(one)) for key, one in inside]
    for name, data in (("Calibration", report.calibration), ("Evaluation", report.evaluation)):
        found += [(f"{name}: {key}", str(value)) for key, value in data.items()]
    if report.adapted_difference is not None:
        found.append(("Adapted ANN against the source", f"largest difference {report.adapted_difference:.1e} of the "
                                                        "output's RMS"))
    return found


def shown(value: object) -> str:
    """A setting as it reads.

    >>> shown({"hidden": (0.14639, 0.14080)}), shown(True)
    ('hidden 0.146, 0.141', 'True')
    """
    if isinstance(value, dict):
        return "; ".join(f"{name} {shown(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def costs(report: ConversionReport) -> list[tuple[str, str]]:
    """Steps, disk, memory and time, as (what, text)."""
    found = [("T", f"{report.timesteps} time steps"), ("Stages", f"{report.stages} one after the other"),
             ("latency_steps", f"{report.latency_steps} until the first logits")]
    found += [(f"On disk: {DISK.get(name, name)}", facts.size(count)) for name, count in report.disk_bytes.items()]
    if report.peak_memory_bytes is not None:
        found.append(("Peak memory", facts.size(report.peak_memory_bytes)))
    return found + [(f"Time to {name}", f"{seconds:.1f} s") for name, seconds in report.seconds.items()]
