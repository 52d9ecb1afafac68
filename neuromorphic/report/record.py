"""What a report says, before anyone decides how it looks: entries, their bills, notes.

    Report = title + entries + notes          Entry = label + bills of one ledger + accuracy + training

Every view (HTML, JSON, Markdown, CSV, terminal) is a pure function of a `Report`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neuromorphic.energy.bill import Bill
from neuromorphic.ledger import Ledger, ModelInfo


@dataclass(frozen=True)
class Entry:
    """One model: its ledger under one or more price profiles.

    accuracy: fraction in [0, 1] on the traced data; None takes what the ledger counted, if it did.
    training: one sentence on how the weights came about; None is reported as "training unknown".
    """

    label: str
    bills: tuple[Bill, ...]
    accuracy: float | None = None
    training: str | None = None

    def __post_init__(self) -> None:
        if not self.bills:
            raise ValueError(f"Entry: {self.label!r} must have at least one bill, got none. Price its ledger first.")
        if any(bill.ledger != self.bills[0].ledger for bill in self.bills[1:]):
            raise ValueError(
                f"Entry: all bills of {self.label!r} must price the same ledger, got different ledgers. "
                "Give each ledger an entry of its own."
            )
        if self.accuracy is None and self.model.accuracy is not None:
            object.__setattr__(self, "accuracy", self.model.accuracy)
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
    def spiking(self) -> bool:
        """Some neuron of the model emitted or could have emitted spikes."""
        return bool(self.ledger.emissions)

    def bill(self, profile: str) -> Bill | None:
        """The bill under the profile of this name."""
        return next((bill for bill in self.bills if bill.profile.name == profile), None)


@dataclass(frozen=True)
class Report:
    """Entries side by side. notes: sentences that a reader must know, such as the number of seeds.

    reference: label of the entry that ratios refer to; None takes the first softmax network, if any.
    """

    entries: tuple[Entry, ...]
    title: str = "Energy report"
    notes: tuple[str, ...] = ()
    reference: str | None = None

    def __post_init__(self) -> None:
        labels = [entry.label for entry in self.entries]
        if not labels:
            raise ValueError("Report: there must be at least one entry, got none. Pass {label: bill}.")
        if len(set(labels)) < len(labels):
            raise ValueError(f"Report: labels must differ, got {labels}. Rename the entries.")
        if self.reference is not None and self.reference not in labels:
            raise ValueError(f"Report: reference must be one of {labels}, got {self.reference!r}. Name an entry.")

    @property
    def profiles(self) -> tuple:
        """Every price profile in use, in order of appearance."""
        seen = {bill.profile.name: bill.profile for entry in self.entries for bill in entry.bills}
        return tuple(seen.values())

    @property
    def baseline(self) -> Entry | None:
        """The entry that ratios refer to."""
        if self.reference is not None:
            return next(entry for entry in self.entries if entry.label == self.reference)
        return next((entry for entry in self.entries if entry.model.attention == "softmax" and not entry.spiking), None)


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
