"""What each coding layer does to its values, measured: one record for each site.

    promised    |x - delta n| <= delta / 2 wherever the range is not left              the bound, for each site alone
    measured    the largest such error in steps, its RMS, values outside of the range, spikes, the drift from the ANN
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuromorphic.convert.quantise import Builder, Coded
from neuromorphic.convert.record import Site
from spikeattn.converted import Graph
from spikeattn.converted.linear import Weighted
from spikeattn.models.converted import ConvertedModel


@dataclass
class Tally:
    """Sums over the batches of one site, over values that are not padding."""

    values: int = 0
    saturated: int = 0
    spikes: int = 0
    largest_error: float = 0.0
    error: float = 0.0
    square: float = 0.0
    drift: float = 0.0
    ann_square: float = 0.0


@torch.no_grad()
def measure_sites(builder: Builder, model: ConvertedModel, ann: Graph,
                  batches: Iterable[Mapping[str, Tensor]]) -> tuple[tuple[Site, ...], float]:
    """Every coding layer of the converted network on some batches, beside the adapted ANN; and the spikes of all of
    their values together, per value.
    """
    tallies: dict[str, Tally] = defaultdict(Tally)
    for inputs in batches:
        expected: dict[str, Any] = dict(inputs)
        got: dict[str, Any] = {}
        ann(inputs, watch=expected.__setitem__)
        model.codes(inputs, watch=got.__setitem__)
        mask = inputs.get("attention_mask")
        for coded in builder.codes.values():
            _add(tallies[coded.wire], builder, coded, got, expected, mask)
    sites = tuple(_site(builder, coded, tallies[coded.wire]) for coded in builder.codes.values())
    values = sum(tally.values for tally in tallies.values())
    return sites, sum(tally.spikes for tally in tallies.values()) / max(values, 1)


def _add(tally: Tally, builder: Builder, coded: Coded, got: Mapping[str, Any], expected: Mapping[str, Any],
         mask: Tensor | None) -> None:
    scale, unit = coded.scale, coded.scale.unit
    value, codes = got[coded.source], got[coded.wire]
    x = value if value.is_floating_point() else value.double() * (
        scale.shaped(unit) if isinstance(unit, Tensor) else unit)
    step = scale.shaped(coded.step)
    ann = expected[builder.measured_as.get(coded.source, coded.source)].double()
    x, decoded, codes, ann, step = (_real(part, mask) for part in
                                    (x, codes * step, codes, ann, step.expand(codes.shape)))
    outside = x.abs() > (builder.levels + 0.5) * step
    error = (x - decoded).abs()
    tally.values += x.numel()
    tally.saturated += int(outside.sum())
    tally.spikes += int(torch.count_nonzero(builder.coding.digits(codes, builder.settings.timesteps)))
    tally.largest_error = max(tally.largest_error, float(torch.where(outside, 0.0, error / step).max()))
    tally.error += float(error.square().sum())
    tally.square += float(x.square().sum())
    tally.drift += float((x - ann).square().sum())
    tally.ann_square += float(ann.square().sum())


def _real(x: Tensor, mask: Tensor | None) -> Tensor:
    """Values that are not padding."""
    return x[mask != 0] if mask is not None and x.ndim == 3 and x.shape[:2] == mask.shape else x.flatten()


def _site(builder: Builder, coded: Coded, tally: Tally) -> Site:
    found = coded.found
    return Site(
        path=coded.source, role=coded.role, granularity=coded.granularity,
        largest_range=float(found.values.max()), smallest_range=float(found.values.min()),
        floor_share=found.floor_share, levels=builder.levels, step=float(coded.step.max()), bound=0.5,
        max_error=tally.largest_error, rms_error=_root(tally.error, tally.square),
        saturation_calibration=found.saturation, saturation_evaluation=tally.saturated / max(tally.values, 1),
        spikes=tally.spikes / max(tally.values, 1), block_error=_root(tally.drift, tally.ann_square),
        accumulator_bits=_bits(builder, coded),
    )


def _root(error: float, square: float) -> float:
    return (error / square) ** 0.5 if square else 0.0


def _bits(builder: Builder, coded: Coded) -> int | None:
    """Bits, sign included, of the widest sum of the products that read the code."""
    readers = [wire.layer for wire in builder.wires if coded.wire in wire.inputs and isinstance(wire.layer, Weighted)]
    sums = [layer.word_sum for layer in readers if layer.word_sum]
    return max(sums).bit_length() + 1 if sums else None
