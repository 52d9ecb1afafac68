"""One operation of PyTorch: what its schema says of it once and for all, and one run of it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Operation:
    """What an operation is called and does to its arguments, read from its schema once.

    name: without the underscore of the in-place form, which costs what the other does; arguments: (name, default);
    tensors: (place, name) of the arguments that hold tensors or lists of them;
    written: arguments that it writes to; view: its result lies in the storage of an argument;
    random: its result is not given by its arguments;
    composite: made of others, which reach us one by one where tensors were made outside of inference mode.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...]
    tensors: tuple[tuple[int, str], ...]
    written: tuple[str, ...]
    view: bool
    random: bool
    composite: bool

    def named(self, args: tuple, kwargs: dict) -> dict[str, Any]:
        """The arguments of a call by name, defaults filled in."""
        named = {name: kwargs.get(name, default) for name, default in self.arguments[len(args):]}
        return {name: value for (name, _), value in zip(self.arguments, args, strict=False)} | named


@cache
def operation_of(func: Any) -> Operation:
    """
    >>> operation_of(torch.ops.aten.add_.Tensor).name, operation_of(torch.ops.aten.__and__.Tensor).name
    ('aten::add', 'aten::__and__')
    """
    schema = func._schema
    name = schema.name
    return Operation(
        name=name[:-1] if name.endswith("_") and not name.endswith("__") else name,
        arguments=tuple((argument.name, argument.default_value) for argument in schema.arguments),
        tensors=tuple((place, a.name) for place, a in enumerate(schema.arguments) if "Tensor" in str(a.type)),
        written=tuple(a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write),
        view=any(a.alias_info and not a.alias_info.is_write for a in schema.returns),
        random=torch.Tag.nondeterministic_seeded in func.tags,
        composite=func._can_decompose(),
    )


class Run:
    """One operation that has just run: what it was called with and what it gave."""

    __slots__ = ("operation", "name", "args", "kwargs", "inputs", "addresses", "outputs", "_named")

    def __init__(self, operation: Operation, args: tuple, kwargs: dict, out: Any):
        self.operation, self.name, self.args, self.kwargs = operation, operation.name, args, kwargs
        self.inputs: list[Tensor] = []
        for place, name in operation.tensors:
            value = args[place] if place < len(args) else kwargs.get(name)
            self.inputs += [value] if isinstance(value, Tensor) else tensors_in(value)
        self.addresses = [address_of(tensor) for tensor in self.inputs]
        self.outputs = [out] if isinstance(out, Tensor) else tensors_in(out)
        self._named = None

    @property
    def named(self) -> dict[str, Any]:
        """The arguments by name, looked up when first asked for."""
        if self._named is None:
            self._named = self.operation.named(self.args, self.kwargs)
        return self._named


def address_of(tensor: Tensor) -> int | None:
    """The place of its storage, which all its views share; None for a layout that has no single one."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else None


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in a nest of lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return []
    found = []
    for item in value:
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, (list, tuple, dict)):
            found += tensors_in(item)
    return found
