"""Reads the one kind of pickle that CIFAR-10 is published in, without unpickling.

A pickle is a program. `pickletools.genops` only lists its instructions; the ones that build a dictionary of
numbers, text, flat lists and numpy arrays of numbers are carried out here, by our own code, and anything else
is refused. No class is imported and nothing in the file is ever called.
"""

import pickletools
from dataclasses import dataclass

import numpy as np

from spikeattn.data.arrays import FormatError

_ARRAY = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_NAMES = _ARRAY | {"numpy ndarray", "numpy dtype"}
_MOST_ARRAYS = 8  # each may copy its bytes once, so a small file cannot fill the memory
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {"BININT", "BININT1", "BININT2", "INT", "LONG1", "SHORT_BINSTRING", "BINSTRING", "STRING",
             "BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "SHORT_BINBYTES", "BINBYTES"}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass
class _Name:
    text: str


@dataclass
class _Dtype:
    code: str
    order: str = "|"


@dataclass
class _Array:
    values: np.ndarray | None = None


def read_plain_pickle(data: bytes) -> dict[str, object]:
    """The dictionary of numbers, text, flat lists and arrays in a pickle; FormatError for anything else."""
    try:
        return _finish(_run(data))
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise FormatError(f"pickle: must be a plain batch file, got {type(error).__name__}: {error}. "
                          "The file is truncated or damaged; fetch it again.") from error


def _run(data: bytes) -> object:
    stack: list = []
    memo: dict[int, object] = {}
    built = 0
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            stack[-_TUPLES[name]:] = [tuple(stack[-_TUPLES[name]:])]
        elif name in ("TUPLE", "LIST"):
            stack.append(tuple(_pop_mark(stack)) if name == "TUPLE" else _pop_mark(stack))
        elif name in ("APPEND", "APPENDS"):
            items = _pop_mark(stack) if name == "APPENDS" else [stack.pop()]
            _target(stack, list).extend(items)
        elif name in ("SETITEM", "SETITEMS", "DICT"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _pop_mark(stack)
            if name == "DICT":
                stack.append({})
            _target(stack, dict).update(zip(items[::2], items[1::2], strict=True))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_name(argument if name == "GLOBAL" else f"{stack.pop(-2)} {stack.pop()}"))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_reduce(stack.pop(), arguments))
        elif name == "BUILD":
            state, built = stack.pop(), built + 1
            if built > 2 * _MOST_ARRAYS:
                raise FormatError(f"pickle: must hold at most {_MOST_ARRAYS} arrays, got more. It is refused.")
            _build(stack[-1], state)
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise FormatError(f"pickle: must hold plain data, got the instruction {name}. It is refused; "
                              "do not load this file with anything else either unless you trust it.")
    raise FormatError("pickle: must end with STOP, got the end of the file. The file is truncated.")


def _pop_mark(stack: list) -> list:
    start = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[start + 1:]
    del stack[start:]
    return items


def _target(stack: list, kind: type):
    if type(stack[-1]) is not kind:
        raise FormatError(f"pickle: items must go into a {kind.__name__}, got {type(stack[-1]).__name__}. "
                          "The file is damaged.")
    return stack[-1]


def _name(text: str) -> _Name:
    if text not in _NAMES:
        raise FormatError(f"pickle: may name only numpy arrays, got {text!r}. It is refused; "
                          "do not load this file with anything else either unless you trust it.")
    return _Name(text)


def _reduce(function: object, arguments: tuple) -> object:
    if not isinstance(function, _Name):
        raise FormatError(f"pickle: only a named constructor may be applied, got {type(function).__name__}.")
    if function.text in _ARRAY:
        return _Array()
    if function.text == "numpy dtype":
        return _Dtype(_text(arguments[0]))
    raise FormatError(f"pickle: {function.text!r} may not be applied here. The file is damaged.")


def _build(target: object, state: tuple) -> None:
    if isinstance(target, _Dtype):
        target.order = _text(state[1])
    elif isinstance(target, _Array):
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Dtype) or np.dtype(dtype.code).kind not in "uif":
            raise FormatError("pickle: an array must hold plain numbers, got objects. It is refused.")
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        values = np.frombuffer(bytearray(raw), np.dtype(dtype.code).newbyteorder(dtype.order))
        target.values = values.reshape(shape, order="F" if fortran else "C")
    else:
        raise FormatError(f"pickle: only arrays have a state, got {type(target).__name__}. It is refused.")


def _text(value: object) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _finish(result: object) -> dict[str, object]:
    if not isinstance(result, dict):
        raise FormatError(f"pickle: must hold a dictionary, got {type(result).__name__}. Is it another file?")
    return {_text(key): _plain(value) for key, value in result.items()}


def _plain(value: object) -> object:
    if isinstance(value, _Array):
        return value.values
    items = value if isinstance(value, list | tuple) else [value]
    wrong = next((item for item in items if not isinstance(item, str | bytes | int | float | None)), None)
    if wrong is not None:
        raise FormatError(f"pickle: lists must hold numbers or text, got {type(wrong).__name__}. It is refused.")
    return value
