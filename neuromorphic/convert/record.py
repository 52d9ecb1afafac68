"""What a conversion reports: frozen records, all of it plain data.

    ConversionReport = scores of the ANN and of the converted network + sites + purity + sweep + ablation + costs

Nothing here is a promise about accuracy: bounds hold for each site alone (`Site.bound`), scores are measured.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """A task metric. low, high: its 95 % bootstrap interval, None where it was not taken."""

    metric: str
    value: float
    samples: int
    low: float | None = None
    high: float | None = None
    higher_is_better: bool = True


@dataclass(frozen=True)
class Fidelity:
    """How near the converted outputs are to those of the ANN on the evaluation data.

    kind: "cosine" (of output vectors: mean, smallest, first percentile) or "agreement" (share of equal predictions).
    """

    kind: str
    mean: float
    samples: int
    smallest: float | None = None
    percentile_1: float | None = None


@dataclass(frozen=True)
class Site:
    """One coded place of the network.

    path: the wire; role: "input", "query", "key", "value" or "context"; granularity: "channel", "head" or "tensor".
    largest_range, smallest_range: of its channels. floor_share: channels that the floor raised. levels: N,
    codes run from -N to N. step: largest grid step delta. bound: promised largest error of unsaturated values, in
    units of that value's step; max_error: the measured one. rms_error relative to the values' RMS.
    saturation_*: share of values outside the range. spikes: non-zero spikes per value that is not padding.
    block_error: relative error of the value in the converted network against the ANN. accumulator_bits: widest sum.
    """

    path: str
    role: str
    granularity: str
    largest_range: float
    smallest_range: float
    floor_share: float
    levels: int
    step: float
    bound: float
    max_error: float | None
    rms_error: float | None
    saturation_calibration: float
    saturation_evaluation: float | None
    spikes: float | None
    block_error: float | None
    accumulator_bits: int | None


@dataclass(frozen=True)
class PurityRow:
    """Executed operations of one class at one kind of place. per_step: evaluated again at every time step."""

    name: str
    what: str
    spike_driven: bool
    count: int
    sites: tuple[str, ...] = ()
    per_step: bool = False


@dataclass(frozen=True)
class Purity:
    """How spike-driven the converted network is, between the declared stem and the declared read-out.

    float_free: share of operations that are no float multiplication, division or exponential. share: spike-driven ones.
    label: "spike-driven", "spike-driven, integer norms" or "hybrid"; offenders: why it is not the stricter one.
    stem, readout: what lies outside of the bounds, by path.
    """

    float_free: float
    share: float
    label: str
    rows: tuple[PurityRow, ...]
    offenders: tuple[str, ...] = ()
    stem: tuple[str, ...] = ()
    readout: tuple[str, ...] = ()
    multiplication_free: bool = False


@dataclass(frozen=True)
class Energy:
    """Theoretical energy per sample under one price profile, by the same rules for all three."""

    profile: str
    snn_mj: float
    ann_fp32_mj: float
    ann_int8_mj: float
    lower_bound: bool


@dataclass(frozen=True)
class Trial:
    """One more conversion of the same network: other time steps (sweep), or parts kept exact (ablation)."""

    name: str
    settings: dict[str, Any]
    score: Score | None
    difference: Score | None
    fidelity: Fidelity | None
    spikes: float | None
    latency_steps: int
    float_free: float | None = None
    energy: tuple[Energy, ...] = ()


@dataclass(frozen=True)
class Warning:
    """Something a user must know. what_to_do: one sentence."""

    where: str
    what: str
    what_to_do: str


@dataclass(frozen=True)
class ConversionReport:
    """Everything that is known about one conversion.

    difference: metric of the converted network minus that of the ANN, paired on the same samples, with its interval.
    calibration, evaluation: {"samples": n, "sha256": ..., "source": ...}. seconds: {"calibrate": ..., "convert": ...}.
    adapted_difference: of the adapted ANN to its source, relative to the output's RMS. same_bits: samples on which
    spikes and code words were both run and gave the same bits.
    sweep, ablation: tables of separate conversions. provenance: "training-free" or how it was tuned.
    """

    source: str
    family: str
    settings: dict[str, Any]
    timesteps: int
    stages: int
    latency_steps: int
    layers: tuple[Site, ...]
    purity: Purity | None = None
    metric_ann: Score | None = None
    metric_snn: Score | None = None
    difference: Score | None = None
    fidelity: Fidelity | None = None
    spikes_per_value: float | None = None
    energy: tuple[Energy, ...] = ()
    sweep: tuple[Trial, ...] = ()
    ablation: tuple[Trial, ...] = ()
    calibration: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    adapted_difference: float | None = None
    same_bits: int | None = None
    disk_bytes: dict[str, int] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    provenance: str = "training-free"
    warnings: tuple[Warning, ...] = ()
