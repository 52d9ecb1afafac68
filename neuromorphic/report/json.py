"""The report as JSON and back: every count and price is in it, so any other view can be made from it.

Totals are repeated beside the evidence for programs that only want a number; reading ignores them.
"""

import json
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from neuromorphic.energy.baselines import Baseline, baselines
from neuromorphic.energy.bill import Bill, Constant, Line, Price, Profile, Rule
from neuromorphic.ledger import Ledger

from . import facts
from .record import Entry, Report

SCHEMA = "neuromorphic.report/1"


def plain(report: Report) -> dict:
    """The report as dictionaries, lists, strings and numbers; no time stamp, so equal runs give equal bytes."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "spikeattn", "version": _version()},
        "title": report.title,
        "disclaimer": facts.disclaimer(report.profiles),
        "headline": facts.headline(report),
        "interval": facts.interval(report),
        "verified_profiles": [_plain_under(one) for one in facts.under_verified(report)],
        "notes": list(report.notes),
        "warnings": facts.warnings(report),
        "reference": report.reference,
        "baseline": report.baseline.label if report.baseline else None,
        "profiles": {profile.name: _plain_profile(profile) for profile in report.profiles},
        "entries": [_plain_entry(report, entry) for entry in report.entries],
    }


def render(report: Report) -> str:
    return json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(text: str) -> Report:
    """The report that `render` wrote; ValueError says what is wrong with any other text."""
    try:
        source = json.loads(text)
        if source["schema"] != SCHEMA:
            raise ValueError(f"schema {source['schema']!r}")
        profiles = {name: _profile(name, value) for name, value in source["profiles"].items()}
        entries = tuple(_entry(value, profiles) for value in source["entries"])
        return Report(entries, source["title"], tuple(source["notes"]), source["reference"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"report.read: text must be a report of schema {SCHEMA!r}, got {type(error).__name__}: {error}. "
            "Pass a whole report.json that this version wrote."
        ) from error


def _version() -> str:
    try:
        return version("spikeattn")
    except PackageNotFoundError:
        return "not installed"


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
        "accuracy": entry.accuracy,
        "parameters": entry.model.parameters,
        "timesteps": entry.model.timesteps,
        "samples": entry.ledger.samples,
        "firing_rate": facts.firing_rate(entry.ledger),
        "rate_times_steps": facts.rate_times_steps(entry.ledger),
        "coverage": entry.ledger.coverage.fraction,
        "training": entry.training,
        "bills": [_plain_bill(report, entry, bill) for bill in entry.bills],
        "baselines": [_plain_baseline(baseline) for baseline in baselines(entry.ledger)] if entry.spiking else [],
        "ledger": json.loads(entry.ledger.to_json()),
    }


def _plain_under(one: facts.Under) -> dict:
    return {
        "profile": one.profile.name,
        "model": one.profile.model,
        "total_mj": one.total_pj / facts.PJ_PER_MJ,
        "ratio": one.ratio,
        "lower_bound": one.lower_bound,
    }


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
        "alternatives_mj": dict(bill.alternatives),
        "lines": [_plain_line(line) for line in bill.lines],
        "ann_lines": [_plain_line(line) for line in bill.ann_lines],
    }


def _plain_line(line: Line) -> list:
    return [line.layer, line.op, line.operation, line.count, line.pj]


def _entry(source: dict, profiles: dict[str, Profile]) -> Entry:
    ledger = Ledger.from_json(json.dumps(source["ledger"]))
    bills = tuple(_bill(bill, ledger, profiles) for bill in source["bills"])
    return Entry(source["label"], bills, source["accuracy"], source["training"])


def _bill(source: dict, ledger: Ledger, profiles: dict[str, Profile]) -> Bill:
    return Bill(
        ledger, profiles[source["profile"]], Rule(**source["rule"]),
        lines=tuple(Line(*line) for line in source["lines"]),
        ann_lines=tuple(Line(*line) for line in source["ann_lines"]),
        alternatives=source["alternatives_mj"],
    )  # fmt: skip
