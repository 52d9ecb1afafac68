"""Task metrics of a network before and after conversion, with intervals. One metric, one file."""

from collections.abc import Callable

from neuromorphic.convert.batches import Data
from neuromorphic.convert.metrics.accuracy import Accuracy
from neuromorphic.convert.metrics.custom import Custom
from neuromorphic.convert.metrics.metric import Metric, Outcome, difference, fidelity, measure, score
from neuromorphic.convert.metrics.perplexity import Perplexity
from neuromorphic.convert.metrics.spearman import Spearman
from spikeattn.errors import nearest

METRICS = {metric.name: metric for metric in (Accuracy, Spearman, Perplexity)}

__all__ = ["METRICS", "Accuracy", "Custom", "Metric", "Outcome", "Perplexity", "Spearman", "difference", "fidelity",
           "measure", "metric_for", "score"]  # fmt: skip


def metric_for(wanted: str | Metric | Callable | None, data: Data) -> Metric:
    """A metric by its name, a function of the user's own, or with None the one that the data calls for.

    >>> metric_for("accuracy", None).name
    'accuracy'
    """
    if isinstance(wanted, Metric):
        return wanted
    if wanted is None:
        if data.scores is not None:
            return Spearman()
        if data.labels is not None:
            return Accuracy()
        if data.chunked:
            return Perplexity()
        raise ValueError(f"metric: the data must have labels, scored pairs or pieces of text, got {data.source} with "
                         "none. Add labels, or name a metric.")
    if isinstance(wanted, str):
        if wanted not in METRICS:
            raise ValueError(f"metric: must be one of {', '.join(METRICS)} or a function, got {wanted!r}. "
                             f"{nearest(wanted, METRICS)}")
        return METRICS[wanted]()
    if not callable(wanted):
        raise TypeError(f"metric: must be a name or a function, got {type(wanted).__name__}. "
                        f"Known: {', '.join(METRICS)}.")
    return Custom(wanted)
