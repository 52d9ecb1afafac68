"""What follows from a conversion: the headline, what must be said with it, and everything to be careful about."""

from dataclasses import dataclass
from pathlib import PurePath

from neuromorphic.convert.record import ConversionReport, Energy, Fidelity, Score, Site, Trial
from neuromorphic.energy import break_even, load_profile
from spikeattn.codings import CODINGS

from .. import text

POINTS = " points"
FINE, HYBRID = "training-free", "hybrid"
SAID_ALREADY = "execution"  # where the warning stands that `simulation` words
MUCH_SATURATION = 0.01  # more of a site's values outside of its range than this is worth a sentence
PROMISE = ("Promised: for each site alone, the bound on the error of a value inside the site's range. Measured: "
           "scores, fidelity and saturation. No bound on accuracy follows from these.")
THEORETICAL = ("Theoretical energy by the same rules for all three networks, not measured joules: operations times a "
               "published price.")


def is_share(metric: str) -> bool:
    """Whether a metric reads as a percentage.

    >>> is_share("accuracy"), is_share("spearman")
    (True, False)
    """
    return "accuracy" in metric or "agreement" in metric


def value(metric: str, number: float | None) -> str:
    """One score.

    >>> value("accuracy", 0.7512), value("spearman", 0.81834), value("perplexity", 35.217)
    ('75.12 %', '0.8183', '35.22')
    """
    if number is None:
        return text.NOTHING
    if is_share(metric):
        return text.percent(number, 2)
    return f"{number:.4f}" if abs(number) < 10 else f"{number:,.2f}"


def change(metric: str, number: float | None) -> str:
    """One difference of scores, with its sign.

    >>> change("accuracy", -0.0031), change("spearman", 0.0004), change("spearman", -0.00001)
    ('−0.31 points', '+0.0004', '0.0000')
    """
    if number is None:
        return text.NOTHING
    shown = f"{abs(100 * number):.2f}" if is_share(metric) else value(metric, abs(number))
    sign = "" if not float(shown.replace(",", "")) else "−" if number < 0 else "+"
    return f"{sign}{shown}{POINTS}" if is_share(metric) else f"{sign}{shown}"


def interval(score: Score | None, written=value) -> str:
    """The 95 % interval of a score, or of a difference with `written=change`."""
    if score is None or score.low is None or score.high is None:
        return text.NOTHING
    low, high = (written(score.metric, end) for end in (score.low, score.high))
    return f"{low.removesuffix(POINTS)} to {high}"


def fidelity(seen: Fidelity | None) -> str:
    """How near the outputs are, in words."""
    if seen is None:
        return "not measured"
    if seen.kind == "agreement":
        return f"{text.percent(seen.mean, 2)} equal predictions"
    tail = "" if seen.smallest is None else f", smallest {seen.smallest:.4f}"
    tail += "" if seen.percentile_1 is None else f", first percentile {seen.percentile_1:.4f}"
    return f"mean {seen.kind} {seen.mean:.4f}{tail}"


def near(seen: Fidelity | None) -> str:
    """The mean alone."""
    if seen is None:
        return text.NOTHING
    return text.percent(seen.mean, 2) if seen.kind == "agreement" else f"{seen.mean:.4f}"


def title(report: ConversionReport) -> str:
    """What was converted, and how many time steps it has now; of a path its last two parts."""
    path = PurePath(report.source)
    name = "/".join(path.parts[-2:]) if path.is_absolute() else report.source
    return f"{name} as a spiking network, T = {report.timesteps}"


def coding(report: ConversionReport) -> str:
    """The code of the words, as its own file names it."""
    name = str(report.settings.get("coding", ""))
    return CODINGS[name].title if name in CODINGS else name or "code not given"


def choices(report: ConversionReport) -> str:
    """The settings that stand beside every figure of the conversion."""
    known = report.settings
    parts = [coding(report)]
    names = ("weights", "floor", "biases", "normaliser", "ranges", "norm", "activation")
    parts += [f"{name} {known[name]}" for name in names if name in known]
    return f"Settings: {', '.join(parts)}; {mark(report)}."


def is_anytime(report: ConversionReport) -> bool:
    """Whether one conversion can be read out early."""
    known = CODINGS.get(str(report.settings.get("coding", "")))
    return known is not None and known.anytime


def is_fine_tuned(report: ConversionReport) -> bool:
    return report.provenance != FINE


def is_float(report: ConversionReport) -> bool:
    """Whether sums depend on their order, so that nothing may be called equal to the bit."""
    return report.settings.get("weights") == "float"


def mark(report: ConversionReport) -> str:
    """How the weights came about, in one word."""
    return "fine-tuned" if is_fine_tuned(report) else FINE


def label(report: ConversionReport) -> str:
    return "purity not counted" if report.purity is None else report.purity.label


