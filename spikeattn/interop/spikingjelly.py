"""SpikingJelly's neurons: inside our blocks (`wrap`), as ours with the same equation (`convert`), and ours as theirs.

SpikingJelly                                   here
LIFNode(tau, decay_input)                      beta = 1 - 1/tau, gain = 1/tau or 1
v_reset=0. | v_reset=None                      reset "hard" | "soft"
PiecewiseQuadratic | Rect                      Triangle | Rectangle
step_mode, reset_net, backend                  nothing: the state is an argument and a result

Their neurons are known by the names of their classes; only `to_spikingjelly` imports the library.
"""

import torch
from torch import Tensor, nn

from spikeattn.interop.foreign import ForeignNeuron, ForeignState, ancestors
from spikeattn.neurons import IF, LIF, PLIF, Neuron, TernaryIF, TernaryLIF
from spikeattn.neurons.neuron import is_power_of_two
from spikeattn.ops.lif import is_average
from spikeattn.surrogate import ATan, Rectangle, Sigmoid, SuperSpike, Surrogate, Triangle
from spikeattn.types import NeuronCost

ALPHABETS = {"TernaryIFNode": "ternary", "TernaryLIFNode": "ternary", "ILIFNode": "graded", "BaseNode": "binary"}
SURROGATES = {"Sigmoid": Sigmoid, "ATan": ATan, "PiecewiseQuadratic": Triangle, "Rect": Rectangle,
              "SuperSpike": SuperSpike}


class SpikingJellyNeuron(ForeignNeuron):
    """A node of SpikingJelly 2 with explicit state. Any step mode; it always runs its PyTorch equation."""

    def __init__(self, neuron: nn.Module):
        super().__init__(neuron)
        self.alphabet = next(ALPHABETS[name] for name in _node(neuron, "wrap") if name in ALPHABETS)

    def init_state(self, x_t: Tensor) -> ForeignState:
        node = self.neuron
        fresh = tuple(node.get_reset_value(name) for name, _ in node.named_memories())
        return ForeignState(node.materialize_states((x_t,), fresh, "s"))

    def step(self, x_t: Tensor, state: ForeignState) -> tuple[Tensor, ForeignState]:
        (spikes,), memories = self.neuron.single_step_functional_forward((x_t,), state.memories)
        return spikes, ForeignState(memories)

    def set_threshold(self, threshold: float) -> None:
        self.neuron.v_threshold = threshold

    def signed(self) -> Neuron:
        return self.clone() if self.alphabet == "ternary" else super().signed()

    @property
    def cost(self) -> NeuronCost | None:
        """Of the nodes whose equation is one leak, one comparison for each threshold and one reset; else None."""
        kind = type(self.neuron).__name__
        if kind in ("LIFNode", "TernaryLIFNode"):
            leak = "shift" if is_power_of_two(1 - 1 / self.neuron.tau) else "mul"
        elif kind in ("IFNode", "TernaryIFNode", "ParametricLIFNode"):
            leak = "mul" if kind == "ParametricLIFNode" else "none"
        else:
            return None
        return NeuronCost(leak=leak, compares=2 if self.alphabet == "ternary" else 1,
                          reset="soft" if self.neuron.v_reset is None else "hard")


def wrap(neuron: nn.Module) -> SpikingJellyNeuron:
    """A SpikingJelly node (version 2) as a neuron for our blocks; `neuron` itself is used, not a copy.

        from spikingjelly.activation_based.neuron import LIFNode
        block = EncoderBlock(32, 4, attention=SpikingSelfAttention, neuron=wrap(LIFNode(tau=2.0)))
    """
    return SpikingJellyNeuron(neuron)


def convert(neuron: nn.Module) -> Neuron:
    """Our neuron with the equation, the surrogate and the parameters of a SpikingJelly node."""
    kind = _node(neuron, "convert")[0]
    if kind not in CONVERTED:
        raise ValueError(
            f"spikingjelly.convert: the node must be one of {sorted(CONVERTED)}, got {kind}. Use wrap, which takes any."
        )
    if neuron.v_reset not in (None, 0.0):
        raise ValueError(
            f"spikingjelly.convert: v_reset must be 0 or None, got {neuron.v_reset}. Shift the input and the "
            "threshold by it, or use wrap."
        )
    options = dict(threshold=neuron.v_threshold, reset="soft" if neuron.v_reset is None else "hard",
                   surrogate=_surrogate(neuron.surrogate_function), detach_reset=neuron.detach_reset)
    return CONVERTED[kind](neuron, options)


