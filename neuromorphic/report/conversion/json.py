"""A conversion as JSON and back.

The record stands under "conversion", field by field; the sentences beside it are for programs that only want to show
something, and reading builds them anew. Text from outside is checked whole before any of it is used: schema, names,
types, finite numbers.
"""

import json
import types
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from neuromorphic.convert.record import ConversionReport

from ..typed import check
from . import facts

SCHEMA = "neuromorphic.conversion/1"


def plain(report: ConversionReport) -> dict[str, Any]:
    """The report as dictionaries, lists, strings and finite numbers; ValueError names the field that is none."""
    check(report)
    return {
        "schema": SCHEMA,
        "headline": facts.headline(report),
        "statements": facts.statements(report),
        "doubts": [asdict(doubt) for doubt in facts.doubts(report)],
        "conversion": json.loads(json.dumps(asdict(report), allow_nan=False)),
    }


def render(report: ConversionReport) -> str:
    return json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(text: str) -> ConversionReport:
    """The report that `render` wrote; ValueError says in one line what is wrong with any other text."""
    try:
        source = json.loads(text, parse_constant=_no_number)
        if not isinstance(source, dict) or source.get("schema") != SCHEMA:
            raise ValueError(f"schema {source.get('schema')!r}" if isinstance(source, dict) else "no table")
        report = _record(ConversionReport, source["conversion"])
        check(report)
        return report
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"conversion.read: text must be a report of schema {SCHEMA!r}, got: {reason}. "
                         "Pass a whole report.json that this version wrote.") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _record(kind: type, source: Any) -> Any:
    """A dataclass from a table that has exactly its fields."""
    known = {field.name for field in fields(kind)}
    if not isinstance(source, dict) or source.keys() != known:
        wrong = sorted(known.symmetric_difference(source)) if isinstance(source, dict) else repr(source)[:60]
        raise ValueError(f"{kind.__name__} with other fields than its own: {wrong}")
    return kind(**{name: _value(hint, source[name]) for name, hint in _hints(kind).items()})


def _value(hint: Any, value: Any) -> Any:
    """JSON back into the type of a field: lists into tuples, tables into records; `check` judges the rest."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        others = [one for one in inside if one is not type(None)]
        return None if value is None or not others else _value(others[0], value)
    if is_dataclass(hint):
        return _record(hint, value)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(inside[0], one) for one in value)
    if origin is dict and isinstance(value, dict):
        return {name: _value(inside[1], one) for name, one in value.items()}
    return value
