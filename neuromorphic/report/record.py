"""What a report says, before anyone decides how it looks: entries, their bills, notes.

    Report = title + entries + notes + provenance       Entry = label + bills of one ledger + what is known about it

Every view (HTML, JSON, Markdown, LaTeX, CSV, terminal) is a pure function of a `Report`. Records keep evidence: a
mean, an interval, a ratio or a warning is computed from them on read (`facts`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Literal, get_args

from neuromorphic.energy.bill import Bill
from neuromorphic.energy.interval import Span, interval
from neuromorphic.energy.sensitivity import Variation
from neuromorphic.energy.statistics import (
    Checkpoints,
    Statistics,
    describe,
    over_checkpoints,
    sample_energies,
    settled,
)
from neuromorphic.ledger import Ledger, ModelInfo
from neuromorphic.measured import Measured

FORMULAS = 2  # rises whenever the same ledger under the same profile would get another energy
Role = Literal["model", "softmax twin", "cat twin", "bsa twin", "zero-skipping ann"]


def tool_version() -> str:
    try:
        return version("spikeattn")
    except PackageNotFoundError:
        return "not installed"


@dataclass(frozen=True)
class Data:
    """The samples that were offered, in this order: name, split, how many, and the SHA-256 of their bytes."""

    name: str
    split: str | None
    count: int
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    """The weights in use: name of their directory, and the SHA-256 of the file that holds them."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What must be known to make a report again; no time stamp, so that the same run gives the same bytes.

    command: the words that were typed, but for `--out` and `--json`, which say where it goes and not what it is;
    None where a program asked for the report.
    """

    command: str | None = None
    tool: str = field(default_factory=tool_version)
    formulas: int = FORMULAS


@dataclass(frozen=True)
class Spread:
    """Energy of each of the first samples by itself, in mJ, in the order of the data, under one profile."""

    profile: str
    energies_mj: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.energies_mj) < 2 or not all(isfinite(value) for value in self.energies_mj):
            raise ValueError(f"Spread: there must be two finite energies or more, got {len(self.energies_mj)}. "
                             "Trace more samples, each by itself.")

    @cached_property
    def statistics(self) -> Statistics:
        """Mean, standard deviation, extremes and 95 % bootstrap interval of the mean."""
        return describe(self.energies_mj)

    @property
    def constant(self) -> bool:
        """Every sample costs the same, as in a dense network."""
        return min(self.energies_mj) == max(self.energies_mj)

    @property
    def settled(self) -> bool:
        """The stopping rule holds: half of the interval is under 1 % of the mean, from enough samples."""
        return self.constant or settled(self.statistics)


@dataclass(frozen=True)
class Entry:
    """One model: its ledger under one or more price profiles.

    accuracy: fraction in [0, 1]; None takes what the ledger counted, if it did. accuracy_samples: of how many.
    training: one sentence on how the weights came about; None is reported as "training unknown".
    role, twin_of: what the entry is, and for twins the label of the entry whose topology they share.
    variations: one assumption changed at a time, at the prices of the first bill (but for "profile" ones).
    spreads: energies of single samples, one record for each profile; () takes those of `ledger.per_sample`.
    """

    label: str
    bills: tuple[Bill, ...]
    accuracy: float | None = None
    training: str | None = None
    role: Role = "model"
    twin_of: str | None = None
    accuracy_samples: int | None = None
    variations: tuple[Variation, ...] = ()
    spreads: tuple[Spread, ...] = ()
    data: Data | None = None
    checkpoint: Checkpoint | None = None
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if not self.bills:
            raise ValueError(f"Entry: {self.label!r} must have at least one bill, got none. Price its ledger first.")
        if any(bill.ledger != self.bills[0].ledger for bill in self.bills[1:]):
            raise ValueError(
                f"Entry: all bills of {self.label!r} must price the same ledger, got different ledgers. "
                "Give each ledger an entry of its own."
            )
        names = [bill.profile.name for bill in self.bills]
        if len(set(names)) < len(names):
            raise ValueError(f"Entry: the profiles of {self.label!r} must differ in name, got {names}. Rename one.")
        if self.role not in get_args(Role):
            raise ValueError(f"Entry: role of {self.label!r} must be one of {get_args(Role)}, got {self.role!r}.")
        singles = self.ledger.per_sample
        if not self.spreads and len(singles) > 1:
            spreads = (Spread(bill.profile.name, sample_energies(singles, bill.profile, bill.rule))
                       for bill in self.bills)
            object.__setattr__(self, "spreads", tuple(spreads))
        if self.accuracy is None and self.model.accuracy is not None:
            object.__setattr__(self, "accuracy", self.model.accuracy)
            object.__setattr__(self, "accuracy_samples", self.model.labelled)
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise ValueError(
                f"Entry: accuracy of {self.label!r} must be a fraction in [0, 1], got {self.accuracy}. "
                "Divide a percentage by 100."
            )

    @property
    def ledger(self) -> Ledger:
        return self.bills[0].ledger

    @property
    def model(self) -> ModelInfo:
        return self.ledger.model

    @property
    def fresh_norms(self) -> tuple[str, ...]:
        """Module paths of norms whose running statistics never saw a batch."""
        return self.model.unfed_norms

    @property
    def spiking(self) -> bool:
        """Some neuron of the model emitted or could have emitted spikes."""
        return bool(self.ledger.emissions)

    @property
    def counted(self) -> bool:
        """Its operations were counted with their operands: not a paper's table, which has one price in mind."""
        return any(row.left is not None or row.words for row in self.ledger.rows)

    def bill(self, profile: str) -> Bill | None:
        """The bill under the profile of this name."""
        return next((bill for bill in self.bills if bill.profile.name == profile), None)

    def spread(self, profile: str) -> Spread | None:
        """The energies of single samples under the profile of this name."""
        return next((spread for spread in self.spreads if spread.profile == profile), None)

    def varied(self, what: str) -> tuple[Variation, ...]:
        """The variations of one assumption: "firing rate", "T", "profile", "reuse" or a field of `Rule`."""
        return tuple(variation for variation in self.variations if variation.what == what)


