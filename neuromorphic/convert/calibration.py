"""What the values of a network look like on a small data set: one pass, one histogram per watched wire and channel.

    calibrate(graph, batches, sites) -> Statistics        then ranges.py finds clip ranges for any number of levels

The pass runs the float network, so the statistics do not depend on the coding or on T: one pass serves them all.
Padding tokens (attention_mask 0) are left out. Channels are the last axis of (B, N, D) and (B, D) and axis 1 of
(B, C, Y, X). Batches may come in any order and size: the counts are the same (histogram.py).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from neuromorphic.convert.histogram import Histogram
from neuromorphic.convert.record import Warning
from spikeattn.converted.graph import Graph
from spikeattn.errors import nearest

OUTLIER = 20.0  # a channel that reaches this many times further than the median channel is an outlier
FEW = 32  # fewer samples than this say little about ranges

Progress = Callable[[int, int | None], None]  # samples done, samples in all where known


@dataclass(frozen=True, eq=False)
class Statistics:
    """Histograms of the watched wires by name, and the SHA-256 of each sample that was seen.

    Records of two passes over different data add up to that of one pass over both.
    """

    sites: Mapping[str, Histogram]
    digests: tuple[bytes, ...]

    def __getitem__(self, wire: str) -> Histogram:
        if wire not in self.sites:
            raise ValueError(f"Statistics: the wire must have been watched, got {wire!r}. {nearest(wire, self.sites)}")
        return self.sites[wire]

    def __add__(self, other: "Statistics") -> "Statistics":
        if self.sites.keys() != other.sites.keys():
            odd = sorted(self.sites.keys() ^ other.sites.keys())
            raise ValueError(f"Statistics: both must watch the same wires, got {odd} in one only. Calibrate alike.")
        return Statistics({name: found + other.sites[name] for name, found in self.sites.items()},
                          self.digests + other.digests)

    @property
    def samples(self) -> int:
        return len(self.digests)

    @property
    def sha256(self) -> str:
        """Of the set of samples, whatever their order, batches and padding."""
        return hashlib.sha256(b"".join(sorted(self.digests))).hexdigest()

    def seen(self, batches: Iterable[Any]) -> int:
        """How many samples of other data were among these: calibration data should not be evaluated on."""
        known = set(self.digests)
        return sum(digest in known for batch in batches for digest in sample_digests(inputs_of(batch)))

    def range_of(self, wire: str) -> tuple[float, float]:
        """Signed extremes over all channels: what a residual stream or the index of a table must hold."""
        found = self[wire]
        return float(found.low.min()), float(found.high.max())

    @cached_property
    def warnings(self) -> tuple[Warning, ...]:
        """What a user should know before relying on these ranges."""
        found = []
        if self.samples < FEW:
            found.append(Warning("calibration", f"only {self.samples} samples were seen",
                                 "Give 64 to 512 samples of the kind of data that will be served."))
        for name, histogram in self.sites.items():
            found += _outliers(name, histogram.max)
        return tuple(found)


def _outliers(site: str, largest: Tensor) -> list[Warning]:
    alive = largest[largest > 0]
    if not len(alive):
        return [Warning(site, "every value was 0 on the calibration data",
                        "Check that the data reaches this layer; its range is unknown and is set to 1.")]
    ratio = largest / alive.median()
    channels = torch.nonzero(ratio > OUTLIER).flatten()
    if not len(channels):
        return []
    order = channels[ratio[channels].argsort(descending=True)].tolist()
    names = ", ".join(map(str, order[:4])) + (f" and {len(order) - 4} more" if len(order) > 4 else "")
    return [Warning(
        site, f"channel {names} reaches {float(ratio.max()):.0f} times as far as the median channel",
        "Keep one range per channel (the default), or add a time step if one range per tensor must do.",
    )]


def calibrate(
    graph: Graph, batches: Iterable[Any], sites: Iterable[str], progress: Progress | None = None
) -> Statistics:
    """Statistics of the named wires over one pass through the data.

    batches: dictionaries of inputs by name, or records with such a dictionary as `.inputs`. sites: names of wires or
    of the network's inputs. progress(done, total) is called after each batch; total is `batches.items` where it has
    one. Nothing of the network changes: its training flags are as before, no gradient is kept.

    >>> from spikeattn.converted.graph import Graph, Wire
    >>> graph = Graph(("tokens",), [Wire("relu", torch.nn.ReLU(), ("tokens",))], "relu")
    >>> found = calibrate(graph, [{"tokens": torch.tensor([[[-3.0, 2.0]], [[1.0, 5.0]]])}], ["relu"])
    >>> found["relu"].max.tolist(), found.range_of("relu"), found.samples
    ([1.0, 5.0], (0.0, 5.0), 2)
    """
    wanted = dict.fromkeys(sites)
    known = {wire.name for wire in graph.wires} | set(graph.inputs)
    for site in wanted:
        if site not in known:
            raise ValueError(f"calibrate: a site must be a wire of the network, got {site!r}. {nearest(site, known)}")
    graph = up_to_last(graph, wanted)
    flags = [(module, module.training) for module in graph.modules()]
    graph.eval()
    seen: dict[str, Histogram] = {}
    digests: list[bytes] = []
    flat = True
    try:
        with torch.no_grad():
            for batch in batches:
                inputs = inputs_of(batch)
                flat &= _is_flat(inputs, graph)
                for name, histogram in _watch(graph, inputs, wanted).items():
                    seen[name] = seen[name] + histogram if name in seen else histogram
                digests += sample_digests(inputs)
                if progress:
                    progress(len(digests), getattr(batches, "items", None))
    finally:
        for module, flag in flags:
            module.training = flag
    if not digests or len(seen) < len(wanted):
        raise ValueError("calibrate: there must be at least one sample that is not padding, got none. "
                         "Check the calibration data.")
    if len(set(digests)) == 1 and (flat or len(digests) > 1):
        raise ValueError(f"calibrate: the data must not be constant, got {len(digests)} equal samples. Give real data: "
                         "ranges found on constant data clip everything else.")
    return Statistics({name: seen[name] for name in wanted}, tuple(digests))


def up_to_last(graph: Graph, sites: Iterable[str]) -> Graph:
    """The graph without what comes behind the last of the sites, such as a read-out as wide as a vocabulary."""
    names = [wire.name for wire in graph.wires]
    last = max((names.index(site) for site in sites if site in names), default=0)
    return Graph(graph.inputs, graph.wires[: last + 1], names[last])


def inputs_of(batch: Any) -> Mapping[str, Tensor]:
    """The inputs by name of a batch: the batch itself, or its `inputs`."""
    inputs = getattr(batch, "inputs", batch)
    if not isinstance(inputs, Mapping) or not all(isinstance(value, Tensor) for value in inputs.values()):
        raise TypeError(f"calibrate: a batch must be a dictionary of tensors, got {type(batch).__name__}. "
                        "Let open_data make the batches.")
    return inputs


def _watch(graph: Graph, inputs: Mapping[str, Tensor], wanted: Mapping[str, None]) -> dict[str, Histogram]:
    """Histograms of the wanted values in one batch."""
    mask = inputs.get("attention_mask")
    found: dict[str, Histogram] = {}
    passed: list[str] = []

    def watch(name: str, value: Any) -> None:
        passed.append(name)
        if name in wanted:
            rows = channel_rows(value, mask)
            if not bool(rows.isfinite().all()):
                raise ValueError(f"calibrate: values must be finite, got NaN or infinity at {name}. "
                                 "Look for NaN weights in the checkpoint before this layer.")
            if len(rows):
                found[name] = Histogram.of(rows)

    graph.check(inputs)
    for name, value in inputs.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"calibrate: the data must be finite, got NaN or infinity in {name!r}. Clean the data.")
        if name in wanted:
            watch(name, value)
    passed.clear()
    try:
        graph(inputs, watch)
    except (RuntimeError, IndexError) as error:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items())
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"calibrate: the data must fit the network, got {shapes}: {graph.wires[len(passed)].name} "
                         f"says {reason!r}. Check the size of the pictures or the vocabulary.") from error
    return found


def channel_rows(value: Tensor, mask: Tensor | None) -> Tensor:
    """Values (n, C): padding tokens of (B, N, D) left out, channels of (B, C, Y, X) last.

    >>> channel_rows(torch.ones(2, 3, 5), torch.tensor([[1, 1, 0], [1, 0, 0]])).shape
    torch.Size([3, 5])
    """
    if value.ndim == 4:
        return value.movedim(1, -1).flatten(0, 2)
    if mask is not None and value.ndim == 3 and value.shape[:2] == mask.shape:
        return value[mask.bool()]
    return value.flatten(0, -2)


def sample_digests(inputs: Mapping[str, Tensor]) -> list[bytes]:
    """SHA-256 of each sample, the same whatever it was padded to and batched with."""
    mask = inputs.get("attention_mask")
    names = sorted(inputs.keys() - {"attention_mask"})
    values = {name: inputs[name].detach().cpu().contiguous() for name in names}
    keep = None if mask is None else mask.bool().cpu()
    found = []
    for i in range(len(values[names[0]])):
        digest = hashlib.sha256()
        for name in names:
            item = values[name][i]
            if keep is not None and item.shape[:1] == keep.shape[1:]:
                item = item[keep[i]]
            digest.update(f"{name} {item.dtype} {tuple(item.shape)} ".encode())
            digest.update(item.reshape(-1).view(torch.uint8).numpy().tobytes())
        found.append(digest.digest())
    return found


def _is_flat(inputs: Mapping[str, Tensor], graph: Graph) -> bool:
    """Whether the data input of a batch holds one value only."""
    mask = inputs.get("attention_mask")
    value = inputs.get(graph.inputs[0])
    if value is None or not value.numel():
        return True
    value = value[mask.bool()] if mask is not None and value.shape[:2] == mask.shape else value
    return not value.numel() or bool((value == value.flatten()[0]).all())
