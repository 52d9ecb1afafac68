"""snnTorch's neurons: inside our blocks (`wrap`), as ours with the same equation (`convert`), and ours as theirs.

snnTorch                                       here
Leaky(reset_mechanism="subtract")              neurons.Leaky
Leaky(reset_mechanism="zero" | "none")         LIF.from_snntorch
init_hidden, reset_mem, mem = init_leaky()     nothing: the state is an argument and a result

Their neurons are known by the names of their classes; only `to_snntorch` imports the library.
"""

import inspect

import numpy as np
import torch
from torch import Tensor, nn

from spikeattn.interop.foreign import ForeignNeuron, ForeignState, ancestors
from spikeattn.neurons import LIF, Leaky, Neuron
from spikeattn.neurons.neuron import is_power_of_two
from spikeattn.surrogate import ATan, FastSigmoid, Sigmoid, Surrogate
from spikeattn.types import NeuronCost

RESETS = {"subtract": "soft", "zero": "hard", "none": "none"}


class SNNTorchNeuron(ForeignNeuron):
    """A neuron of snnTorch with explicit state: Leaky, Lapicque, Synaptic or Alpha."""

    alphabet = "binary"

    def __init__(self, neuron: nn.Module):
        super().__init__(neuron)
        self.memories = _memories(neuron)

    def init_state(self, x_t: Tensor) -> ForeignState:
        return ForeignState(tuple(torch.zeros_like(x_t) for _ in self.memories))

    def step(self, x_t: Tensor, state: ForeignState) -> tuple[Tensor, ForeignState]:
        # their forward writes membranes into buffers and a reset decision into an attribute: both are put back
        kept = {name: getattr(self.neuron, name) for name in self.memories}
        try:
            spikes, *memories = self.neuron(x_t, *state.memories)
        finally:
            for name, value in (kept | {"reset": None}).items():
                setattr(self.neuron, name, value)
        # their spikes are float32 whatever comes in
        return spikes.to(x_t.dtype), ForeignState(tuple(memory.to(x_t.dtype) for memory in memories))

    def set_threshold(self, threshold: float) -> None:
        with torch.no_grad():
            self.neuron.threshold.fill_(threshold)

    @property
    def cost(self) -> NeuronCost | None:
        """Of Leaky and Lapicque, which have one leak and one membrane; else None."""
        if len(self.memories) != 1:
            return None
        beta = self.neuron.beta
        shift = beta.numel() == 1 and is_power_of_two(beta.item())
        return NeuronCost(leak="shift" if shift else "mul", compares=1, reset=RESETS[self.neuron.reset_mechanism])


def wrap(neuron: nn.Module) -> SNNTorchNeuron:
    """A snnTorch neuron as a neuron for our blocks; `neuron` itself is used, not a copy.

        import snntorch
        block = EncoderBlock(32, 4, attention=SpikingSelfAttention, neuron=wrap(snntorch.Leaky(beta=0.5)))

    Blocks with it compile and export with a fixed number of time steps, except with reset_delay=False, where snnTorch
    branches on the value of a tensor. `convert` has neither limit.
    """
    return SNNTorchNeuron(neuron)


def convert(neuron: nn.Module, surrogate: Surrogate = ATan(2.0)) -> Neuron:  # noqa: B008 - a frozen record
    """Our neuron with the equation of a snnTorch `Leaky`.

    surrogate: theirs is a function that cannot be looked into; ATan(2.0) is their default.
    """
    _memories(neuron)
    if type(neuron).__name__ != "Leaky" or neuron.beta.numel() != 1 or neuron.threshold.numel() != 1:
        raise ValueError(
            f"snntorch.convert: the neuron must be a Leaky with one beta and one threshold, got {neuron}. Use wrap."
        )
    beta, threshold, reset = neuron.beta.item(), neuron.threshold.item(), neuron.reset_mechanism
    if reset == "subtract":
        return Leaky(beta, threshold, neuron.reset_delay, surrogate)
    # without delay their reset is by a spike that carries its gradient
    return LIF.from_snntorch(beta, threshold, reset, surrogate=surrogate, detach_reset=neuron.reset_delay)


def to_snntorch(neuron: Neuron) -> nn.Module:
    """snnTorch's Leaky with the equation and the surrogate of a neuron of ours.

        leaky = to_snntorch(LIF(beta=0.5))                # for step in range(T): spikes, mem = leaky(x[step], mem)

    It fires at >, so the threshold of a LIF moves down by one float32 step. Theirs of a hard reset is shown one step
    late in `mem`; the spikes are the same.
    """
    from snntorch import Leaky as TheirLeaky
    from snntorch import surrogate

    theirs = {ATan: lambda a: surrogate.atan(alpha=a), FastSigmoid: lambda a: surrogate.fast_sigmoid(slope=a),
              Sigmoid: lambda a: surrogate.sigmoid(slope=a)}
    shape = getattr(neuron, "surrogate", None)
    late = isinstance(neuron, Leaky)
    hard_or_none = type(neuron) is LIF and neuron.gain == 1 and neuron.reset != "soft" and neuron.detach_reset
    if type(shape) not in theirs or not (late or hard_or_none):
        raise ValueError(
            f"to_snntorch: the neuron must be a Leaky, or a LIF with gain 1, a detached hard reset or none, and a "
            f"surrogate of {sorted(s.__name__ for s in theirs)}, got {neuron}. snnTorch has no other of ours; its "
            "subtract reset is our Leaky."
        )
    grad = theirs[type(shape)](shape.alpha)
    if late:
        return TheirLeaky(neuron.beta, neuron.threshold, spike_grad=grad, reset_mechanism="subtract",
                          reset_delay=neuron.reset_delay)
    below = float(np.nextafter(np.float32(neuron.threshold), np.float32(0)))
    return TheirLeaky(neuron.beta, below, spike_grad=grad, reset_mechanism="zero" if neuron.reset == "hard" else "none")


def _memories(neuron: nn.Module) -> tuple[str, ...]:
    """Names of the state tensors that their forward takes behind its input."""
    if "SpikingNeuron" not in ancestors(neuron, "snntorch"):
        raise ValueError(
            f"snntorch: the neuron must be a SpikingNeuron of snnTorch, got {type(neuron).__name__}. "
            "For SpikingJelly use spikeattn.interop.spikingjelly."
        )
    names = tuple(inspect.signature(neuron.forward).parameters)[1:]
    plain = not (neuron.init_hidden or neuron.inhibition or neuron.state_quant)
    if not names or "spk" in names or not plain or neuron.graded_spikes_factor != 1:
        raise ValueError(
            f"snntorch: the neuron must be Leaky, Lapicque, Synaptic or Alpha, without init_hidden, inhibition, "
            f"quantised state or graded spikes, got {type(neuron).__name__}. Build it without these options: the "
            "state is passed in and out of our blocks."
        )
    return names