def _leaky(kind: type[LIF]):
    return lambda node, options: kind.from_tau(node.tau, node.decay_input, **options)


def _parametric(node: nn.Module, options: dict) -> PLIF:
    ours = PLIF(init_tau=1 / node.w.sigmoid().item(), decay_input=node.decay_input, **options)
    with torch.no_grad():
        ours.w.copy_(node.w)
    return ours


CONVERTED = {
    "IFNode": lambda node, options: IF(**options),
    "LIFNode": _leaky(LIF),
    "ParametricLIFNode": _parametric,
    "TernaryIFNode": lambda node, options: TernaryIF(**options),
    "TernaryLIFNode": _leaky(TernaryLIF),
}


def to_spikingjelly(neuron: Neuron) -> nn.Module:
    """SpikingJelly's multi-step node with the equation, the surrogate and the parameters of a neuron of ours.

        node = to_spikingjelly(LIF.from_tau(2.0))         # an LIFNode: remember functional.reset_net
    """
    from spikingjelly.activation_based import neuron as nodes
    from spikingjelly.activation_based import surrogate

    makers = {IF: _if_node, LIF: _lif_node, PLIF: _plif_node, TernaryIF: _if_node, TernaryLIF: _lif_node}
    theirs = {ours: name for name, ours in SURROGATES.items()}
    kind = type(neuron)
    if kind not in makers or neuron.reset == "none" or type(neuron.surrogate) not in theirs:
        raise ValueError(
            f"to_spikingjelly: the neuron must be one of {sorted(k.__name__ for k in makers)}, its reset hard or soft, "
            f"and a surrogate of {sorted(s.__name__ for s in theirs)}, got {neuron}. SpikingJelly has no other of ours."
        )
    options = dict(v_threshold=neuron.threshold, v_reset=None if neuron.reset == "soft" else 0.0, step_mode="m",
                   detach_reset=neuron.detach_reset,
                   surrogate_function=getattr(surrogate, theirs[type(neuron.surrogate)])(neuron.surrogate.alpha))
    return makers[kind](nodes, neuron, options)


def _if_node(nodes, neuron: IF, options: dict) -> nn.Module:
    return getattr(nodes, f"{type(neuron).__name__}Node")(**options)


def _lif_node(nodes, neuron: LIF, options: dict) -> nn.Module:
    if neuron.beta == 1 or not (is_average(neuron.beta, neuron.gain) or neuron.gain == 1):
        raise ValueError(
            f"to_spikingjelly: beta must be 1 - 1/tau, gain 1/tau or 1, got beta={neuron.beta}, gain={neuron.gain}. "
            "Fold the gain into the weights in front, or use IF for beta = 1."
        )
    average = is_average(neuron.beta, neuron.gain)
    tau = 1 / neuron.gain if average else 1 / (1 - neuron.beta)
    return getattr(nodes, f"{type(neuron).__name__}Node")(tau=tau, decay_input=average, **options)


def _plif_node(nodes, neuron: PLIF, options: dict) -> nn.Module:
    node = nodes.ParametricLIFNode(init_tau=neuron.init_tau, decay_input=neuron.decay_input, **options)
    with torch.no_grad():
        node.w.copy_(neuron.w)
    return node


def _surrogate(function: nn.Module) -> Surrogate:
    name = type(function).__name__
    if name not in SURROGATES:
        raise ValueError(
            f"spikingjelly.convert: the surrogate must be one of {sorted(SURROGATES)}, got {name}. Use wrap, or set "
            "neuron.surrogate_function to one of them."
        )
    return SURROGATES[name](float(function.alpha))


def _node(neuron: nn.Module, where: str) -> list[str]:
    names = ancestors(neuron, "spikingjelly")
    if "BaseNode" not in names or not hasattr(neuron, "single_step_functional_forward"):
        raise ValueError(
            f"spikingjelly.{where}: the neuron must be a node of SpikingJelly 2 (a BaseNode), got "
            f"{type(neuron).__name__}. Nodes of older versions keep their state inside: install spikingjelly>=2."
        )
    return names
