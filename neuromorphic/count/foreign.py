"""Neurons of SpikingJelly and snnTorch, known by name; neither library is imported.

Each is priced as the equation that it implements, per element and step, not as the tensor operations that
its code happens to run; weights inside a neuron (a recurrent layer) are counted as the products that they are.
A subclass that keeps its parent's dynamics is priced as its parent. Whatever else these libraries call a neuron
is uncovered, under its own name.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from torch import nn

from neuromorphic.count.measure import power_of_two
from neuromorphic.count.neuron import LEAK, RESET, per_update
from spikeattn.types import NeuronCost

PLACES = ("spikingjelly.activation_based.neuron", "snntorch._neurons")  # where the two libraries keep neurons


@dataclass(frozen=True)
class ForeignNeuron:
    """per_element None: a neuron whose cost nobody has written down."""

    per_element: dict[str, int] | None
    state_words: int
    timed: bool
    alphabet: str = "binary"


def _decay(factor: float) -> str:
    return "none" if factor == 1 else "shift" if power_of_two(factor) else "mul"


def _number(value: object) -> float:
    """A decay as one number; one per channel is no power of two."""
    return float(value) if getattr(value, "numel", lambda: 1)() == 1 else 0.3


def _spikingjelly(*leaks: Callable[[nn.Module], str], compares: Callable[[nn.Module], int] = lambda node: 1,
                  **more: int) -> Callable[[nn.Module], dict[str, int]]:  # fmt: skip
    """One leak and one addition for each current and the membrane; v_reset None is the soft reset."""
    def cost(node: nn.Module) -> dict[str, int]:
        reset = "soft" if node.v_reset is None else "hard"
        counts = per_update(NeuronCost(leak=leaks[-1](node), compares=compares(node), reset=reset))
        return dict(Tally(counts) + sum((_current(leak(node)) for leak in leaks[:-1]), Tally(more)))

    return cost


def _snntorch(*decays: Callable[[nn.Module], object], recurrent: bool = False,
              **more: int) -> Callable[[nn.Module], dict[str, int] | None]:  # fmt: skip
    """One leak and one addition for each synaptic current and the membrane, and all of them reset to zero."""
    def cost(node: nn.Module) -> dict[str, int] | None:
        if node.inhibition or node.state_quant:
            return None  # the winner of all neurons, or a quantiser of states
        reset = {"subtract": "soft", "zero": "hard", "none": "none"}[node.reset_mechanism]
        leaks = [_decay(_number(decay(node))) for decay in decays]
        counts = Tally(per_update(NeuronCost(leak=leaks[-1], compares=1, reset=reset)))
        for leak in leaks[:-1]:
            counts += _current(leak) + Tally(RESET["hard"] if reset == "hard" else {})
        if recurrent:  # its current is added; one weight for each neuron gates its own spike
            counts += Tally(ADD=1) + Tally({} if node.all_to_all else {"AND": 1})
        return dict(counts + Tally(more))

    return cost


def _current(leak: str) -> Tally:
    return Tally(ADD=1) + Tally(LEAK[leak])


def _named(name: str) -> Callable[[nn.Module], object]:
    return lambda node: getattr(node, name)


def _levels(node: nn.Module) -> int:
    """Levels that a multi-spike neuron tells apart."""
    return int(node.surrogate_function.max_spike_count)


def _kept(node: nn.Module) -> str:
    return "none"


def _tau(node: nn.Module) -> str:
    return _decay(1 - 1 / node.tau)


def _learned(node: nn.Module) -> str:
    return "mul"


def _two(node: nn.Module) -> int:
    return 2


def _klif(node: nn.Module) -> dict[str, int]:
    """Fires on relu(k u); `scale_reset` divides by k again."""
    return _spikingjelly(_tau, compares=_two, MUL=1, DIV=int(node.scale_reset))(node)


def _parallel(node: nn.Module) -> dict[str, int]:
    """Its weights over time are products; what is left is the threshold."""
    return {"CMP": 1}


def _alpha_reset(node: nn.Module) -> dict[str, int] | None:
    """alpha and beta decay two currents, whose sum times a constant is the membrane; all three are reset."""
    counts = _snntorch(_named("alpha"), _named("beta"), lambda node: 1.0, MUL=1)(node)
    if counts and node.reset_mechanism == "subtract":
        counts["ADD"] += 2  # the currents too are reset by subtraction
    return counts


_IF, _LIF = _spikingjelly(_kept), _spikingjelly(_tau)
_LEAKY, _SYNAPTIC = (_named("beta"),), (_named("alpha"), _named("beta"))

KNOWN: dict[tuple[str, str], tuple[Callable[[nn.Module], dict[str, int] | None] | None, int, str]] = {
    # (library, class): (operations of one update or None, words of state, alphabet)
    ("spikingjelly", "IFNode"): (_IF, 1, "binary"),
    ("spikingjelly", "SimpleIFNode"): (_IF, 1, "binary"),
    ("spikingjelly", "HalfThresholdIFNode"): (_IF, 1, "binary"),
    ("spikingjelly", "LIFNode"): (_LIF, 1, "binary"),
    ("spikingjelly", "SimpleLIFNode"): (_LIF, 1, "binary"),
    ("spikingjelly", "ParametricLIFNode"): (_spikingjelly(_learned), 1, "binary"),
    ("spikingjelly", "KLIFNode"): (_klif, 1, "binary"),
    ("spikingjelly", "ILIFNode"): (_spikingjelly(_tau, compares=_levels), 1, "graded"),
    ("spikingjelly", "TernaryIFNode"): (_spikingjelly(_kept, compares=_two), 1, "ternary"),
    ("spikingjelly", "TernaryLIFNode"): (_spikingjelly(_tau, compares=_two), 1, "ternary"),
    ("spikingjelly", "CUBALIFNode"): (
        _spikingjelly(lambda node: _decay(node.c_decay), lambda node: _decay(node.v_decay)), 2, "binary",
    ),
    ("spikingjelly", "LIAFNode"): (None, 1, "real"),  # sends a function of its membrane, not spikes
    ("spikingjelly", "PSN"): (_parallel, 0, "binary"),
    ("spikingjelly", "MaskedPSN"): (_parallel, 0, "binary"),
    ("spikingjelly", "SlidingPSN"): (_parallel, 0, "binary"),
    ("snntorch", "Leaky"): (_snntorch(*_LEAKY), 1, "binary"),
    ("snntorch", "RLeaky"): (_snntorch(*_LEAKY, recurrent=True), 1, "binary"),
    ("snntorch", "Synaptic"): (_snntorch(*_SYNAPTIC), 2, "binary"),
    ("snntorch", "RSynaptic"): (_snntorch(*_SYNAPTIC, recurrent=True), 2, "binary"),
    ("snntorch", "Lapicque"): (_snntorch(lambda node: 1 - node.time_step / (node.R * node.C)), 1, "binary"),
    ("snntorch", "Alpha"): (_alpha_reset, 3, "binary"),
    ("snntorch", "DeltaLeaky"): (None, 1, "binary"),  # compares with its last emission
}  # fmt: skip


@cache
def _from_there(kind: type) -> bool:
    return any(parent.__module__.startswith(PLACES) for parent in kind.__mro__)


def foreign_neuron(module: nn.Module) -> ForeignNeuron | None:
    """How a foreign neuron is counted; None for a module that is no foreign neuron."""
    if not _from_there(type(module)):
        return None
    timed = getattr(module, "step_mode", "s") == "m"
    for depth, parent in enumerate(type(module).__mro__):
        key = parent.__module__.partition(".")[0], parent.__name__
        if key in KNOWN:
            cost, words, alphabet = KNOWN[key]
            own = any(_changes(child, parent) for child in type(module).__mro__[:depth])
            return ForeignNeuron(cost(module) if cost and not own else None, words, timed, alphabet)
    return ForeignNeuron(None, 0, timed)


def _changes(child: type, parent: type) -> bool:
    """A class outside of the two libraries that replaces a method of theirs, and so perhaps the dynamics."""
    replaced = (name for name, value in vars(child).items() if callable(value) and hasattr(parent, name))
    return not child.__module__.startswith(PLACES) and any(
        not name.startswith("__") and name != "extra_repr" for name in replaced
    )


def forget(modules: Iterable[nn.Module]) -> None:
    """Bring hidden membranes to rest: these libraries keep them inside the modules between calls."""
    for module in modules:
        if isinstance(getattr(module, "_memories", None), dict) and callable(getattr(module, "reset", None)):
            module.reset()
        elif getattr(module, "init_hidden", False) and callable(getattr(module, "reset_mem", None)):
            module.reset_mem()
