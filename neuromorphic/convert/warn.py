"""What a user must know before trusting a converted network, each with what to do about it.

Found from the records of a conversion alone; nothing is run again here.
"""

from collections.abc import Iterator, Sequence

from neuromorphic.convert.calibration import OUTLIER, Statistics
from neuromorphic.convert.prepare import Prepared
from neuromorphic.convert.record import Fidelity, Site, Warning
from neuromorphic.convert.settings import Settings
from spikeattn.codings import CODINGS
from spikeattn.models.converted import ConvertedModel

SATURATED = 0.001  # of a site's values outside of the range: more of them are worth a word,
UNSEEN = 2.0  # where they are this many times those of the calibration data,
MANY = 0.05  # or so many in any case
MOST = 0.5  # of a site's channels that the floor raised: more of them are the rule and not the exception
NAMED = 3  # sites that a warning names
PREPARED = ("ViT", "DeiT")  # families whose checkpoints come with the preparation of their pictures
FAR = {"cosine": 0.95, "agreement": 0.90}  # below it the converted network is another one


def warnings(prepared: Prepared, sites: Sequence[Site], model: ConvertedModel, settings: Settings,
             fidelity: Fidelity | None = None) -> tuple[Warning, ...]:
    """All of them, what concerns the data first."""
    evaluated = prepared.evaluation is not None
    return (*of_data(prepared, evaluated), *of_channels(prepared.statistics, sites), *of_ranges(sites, evaluated),
            *of_result(prepared, fidelity), *of_network(prepared, model, settings))  # fmt: skip


def of_data(prepared: Prepared, evaluated: bool) -> Iterator[Warning]:
    """Data that says less than it seems to, or is not what the model was trained on."""
    if prepared.adapted.family in PREPARED and prepared.source.processor is None:
        yield Warning("pictures", "the checkpoint came without preprocessor_config.json: 8-bit pictures are scaled to "
                      "[0, 1] and nothing else", "Put its file beside the weights, or give pictures that are prepared.")
    if not evaluated:
        yield Warning("evaluation", "no evaluation data was given: nothing is known about the accuracy",
                      "Give evaluation data that is not the calibration data.")
        return
    seen = prepared.statistics.seen(prepared.evaluation)
    if seen:
        yield Warning("evaluation", f"{seen} of {prepared.evaluation.items} samples are also in the calibration data: "
                      "the scores are too good", "Evaluate on other data.")


def of_channels(statistics: Statistics, sites: Sequence[Site]) -> Iterator[Warning]:
    """Few samples, silent layers, and outlier channels where a code shares one range among channels, or where they
    drag the floor up to the ranges of most others.
    """
    coded = {site.path.removesuffix("_grid"): site for site in sites}
    outliers, dragged = [], []
    for warning in statistics.warnings:
        found = statistics.sites.get(warning.where)
        if found is None or not bool((found.max > 0).any()):
            yield warning
        elif warning.where in coded:
            alive, site = found.max[found.max > 0], coded[warning.where]
            ratio = float(alive.max() / alive.median())
            if site.granularity != "channel":
                outliers.append((ratio, warning.where))
            elif site.floor_share > MOST:
                dragged.append((ratio, warning.where))
    if outliers:
        ratio, _ = max(outliers)
        yield Warning(named([where for _, where in sorted(outliers, reverse=True)]),
                      f"channels that reach up to {ratio:.0f} times as far as the median channel (more than "
                      f"{OUTLIER:.0f}) share a range with it",
                      "Keep one range per channel (per_channel), or add a step.")
    if dragged:
        ratio, _ = max(dragged)
        yield Warning(named([where for _, where in sorted(dragged, reverse=True)]),
                      f"channels that reach up to {ratio:.0f} times as far as the median channel raise the floor above "
                      "the ranges of most others, which lose levels", "Lower the floor, or add a step.")


def of_ranges(sites: Sequence[Site], evaluated: bool) -> Iterator[Warning]:
    """Values outside of the calibrated ranges: many, or many more than on the calibration data."""

    def outside(site: Site) -> float:
        return site.saturation_evaluation or 0.0

    def usual(site: Site) -> float:
        return min(max(SATURATED, UNSEEN * site.saturation_calibration), MANY) if evaluated else MANY

    worst = sorted((site for site in sites if outside(site) > usual(site)), key=outside, reverse=True)
    if worst:
        data = "the evaluation data" if evaluated else "the calibration data"
        yield Warning(named([site.path for site in worst]),
                      f"up to {outside(worst[0]):.2%} of the values leave the calibrated range on {data}",
                      "Calibrate on data of the kind that is served, raise the floor, or add a step.")


def of_result(prepared: Prepared, fidelity: Fidelity | None) -> Iterator[Warning]:
    """An ANN that is no better than guessing, a network that is far from its ANN."""
    classes = prepared.source.labels or ()
    if prepared.ann is not None and prepared.ann.metric.name == "accuracy":
        outputs = len(classes) or int(prepared.evaluation.labels.max()) + 1
        if prepared.ann.value <= 1.5 / outputs:
            yield Warning(prepared.source.name, f"the ANN itself is right in {prepared.ann.value:.1%} of {outputs} "
                          "classes: it looks untrained, or the labels are in another order",
                          "Check the checkpoint and the order of the classes.")
    if fidelity is not None and fidelity.mean < FAR[fidelity.kind]:
        yield Warning("output", f"{fidelity.kind} with the ANN is {fidelity.mean:.3f}: another network",
                      "Add a step, keep one range per channel, or fine-tune.")


def of_network(prepared: Prepared, model: ConvertedModel, settings: Settings) -> Iterator[Warning]:
    """What the network is not."""
    if prepared.adapted.hybrid:
        yield Warning(named(prepared.adapted.hybrid), "stays in floating point",
                      "The network is a hybrid: use a vit_* of the same size where that matters.")
    if settings.exact_parts:
        yield Warning("settings", f"{named(settings.exact_parts)} in floating point" + (
            ": spikes and code words agree up to rounding only" if settings.weights == "float" else ""),
            "For comparison: leave these settings out for the network to be deployed.")
    if CODINGS[settings.coding].graded:
        yield Warning("coding", f"{settings.coding} sends graded spikes: each costs a multiplication or a shift",
                      "Choose a code of unit spikes, such as ternary.")
    for note in prepared.source.notes:
        yield Warning(prepared.source.name, note, "Check that this is the model you mean.")
    yield Warning("execution", f"a GPU or CPU simulates the {settings.timesteps} steps one after the other: slower "
                  "than the ANN", "Use model.codes(x) there; it gives the same bits.")


def named(paths: Sequence[str]) -> str:
    """The first few, and how many more.

    >>> named(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    return ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")
