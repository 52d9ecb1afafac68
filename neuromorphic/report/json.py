"""The report as JSON and back: every count and price is in it, so any other view can be made from it.

Totals, sentences and warnings are repeated beside the evidence for programs that only want a number; reading builds
them anew. A file from outside is checked whole before any of it is used: schema, names, types, finite numbers, and
that each total is the sum of its lines.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from neuromorphic.energy.baselines import Baseline, baselines
from neuromorphic.energy.bill import Bill, Constant, Line, Price, Profile, Rule
from neuromorphic.energy.models import MODELS
from neuromorphic.energy.sensitivity import Variation
from neuromorphic.ledger import Ledger
from neuromorphic.measured import Measured

from . import facts
from .record import Checkpoint, Data, Entry, Provenance, Report, Spread
from .typed import check

SCHEMA = "neuromorphic.report/2"


def plain(report: Report) -> dict:
    """The report as dictionaries, lists, strings and numbers; no time stamp, so equal runs give equal bytes."""
    return {
        "schema": SCHEMA,
        "provenance": asdict(report.provenance),
        "title": report.title,
        "disclaimer": facts.disclaimer(report.bills),
        "headline": facts.headline(report),
        "interval": facts.interval(report),
        "verified_profiles": [_plain_under(one) for one in facts.under_verified(report)],
        "notes": list(report.notes),
        "statistics": facts.statistics(report),
        "warnings": facts.warnings(report),
        "reference": report.reference,
        "baseline": report.baseline.label if report.baseline else None,
        "seeds": [_plain_seeds(report, group) for group in report.seeds],
        "profiles": {profile.name: _plain_profile(profile) for profile in report.profiles},
        "entries": [_plain_entry(report, entry) for entry in report.entries],
    }


def render(report: Report) -> str:
    return encode(plain(report), indent=1)


def encode(value: Any, indent: int) -> str:
    """Any plain data as JSON that every UTF-8 file can hold: half letters (names that are no Unicode) are escaped.

    >>> encode("café \\udcff", indent=1)
    '"café \\\\udcff"\\n'
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def read(text: str) -> Report:
    """The report that `render` wrote; ValueError says in one line what is wrong with any other text."""
    try:
        report = _report(json.loads(text, parse_constant=_no_number))
        for record in (*report.entries, report.provenance):
            check(record)
        _check_ledgers(report)
        _check_profiles(report)
        _ = report.span  # priced under every setting now, so that no view fails on what a formula needs
        return report
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError, OverflowError,
            RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"report.read: text must be a report of schema {SCHEMA!r}, got: {reason}. "
                         "Pass a whole report.json that this version wrote.") from error


def _report(source: Any) -> Report:
    if not isinstance(source, dict) or "schema" not in source:
        raise ValueError("JSON without a schema")
    if source["schema"] != SCHEMA:
        raise ValueError(f"schema {source['schema']!r}")
    profiles = {name: _profile(name, value) for name, value in source["profiles"].items()}
    return Report(
        tuple(_entry(value, profiles) for value in source["entries"]),
        _text(source["title"]), tuple(map(_text, source["notes"])), source["reference"],
        _record(Provenance, source["provenance"]), tuple(tuple(group["labels"]) for group in source["seeds"]),
    )  # fmt: skip


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} in place of a text")
    return value


def _check_ledgers(report: Report) -> None:
    for entry in report.entries:
        ledger = entry.ledger
        if ledger.samples < 1 or any(row.steps < 1 for row in ledger.rows):
            raise ValueError(f"{entry.label}: samples and steps below 1")
        if any(row.dense and row.left is None for row in ledger.rows):
            raise ValueError(f"{entry.label}: a product without operands")
        for emission in ledger.emissions:
            if not 0 < len(emission.positive) == len(emission.negative) == len(emission.levels):
                raise ValueError(f"{entry.label}: the steps of {emission.scope} do not agree")


def _check_profiles(report: Report) -> None:
    for profile in report.profiles:
        if profile.model not in MODELS:
            raise ValueError(f"{profile.name}: the energy model {profile.model!r}")
        if profile.memory and not {"weight", "activation", "accumulator"} <= set(profile.word_bits):
            raise ValueError(f"{profile.name}: word_bits of {sorted(profile.word_bits)} only")


def _plain_profile(profile: Profile) -> dict:
    plain = asdict(profile)
    return {name: value for name, value in plain.items() if name != "name"}


def _profile(name: str, source: dict) -> Profile:
    prices = {operation: Price(**price) for operation, price in source["prices"].items()}
    constants = {constant: Constant(**value) for constant, value in source["constants"].items()}
    return Profile(name=name, **{**source, "prices": prices, "constants": constants})