@dataclass(frozen=True)
class Report:
    """Entries side by side. notes: sentences that a reader must know, such as how samples were chosen.

    reference: label of the entry that ratios refer to; None takes the first softmax network, if any.
    seeds: groups of labels whose entries are one configuration trained several times.
    """

    entries: tuple[Entry, ...]
    title: str = "Energy report"
    notes: tuple[str, ...] = ()
    reference: str | None = None
    provenance: Provenance = field(default_factory=Provenance)
    seeds: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        labels = [entry.label for entry in self.entries]
        if not labels:
            raise ValueError("Report: there must be at least one entry, got none. Pass {label: bill}.")
        if len(set(labels)) < len(labels):
            raise ValueError(f"Report: labels must differ, got {labels}. Rename the entries.")
        if self.reference is not None and self.reference not in labels:
            raise ValueError(f"Report: reference must be one of {labels}, got {self.reference!r}. Name an entry.")
        others = {entry.twin_of for entry in self.entries if entry.twin_of is not None}
        unknown = sorted(others.union(*self.seeds) - set(labels))
        if unknown:
            raise ValueError(f"Report: twins and seeds must name entries among {labels}, got {unknown}. Name an entry.")
        if any(len(group) < 2 for group in self.seeds):
            raise ValueError("Report: a group of seeds must hold two entries or more, got one. Leave it out.")

    @property
    def profiles(self) -> tuple:
        """Every price profile in use, in order of appearance."""
        seen = {bill.profile.name: bill.profile for entry in self.entries for bill in entry.bills}
        return tuple(seen.values())

    @property
    def bills(self) -> tuple[Bill, ...]:
        """Every bill of every entry."""
        return tuple(bill for entry in self.entries for bill in entry.bills)

    @property
    def baseline(self) -> Entry | None:
        """The entry that ratios refer to."""
        if self.reference is not None:
            return self.entry(self.reference)
        return next((entry for entry in self.entries if entry.model.attention == "softmax" and not entry.spiking
                     and entry.role != "zero-skipping ann"), None)

    @property
    def lead(self) -> Entry:
        """The model that the report is about: the first that is neither a twin nor the baseline, if there is one."""
        others = [entry for entry in self.entries if entry is not self.baseline]
        models = [entry for entry in others if entry.role == "model"]
        return next(iter(models or others), self.entries[0])

    @property
    def rival(self) -> Entry | None:
        """What the lead is compared with, if anything."""
        return self.baseline if self.baseline is not self.lead else None

    @cached_property
    def span(self) -> Span | None:
        """The lead under every verified profile and reuse model, against the rival where its operations were counted,
        else against its own products as a dense ANN; None for a lead that was given as a table."""
        if not self.lead.counted:
            return None
        return interval(self.lead.ledger, against=self.rival.ledger if self.rival and self.rival.counted else None)

    def entry(self, label: str) -> Entry:
        """The entry of this label."""
        return next(entry for entry in self.entries if entry.label == label)

    def twins(self, entry: Entry) -> tuple[Entry, ...]:
        """The entries that share the topology of this one."""
        return tuple(other for other in self.entries if other.twin_of == entry.label)

    def over_seeds(self, group: tuple[str, ...], profile: str) -> Checkpoints | None:
        """Mean energies [mJ] of one configuration trained several times; None where a bill is missing."""
        bills = [self.entry(label).bill(profile) for label in group]
        return over_checkpoints([bill.total_mj for bill in bills]) if all(bills) else None


Bills = Mapping[str, Bill | Iterable[Bill]]


def as_report(bills: "Report | Bills", *, title: str = "Energy report", notes: Iterable[str] = ()) -> Report:
    """A report from `{label: bill or bills}`; a report is returned as it is."""
    if isinstance(bills, Report):
        return bills
    if not isinstance(bills, Mapping):
        raise TypeError(
            f"report: bills must be a Report or a mapping from label to Bill(s), got {type(bills).__name__}. "
            "Write {'my model': bill}."
        )
    entries = tuple(Entry(str(label), (value,) if isinstance(value, Bill) else tuple(value))
                    for label, value in bills.items())
    return Report(entries, title=title, notes=tuple(notes))
