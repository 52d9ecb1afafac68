"""Neurons of SpikingJelly and snnTorch, known by name; neither library is imported.

Each is priced as the equation that it implements, per element and step, not as the tensor operations that
its code happens to run. A subclass is priced as the nearest known parent; a spiking neuron of these libraries
that has no known parent is uncovered, under its own name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from neuromorphic.count.call import power_of_two
from neuromorphic.count.neuron import per_update
from spikeattn.types import NeuronCost


@dataclass(frozen=True)
class ForeignNeuron:
    """per_element None: a neuron whose cost nobody has written down."""

    per_element: dict[str, int] | None
    state_words: int
    timed: bool


def _decay(factor: float) -> str:
    return "none" if factor == 1 else "shift" if power_of_two(factor) else "mul"


def _number(value: object, default: float) -> float:
    """A decay as one number; one per channel is no power of two."""
    numel = getattr(value, "numel", lambda: 1)()
    return float(value) if numel == 1 else default


def _spikingjelly(leak: Callable[[nn.Module], str]) -> Callable[[nn.Module], dict[str, int]]:
    """v_reset None is the soft reset."""
    def cost(node: nn.Module) -> dict[str, int]:
        return per_update(NeuronCost(leak=leak(node), compares=1, reset="soft" if node.v_reset is None else "hard"))

    return cost


def _snntorch(node: nn.Module, decays: tuple[str, ...]) -> dict[str, int]:
    """One leak and one addition for each of its currents and the membrane."""
    reset = {"subtract": "soft", "zero": "hard", "none": "none"}[node.reset_mechanism]
    leaks = [_decay(_number(getattr(node, name), 0.3)) for name in decays]
    counts = per_update(NeuronCost(leak=leaks[-1], compares=1, reset=reset))
    for leak in leaks[:-1]:
        for name in ("ADD", {"shift": "SHIFT", "mul": "MUL", "none": None}[leak]):
            if name:
                counts[name] = counts.get(name, 0) + 1
    return counts


_IF, _LIF, _PLIF = (_spikingjelly(leak) for leak in (
    lambda node: "none", lambda node: _decay(1 - 1 / node.tau), lambda node: "mul",
))  # fmt: skip

KNOWN: dict[tuple[str, str], tuple[Callable[[nn.Module], dict[str, int]], int]] = {
    # (library, class): (operations of one update, words of state)
    ("spikingjelly", "IFNode"): (_IF, 1),
    ("spikingjelly", "LIFNode"): (_LIF, 1),
    ("spikingjelly", "ParametricLIFNode"): (_PLIF, 1),
    ("snntorch", "Leaky"): (lambda node: _snntorch(node, ("beta",)), 1),
    ("snntorch", "RLeaky"): (lambda node: _snntorch(node, ("beta",)), 1),
    ("snntorch", "Synaptic"): (lambda node: _snntorch(node, ("alpha", "beta")), 2),
    ("snntorch", "RSynaptic"): (lambda node: _snntorch(node, ("alpha", "beta")), 2),
}
ROOTS = {("spikingjelly", "BaseNode"), ("snntorch", "SpikingNeuron")}


def foreign_neuron(module: nn.Module) -> ForeignNeuron | None:
    """How a foreign neuron is counted; None for a module that is no foreign neuron."""
    parents = [(parent.__module__.partition(".")[0], parent.__name__) for parent in type(module).__mro__]
    if not ROOTS.intersection(parents):
        return None
    timed = getattr(module, "step_mode", "s") == "m"
    for parent in parents:
        if parent in KNOWN:
            cost, words = KNOWN[parent]
            return ForeignNeuron(cost(module), words, timed)
    return ForeignNeuron(None, 0, timed)


def forget(model: nn.Module) -> None:
    """Bring hidden membranes to rest: these libraries keep them inside the modules between calls."""
    for module in model.modules():
        if isinstance(getattr(module, "_memories", None), dict) and callable(getattr(module, "reset", None)):
            module.reset()
        elif getattr(module, "init_hidden", False) and callable(getattr(module, "reset_mem", None)):
            module.reset_mem()