def headline(report: ConversionReport) -> str:
    """One sentence: score before and after, fidelity, spikes, time, purity."""
    clauses = [scores(report)] if report.metric_snn else []
    clauses += [fidelity(report.fidelity) + (" against the ANN" if report.fidelity.kind != "agreement" else "")
                ] if report.fidelity else []
    if report.spikes_per_value is not None:
        clauses.append(f"{report.spikes_per_value:.2f} spikes per value")
    clauses.append(f"T = {report.timesteps}, logits after {report.latency_steps} steps")
    clauses.append(f"{label(report)}, {mark(report)}")
    sentence = "; ".join(clauses)
    return sentence[0].upper() + sentence[1:] + "."


def scores(report: ConversionReport) -> str:
    """`metric ANN → SNN (difference, its interval, samples)`."""
    after, before = report.metric_snn, report.metric_ann
    arrow = "" if after.higher_is_better else "(lower is better) "
    arrow += f"{value(after.metric, before.value)} → " if before else ""
    found = f"{after.metric} {arrow}{value(after.metric, after.value)}"
    difference = report.difference
    if difference is None:
        return f"{found} on {after.samples:,} samples"
    between = f", 95 % interval {interval(difference, change)}" if difference.low is not None else ""
    return f"{found} ({change(after.metric, difference.value)}{between}, {after.samples:,} samples)"


def simulation(report: ConversionReport) -> str:
    """What every user of a GPU must know."""
    same = "gives the same up to rounding" if is_float(report) else "gives the same bits"
    return (f"A GPU simulates the T = {report.timesteps} passes of the spiking form one after the other (so does a "
            f"CPU), which is slower than the ANN; the fake-quantised form {same} in one pass and is the one to run "
            "there.")


def latency(report: ConversionReport) -> str:
    """T and latency apart."""
    return (f"T = {report.timesteps} time steps for each value; {report.stages} stages follow one another, so the "
            f"first sample's logits are ready after latency_steps = {report.latency_steps}.")


def bounds(report: ConversionReport) -> str:
    """Between what the purity was counted."""
    if report.purity is None:
        return "Purity was not counted."
    stem = ", ".join(report.purity.stem) or "none"
    readout = ", ".join(report.purity.readout) or "none"
    return f"Counted between the declared stem ({stem}) and the declared read-out ({readout})."


def purity(report: ConversionReport) -> str | None:
    """The shares that belong to the label."""
    seen = report.purity
    if seen is None:
        return None
    floats = "no float multiplication, division or exponential" if seen.float_free == 1 else (
        f"{text.percent(1 - seen.float_free, 3)} of the operations counted multiply, divide or exponentiate floats")
    free = "free of multiplications" if seen.multiplication_free else "not free of multiplications"
    return (f"{seen.label}: {floats} (float_free = {share(seen.float_free)}), {share(seen.share)} of the "
            f"operations counted are spike-driven; {free}.")


def share(fraction: float) -> str:
    """A share that reads as 100 % only where nothing is missing.

    >>> share(1.0), share(0.99999), share(0.8)
    ('100 %', '99.99 %', '80.00 %')
    """
    return "100 %" if fraction == 1 else text.percent(min(fraction, 0.9999), 2)


def pays(report: ConversionReport) -> str | None:
    """Spikes per value against those at which an accumulate costs as much as a multiply-accumulate."""
    if report.spikes_per_value is None:
        return None
    ends = [f"{break_even(load_profile(name)):.1f} against {words}" for name, words in (
        ("horowitz45_fp32", "fp32"), ("horowitz45_int8_acc32", "int8 with a 32-bit sum"))]
    return (f"{report.spikes_per_value:.2f} spikes per value; by arithmetic alone at 45 nm accumulates cost less than "
            f"multiply-accumulates below {' and '.join(ends)}.")


def same_bits(report: ConversionReport) -> str | None:
    """What was compared."""
    if not report.same_bits or is_float(report):
        return None
    return (f"The spiking and the fake-quantised form were both run on {report.same_bits:,} samples and gave the same "
            "bits.")


def statements(report: ConversionReport) -> list[str]:
    """What must be said with the headline."""
    found = [latency(report), purity(report), bounds(report), PROMISE, simulation(report), same_bits(report)]
    return [sentence for sentence in found if sentence]


def steps(trial: Trial) -> object:
    """Spikes of a word: those that were read, where it was read early."""
    return trial.settings.get("read_after", trial.settings.get("timesteps"))


def early(report: ConversionReport) -> bool:
    """Whether the table over T is one conversion that was read after fewer spikes."""
    return any("read_after" in trial.settings for trial in report.sweep)


def trials_title(report: ConversionReport) -> str:
    """What a table over T is."""
    if early(report):
        longest = report.sweep[-1].settings.get("timesteps")
        return f"One conversion with T = {longest}, read out after fewer spikes: this code allows it"
    if is_anytime(report):
        return "Separate conversions, one for each T; this code can also be read out early"
    return "Separate conversions, one for each T: a word of this code means nothing before its last step"


