"""Whether a record holds what its type hints promise: the validator of files that came from outside.

>>> from neuromorphic.report.record import Data
>>> check(Data("digits", "test", 360, "ab"))
>>> check(Data("digits", "test", "360", "ab"))
Traceback (most recent call last):
ValueError: Data.count must be int, got '360'
"""

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def check(record: Any, where: str = "") -> None:
    """ValueError where a field of a dataclass, or of one inside it, is of another type or is no finite number."""
    hints, where = _hints(type(record)), where or type(record).__name__
    for field in fields(record):
        _check(getattr(record, field.name), hints[field.name], f"{where}.{field.name}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _check(value: Any, hint: Any, where: str) -> None:
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return
    if origin in (Union, types.UnionType):
        _check_union(value, inside, where)
    elif origin is Literal:
        _must(any(value == one and type(value) is type(one) for one in inside), value, f"one of {inside}", where)
    elif origin is tuple:
        _must(isinstance(value, tuple), value, "a list", where)
        if Ellipsis not in inside:
            _must(len(value) == len(inside), value, f"of {len(inside)} items", where)
        for index, item in enumerate(value):
            _check(item, inside[0 if Ellipsis in inside else index], f"{where}[{index}]")
    elif origin in (dict, Mapping) or hint is dict:
        _must(isinstance(value, dict), value, "a table", where)
        for name, item in value.items():
            _check(name, inside[0] if inside else str, f"{where} (a key)")
            _check(item, inside[1] if inside else Any, f"{where}[{name!r}]")
    elif hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _must(number and math.isfinite(value), value, "a finite number", where)
    elif hint is int:
        _must(isinstance(value, int) and not isinstance(value, bool), value, "int", where)
    elif is_dataclass(hint):
        _must(isinstance(value, hint), value, hint.__name__, where)
        check(value, where)
    elif isinstance(hint, type):
        _must(isinstance(value, hint), value, hint.__name__, where)


def _check_union(value: Any, hints: tuple, where: str) -> None:
    """Of several types the first that fits; its error where it is the only one besides None."""
    others = [hint for hint in hints if hint is not type(None)]
    if value is None and len(others) < len(hints):
        return
    errors = []
    for hint in others:
        try:
            return _check(value, hint, where)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _must(holds: bool, value: Any, what: str, where: str) -> None:
    if not holds:
        shown = repr(value)
        raise ValueError(f"{where} must be {what}, got {shown if len(shown) <= 60 else shown[:57] + '...'}")