def _plain_entry(report: Report, entry: Entry) -> dict:
    return {
        "label": entry.label,
        "role": entry.role,
        "twin_of": entry.twin_of,
        "accuracy": entry.accuracy,
        "accuracy_samples": entry.accuracy_samples,
        "parameters": entry.model.parameters,
        "timesteps": entry.model.timesteps,
        "samples": entry.ledger.samples,
        "firing_rate": facts.firing_rate(entry.ledger),
        "rate_times_steps": facts.rate_times_steps(entry.ledger),
        "coverage": entry.ledger.coverage.fraction,
        "training": entry.training,
        "fresh_norms": list(entry.fresh_norms),
        "checkpoint": _optional(entry.checkpoint),
        "data": _optional(entry.data),
        "bills": [_plain_bill(report, entry, bill) for bill in entry.bills],
        "baselines": [_plain_baseline(one) for one in baselines(entry.ledger, entry.bills[0].rule.reuse)]
        if entry.spiking else [],
        "spreads": [_plain_spread(report, entry, spread) for spread in entry.spreads],
        "variations": [asdict(variation) | {"ratio": variation.ratio} for variation in entry.variations],
        "measured": _plain_measured(entry.measured),
        "ledger": json.loads(entry.ledger.to_json()),
    }


def _optional(record: Any) -> dict | None:
    return None if record is None else asdict(record)


def _plain_under(one: facts.Under) -> dict:
    return {
        "profile": one.profile.name,
        "model": one.profile.model,
        "total_mj": one.total_pj / facts.PJ_PER_MJ,
        "ratio": one.ratio,
        "lower_bound": one.lower_bound,
        "settings": [asdict(setting) | {"ratio": setting.ratio} for setting in one.settings],
    }


def _plain_seeds(report: Report, group: tuple[str, ...]) -> dict:
    found = {profile.name: report.over_seeds(group, profile.name) for profile in report.profiles}
    return {"labels": list(group), "energies_mj": {name: _optional(seen) for name, seen in found.items()}}


def _plain_spread(report: Report, entry: Entry, spread: Spread) -> dict:
    paired = facts.paired(report, entry, spread.profile)
    return {
        "profile": spread.profile,
        "statistics_mj": asdict(spread.statistics),
        "settled": spread.settled,
        "ratio_to_baseline": _optional(paired),
        "energies_mj": list(spread.energies_mj),
    }


def _plain_measured(measured: Measured | None) -> dict | None:
    """What a graphics card used: kept apart from every theoretical figure."""
    return None if measured is None else asdict(measured) | {"joules_per_sample": measured.joules, "sd": measured.sd}


def _plain_baseline(baseline: Baseline) -> dict:
    return {
        "name": baseline.name,
        "title": baseline.title,
        "total_mj": baseline.total_mj,
        "verified": baseline.profile.verified,
        "source": baseline.profile.source,
        "prices_pj": {name: baseline.profile.pj(name) for name in ("MAC", "ADD")},
    }


def _plain_bill(report: Report, entry: Entry, bill: Bill) -> dict:
    cost = facts.shiftmax_cost(bill)
    return {
        "profile": bill.profile.name,
        "rule": asdict(bill.rule),
        "total_mj": bill.total_mj,
        "lower_bound": bill.lower_bound,
        "ratio_to_baseline": facts.ratio_to_baseline(report, entry, bill.profile.name),
        "ratio_to_dense_self": bill.ratio,
        "break_even_rate_times_steps": facts.break_even(bill.profile),
        "by_class_mj": bill.by_class,
        "by_layer_mj": bill.by_layer,
        "unpriced": bill.unpriced,
        "shiftmax_pj": asdict(cost) if cost else None,
        "zero_skipping": _optional(facts.skipped(entry, bill)) if entry.role == "zero-skipping ann" else None,
        "alternatives_mj": dict(bill.alternatives),
        "lines": [list(asdict(line).values()) for line in bill.lines],
        "ann_lines": [list(asdict(line).values()) for line in bill.ann_lines],
    }


def _entry(source: dict, profiles: dict[str, Profile]) -> Entry:
    ledger = Ledger.from_json(json.dumps(source["ledger"]))
    measured = source["measured"] and {**source["measured"]}
    for name in ("joules_per_sample", "sd") if measured else ():
        measured.pop(name)
    variations = [{name: value for name, value in one.items() if name != "ratio"} for one in source["variations"]]
    spreads = [Spread(one["profile"], tuple(one["energies_mj"])) for one in source["spreads"]]
    return Entry(
        source["label"], tuple(_bill(bill, ledger, profiles) for bill in source["bills"]), source["accuracy"],
        source["training"], source["role"], source["twin_of"], source["accuracy_samples"],
        tuple(_record(Variation, one) for one in variations), tuple(spreads),
        _record(Data, source["data"]), _record(Checkpoint, source["checkpoint"]), _record(Measured, measured),
    )  # fmt: skip


def _record(cls: type, source: Mapping[str, Any] | None) -> Any:
    """A record from its fields by name, lists as tuples; None from null."""
    return None if source is None else cls(**{
        name: tuple(value) if isinstance(value, list) else value for name, value in source.items()
    })


def _bill(source: dict, ledger: Ledger, profiles: dict[str, Profile]) -> Bill:
    bill = Bill(
        ledger, profiles[source["profile"]], Rule(**source["rule"]),
        lines=tuple(Line(*line) for line in source["lines"]),
        ann_lines=tuple(Line(*line) for line in source["ann_lines"]),
        alternatives=source["alternatives_mj"],
    )  # fmt: skip
    if not math.isclose(bill.total_mj, source["total_mj"], rel_tol=1e-9, abs_tol=1e-18):
        raise ValueError(f"a total of {source['total_mj']} mJ that is not the sum of its lines, {bill.total_mj} mJ")
    return bill