@dataclass(frozen=True)
class Doubt:
    """Something to be careful about, where, and what to do."""

    where: str
    what: str
    what_to_do: str


def doubts(report: ConversionReport) -> list[Doubt]:
    """The conversion's own warnings, then what its numbers say."""
    own = (Doubt(warning.where, _ended(warning.what), _ended(warning.what_to_do)) for warning in report.warnings
           if warning.where != SAID_ALREADY)
    return [*own, *_about_data(report), *_about_sites(report),
            *_about_parts(report)]


def gathered(report: ConversionReport) -> list[list[Doubt]]:
    """Doubts that are answered by the same thing together, in their order."""
    groups: dict[str, list[Doubt]] = {}
    for doubt in doubts(report):
        groups.setdefault(doubt.what_to_do, []).append(doubt)
    return list(groups.values())


def _ended(words: str) -> str:
    """A sentence that ends, so that the next one can follow it.

    >>> _ended("0.2 % leave the range"), _ended("Why?")
    ('0.2 % leave the range.', 'Why?')
    """
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _about_data(report: ConversionReport):
    if is_fine_tuned(report):
        how = report.provenance.removeprefix("fine-tuned: ")
        yield Doubt("weights", f"This artefact is fine-tuned: {how}.",
                    "Never put its numbers beside those of a training-free conversion without saying so.")
    if report.metric_snn is None:
        yield Doubt("evaluation", "No task metric was measured.",
                    "Convert again with evaluation data: --evaluate PATH.")
    known, other = report.calibration.get("sha256"), report.evaluation.get("sha256")
    if known and known == other:
        yield Doubt("calibration", "The calibration data are the evaluation data.",
                    "Calibrate on other samples; scores on calibration data are too good.")
    difference = report.difference
    if difference and difference.low is not None and difference.low <= 0 <= difference.high:
        yield Doubt("evaluation", f"The 95 % interval of the difference holds 0 ({interval(difference, change)}).",
                    "Speak of no gain and no loss on these samples; more samples narrow the interval.")


def _about_sites(report: ConversionReport):
    for site in report.layers:
        if exceeds(site):
            yield Doubt(site.path, f"The measured error {text.significant(site.max_error)} exceeds the promised bound "
                                   f"{text.significant(site.bound)}.",
                        "This must not happen: report it with this file.")
    named = {warning.where for warning in report.warnings}
    much = sorted((site for site in report.layers if saturation(site) > MUCH_SATURATION and site.path not in named),
                  key=saturation, reverse=True)
    if much:
        more = f" and {len(much) - 3} more sites" if len(much) > 3 else ""
        worst = ", ".join(f"{site.path} ({text.percent(saturation(site), 2)})" for site in much[:3])
        yield Doubt(much[0].path, f"More than 1 % of the values lie outside of the range: {worst}{more}.",
                    "Calibrate on more samples like those of the task, or raise --floor.")


def _about_parts(report: ConversionReport):
    if is_float(report):
        yield Doubt("weights", "Weights are floats, so the spiking and the fake-quantised form differ by rounding.",
                    "Use --weights int12 for two forms that agree bit for bit.")
    if report.purity and report.purity.label == HYBRID and report.purity.offenders:
        yield Doubt("purity", f"The network is hybrid because of {'; '.join(report.purity.offenders[:5])}.",
                    "Leave the options that keep parts exact at their defaults, where it is these.")
    under = [energy.profile for energy in report.energy if energy.lower_bound]
    if under:
        yield Doubt("energy", f"Operations without a price: totals under {', '.join(under)} are lower bounds.",
                    "Choose a profile that prices them, or price them in one of yours.")


def exceeds(site: Site) -> bool:
    """Whether a measured error of a value in range is above its promise."""
    return site.max_error is not None and site.max_error > site.bound * (1 + 1e-6)


def saturation(site: Site) -> float:
    """Share of values outside of the range: in evaluation where that was measured, else in calibration."""
    return site.saturation_calibration if site.saturation_evaluation is None else site.saturation_evaluation


def error(site: Site) -> float | None:
    """Relative error of the value in the converted network, else that of its code alone."""
    return site.rms_error if site.block_error is None else site.block_error


def ratio(energy: Energy, ann_mj: float) -> str:
    """Energy over that of an ANN."""
    sign = "≥ " if energy.lower_bound else ""
    return f"{sign}{text.ratio(energy.snn_mj / ann_mj)}" if ann_mj else text.NOTHING


def trial_energy(trial: Trial) -> str:
    """Energy of a trial under its first profile."""
    if not trial.energy:
        return text.NOTHING
    first = trial.energy[0]
    return f"{'≥ ' if first.lower_bound else ''}{text.energy(first.snn_mj * 1e9)}"


def size(count: float) -> str:
    """Bytes as people read them.

    >>> size(91_400_000), size(512)
    ('91.4 MB', '512 B')
    """
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= of:
            return f"{text.significant(count / of)} {unit}"
    return f"{count:,.0f} B"

