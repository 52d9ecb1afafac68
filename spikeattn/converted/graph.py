"""A network as a list of wires: what an adapter makes of a checkpoint, and what conversion makes of that.

    value[w.name] = w.layer(value[i] for i in w.inputs)        wires in order

There is no control flow: every wire runs once. The names of the wires are the paths of the modules that they come
from, so a report, a trace and a state dict speak of the same places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Watch = Callable[[str, Any], None]


@dataclass(frozen=True)
class Wire:
    """A layer, where its inputs come from, and the name of what it gives.

    inputs: names of earlier wires or of the network's inputs; "?name" is an input that may be absent (None).
    """

    name: str
    layer: nn.Module
    inputs: tuple[str, ...]


class Graph(nn.Module):
    """Wires in the order in which they run.

    inputs: names of the network's inputs; output: the wire that is the result.

    >>> import torch
    >>> twice = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(twice.weight, 2.0)
    >>> graph = Graph(("x",), [Wire("a.twice", twice, ("x",)), Wire("a.relu", nn.ReLU(), ("a.twice",))], "a.relu")
    >>> graph({"x": torch.tensor([[-3.0], [4.0]])}).flatten().tolist()
    [0.0, 8.0]
    """

    def __init__(self, inputs: Sequence[str], wires: Sequence[Wire], output: str):
        super().__init__()
        self.inputs, self.wires, self.output = tuple(inputs), tuple(wires), output
        known = set(self.inputs)
        for wire in self.wires:
            missing = [name for name in wire.inputs if name.removeprefix("?") not in known]
            if missing or wire.name in known:
                raise ValueError(
                    f"Graph: every wire must have a new name and known inputs, got {wire.name!r} with unknown inputs "
                    f"{missing}. List the wires in the order in which they run."
                )
            known.add(wire.name)
            place(self, wire.name, wire.layer)
        if output not in known:
            raise ValueError(f"Graph: the output must be a wire, got {output!r}. The last is {self.wires[-1].name!r}.")
        self.spent = last_readings(self.wires, output)

    def __getitem__(self, name: str) -> nn.Module:
        """The layer of a wire."""
        return next(wire.layer for wire in self.wires if wire.name == name)

    def consumers(self, name: str) -> list[Wire]:
        """The wires that read a value."""
        return [wire for wire in self.wires if name in wire.inputs or f"?{name}" in wire.inputs]

    def forward(self, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> Tensor:
        """The output for inputs by name; `watch(name, value)` sees every value on its way."""
        values: dict[str, Any] = dict(self.check(inputs))
        for wire, spent in zip(self.wires, self.spent, strict=True):
            values[wire.name] = wire.layer(*arguments(wire, values))
            if watch:
                watch(wire.name, values[wire.name])
            for name in spent:
                values.pop(name, None)
        return values[self.output]

    def check(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The inputs, once they are the ones that the wires read."""
        read = {name for wire in self.wires for name in wire.inputs if name.removeprefix("?") in self.inputs}
        needed = {name for name in read if not name.startswith("?")}
        if needed - inputs.keys() or inputs.keys() - set(self.inputs):
            raise ValueError(
                f"Graph: the inputs must be {sorted(needed)} (and may be {sorted(set(self.inputs) - needed)}), got "
                f"{sorted(inputs)}. Name them as the source model does."
            )
        return inputs


def arguments(wire: Wire, values: Mapping[str, Any]) -> list[Any]:
    """What a wire reads, None for an optional input that is absent."""
    return [values.get(name.removeprefix("?")) if name.startswith("?") else values[name] for name in wire.inputs]


def last_readings(wires: Sequence[Wire], output: str) -> tuple[tuple[str, ...], ...]:
    """For each wire the values that nobody needs after it: they need not stay in memory.

    >>> last_readings([Wire("a", nn.Identity(), ("x",)), Wire("b", nn.Identity(), ("a",))], "b")
    (('x',), ('a',))
    """
    spent: list[tuple[str, ...]] = []
    needed = {output}
    for wire in reversed(wires):
        touched = dict.fromkeys((*(name.removeprefix("?") for name in wire.inputs), wire.name))
        spent.append(tuple(name for name in touched if name not in needed))
        needed |= touched.keys()
    return tuple(reversed(spent))


def place(root: nn.Module, path: str, layer: nn.Module) -> None:
    """Put a layer into a tree of modules at a dotted path, making the branches on the way."""
    *branches, leaf = path.split(".")
    for branch in branches:
        if not hasattr(root, branch):
            root.add_module(branch, nn.Module())
        root = getattr(root, branch)
    if hasattr(root, leaf):
        raise ValueError(f"Graph: {path!r} must be a free place in the tree of modules, got a taken one. Rename it.")
    root.add_module(leaf, layer)
