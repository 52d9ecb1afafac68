"""Converted networks: a stock transformer whose products run on signed spikes, as an ordinary model of ours.

    coding layer     value -> T digit planes in {-1, 0, 1}, most significant first
    product          acc <- b acc + W s_t                                  additions only
    in between       integers: Shiftmax, norms with a short mantissa, tables, residual sums

`model(x)` runs the spikes of all steps layer by layer; `model.codes(x)` runs the same network as a fake-quantised ANN,
one integer product for each layer. Both give the same bits. `model.stream(x, state)` is the network in time: one call
is one tick of the layer schedule (converted/schedule.py), and the output holds from tick `latency_steps` on.

Made by `neuromorphic.convert`; saved and loaded like any other model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikeattn.converted import NODES, Encode, Graph, Product, Schedule, Wire, schedule
from spikeattn.converted.graph import Watch, arguments
from spikeattn.models.config import ModelConfig, Part
from spikeattn.models.model import SpikingModel
from spikeattn.types import State, detach_state

Inputs = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ConvertedConfig(ModelConfig):
    """inputs: names of what the network reads, the first being what a bare tensor stands for. output: its last wire.

    wires: one record for each: name, kind (a class of spikeattn.converted), inputs, options, tensors {name: [dtype,
    shape]}. coding, provenance: how it was made. token_output: one output for each token, not for each sample.
    """

    dim: int = 1
    depth: int = 1
    heads: int = 1
    attention: tuple[Part, ...] = (Part("softmax"),)  # attention and activation are those of the source
    neuron: Part = Part("gelu")
    inputs: tuple[str, ...] = ("pixels",)
    output: str = ""
    output_size: int = 1
    token_output: bool = False
    coding: str = "ternary"
    wires: tuple[dict[str, Any], ...] = ()
    source: str = ""
    provenance: str = "training-free"
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "wires", tuple(self.wires))


class ConvertedState(NamedTuple):
    """Where the schedule stands.

    tick: ticks done; ready: whether `output` is the network's answer. values: of each wire, as far as they are
    known and still needed; membranes: (membrane, unit) of coding layers while they send; sums: of products while
    they receive.
    """

    tick: Tensor
    ready: Tensor
    output: Tensor
    values: tuple[Tensor | None, ...]
    membranes: tuple[State, ...]
    sums: tuple[State, ...]
    detach = detach_state


class ConvertedModel(SpikingModel):
    """A network of integer nodes. It reads what its source reads: `model(pixels)`, `model({"input_ids": ids, ...})`, or
    by name, `model(input_ids=ids, attention_mask=mask)`.
    """

    config_class = ConvertedConfig
    reads_input_once = True  # the stem is no time step: it meets the input a single time
    citation = "wang2025bsa"

    def __init__(self, config: ConvertedConfig, graph: Graph | None = None):
        super().__init__(config)
        self.network = graph or Graph(config.inputs, [_wire(record) for record in config.wires], config.output)
        self.schedule: Schedule = schedule(self.network.wires)

    @property
    def parameter_count(self) -> int:
        """Numbers that came from the source's parameters, as integers now: weights, biases, tables of words, norms."""
        names = ("weight", "bias", "words", "positions", "segments", "prefix", "gamma", "beta")
        return sum(value.numel() for name, value in self.named_buffers() if name.rpartition(".")[2] in names)

    @property
    def stages(self) -> int:
        """Coding layers in series."""
        return self.schedule.stages

    @property
    def latency_steps(self) -> int:
        """Ticks of `stream` until the output is the network's answer."""
        return self.stages * self.config.timesteps

    def forward(self, x: Inputs | None = None, *, watch: Watch | None = None, **inputs: Tensor) -> Tensor:
        """The network's answer by spikes (B, K); `watch(name, value)` sees every value, codes as planes (T, ...)."""
        return self.network(self.named(x, inputs), watch).float()

    def codes(self, x: Inputs | None = None, *, watch: Watch | None = None, **inputs: Tensor) -> Tensor:
        """The same answer by code words: the network as a fake-quantised ANN."""
        values: dict[str, Any] = dict(self.network.check(self.named(x, inputs)))
        for wire, spent in zip(self.network.wires, self.network.spent, strict=True):
            values[wire.name] = wire.layer.codes(*arguments(wire, values))
            if watch:
                watch(wire.name, values[wire.name])
            for name in spent:
                values.pop(name, None)
        return values[self.network.output].float()

    def anytime(self, x: Inputs, steps: Sequence[int] | None = None) -> Tensor:
        """Answers (steps, B, K) when only the first t spikes of every word are read, t = 1 ... T unless given.

        For codes of equal weights (rate, ST-BIF) alone; the last is `model(x)`. Everything between the products is
        worked out again at every step.
        """
        inputs, answers = self.network.check(self.named(x)), []
        for step in steps or range(1, self.config.timesteps + 1):
            values: dict[str, Any] = dict(inputs)
            for wire in self.network.wires:
                given = arguments(wire, values)
                early = isinstance(wire.layer, Encode)
                values[wire.name] = wire.layer.early(*given, step) if early else wire.layer.codes(*given)
            answers.append(values[self.network.output].float())
        return torch.stack(answers)

    def named(self, x: Inputs | None, inputs: Mapping[str, Tensor] = MappingProxyType({})) -> Mapping[str, Tensor]:
        """Inputs by name: a bare tensor is the first of them."""
        given = {} if x is None else x if isinstance(x, Mapping) else {self.config.inputs[0]: x}
        found = {**given, **inputs}
        pixels = found.get("pixels")
        if pixels is not None and pixels.ndim != 4:
            raise ValueError(f"ConvertedModel: pixels must be (B, C, Y, X), got {tuple(pixels.shape)}. It makes its "
                             "own time steps; show a picture once.")
        return found

    def stream_features(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        raise TypeError("ConvertedModel.stream_features: there are tokens only once all words are in, got "
                        "a call for one step. Use stream for answers, forward_features for tokens.")

    def forward_features(self, x: Inputs) -> Tensor:
        """What the declared read-out reads, as real values (B, ...)."""
        seen: dict[str, Any] = {}
        self(x, watch=seen.__setitem__)
        first = next(wire for wire in self.network.wires if wire.layer.readout)
        value = seen[first.inputs[0]]
        return (value if value.is_floating_point() else value.double() * first.layer.unit).float()

    def stream(self, x: Inputs, state: ConvertedState | None = None) -> tuple[Tensor, ConvertedState]:
        """One tick: (output (1, B, K), state). x is read at the first tick and may be given again at the others.

        The output is zero until `state.ready`, which is true from tick `latency_steps` on, and then holds.
        """
        state = self._begin(self.named(x)) if state is None else state
        if not bool(state.ready):
            state = self._tick(state, self.named(x))
        return state.output.unsqueeze(0), state

    def _begin(self, inputs: Mapping[str, Tensor]) -> ConvertedState:
        """Everything in front of the first coding layers."""
        count = len(self.network.wires)
        some = next(iter(self.network.check(inputs).values()))
        shape = (*some.shape[:2], self.config.output_size) if self.config.token_output else (
            len(some), self.config.output_size)
        empty: tuple[None, ...] = (None,) * count
        state = ConvertedState(torch.tensor(0), torch.tensor(self.stages == 0),
                               torch.zeros(shape, device=some.device), empty, empty, empty)
        return self._settle(state, inputs, stage=0)

    def _tick(self, state: ConvertedState, inputs: Mapping[str, Tensor]) -> ConvertedState:
        """One plane from every coding layer whose turn it is, into the sums of who reads it."""
        stage, step = divmod(int(state.tick), self.config.timesteps)
        index = {wire.name: i for i, wire in enumerate(self.network.wires)}
        membranes, sums, planes = list(state.membranes), list(state.sums), {}
        for i, wire in enumerate(self.network.wires):
            layer = wire.layer
            if isinstance(layer, Encode) and self.schedule.period[wire.name] == stage:
                if step == 0:
                    membranes[i] = layer.start(state.values[index[wire.inputs[0]]])
                membrane, unit = membranes[i]
                spikes, membrane = layer.fire(membrane, unit, step)
                membranes[i] = (membrane, unit) if step + 1 < self.config.timesteps else None
                planes[wire.name] = spikes.unsqueeze(0)
            elif isinstance(layer, Product) and self.schedule.stage[wire.name] == stage + 1:
                sums[i] = layer.accumulate(sums[i], *(planes[wire.inputs[at]] for at in layer.coded))
        state = state._replace(tick=state.tick + 1, membranes=tuple(membranes), sums=tuple(sums))
        return self._settle(state, inputs, stage + 1) if step + 1 == self.config.timesteps else state

    def _settle(self, state: ConvertedState, inputs: Mapping[str, Tensor], stage: int) -> ConvertedState:
        """All planes of a stage are in: the products close their sums, and what follows them is worked out."""
        known = dict(inputs) | {wire.name: value for wire, value in zip(self.network.wires, state.values, strict=True)
                                if value is not None}
        sums = list(state.sums)
        for i, wire in enumerate(self.network.wires):
            layer = wire.layer
            if self.schedule.stage[wire.name] != stage or isinstance(layer, Encode):
                continue
            if isinstance(layer, Product):
                given = [a for at, a in enumerate(arguments(wire, _Known(known))) if at not in layer.coded]
                known[wire.name] = layer.finish(sums[i], *given)
                sums[i] = None
            else:
                known[wire.name] = layer(*arguments(wire, known))
        needed = {name.removeprefix("?") for wire in self.network.wires for name in wire.inputs
                  if self.schedule.stage[wire.name] > stage or self._sent_from(wire) >= stage}
        values = tuple(known.get(wire.name) if wire.name in needed else None for wire in self.network.wires)
        state = state._replace(values=values, sums=tuple(sums))
        if stage < self.stages:
            return state
        return state._replace(output=known[self.network.output].float(), ready=torch.tensor(True))

    def _sent_from(self, wire: Wire) -> int:
        return self.schedule.period.get(wire.name, -1)

    @property
    def head(self):
        """The wires of the declared read-out, the last one."""
        return self.network[self.network.output]

    def card(self) -> str:
        config, names = self.config, ", ".join(self.config.inputs)
        return CARD.format(name=config.name or "converted network", source=config.source, coding=config.coding,
                           timesteps=config.timesteps, latency=self.latency_steps, stages=self.stages, inputs=names,
                           provenance=config.provenance)

    def reset_classifier(self, num_classes: int) -> None:
        raise ValueError("ConvertedModel.reset_classifier: a converted network keeps the read-out of its source, got "
                         f"{num_classes} classes. Change the source model and convert it again.")


CARD = """---
library_name: spikeattn
tags: [spiking-neural-network, transformer, ann-to-snn-conversion]
---
# {name}

A spiking network converted from {source} ({provenance}): {coding} code, {timesteps} steps a word, {stages} coding
layers in series, an answer after {latency} ticks. It reads {inputs}.

```python
import spikeattn

model = spikeattn.from_pretrained(".")          # model(inputs) runs on spikes
print(model.config.inputs, model.latency_steps)
```

`model.codes(inputs)` gives the same bits faster on a CPU or GPU, which can only simulate the steps. The report of the
conversion says how near the network is to its source and how spike-driven it is.
"""


class _Known(dict):
    """Values by name, None for the codes that are not kept."""

    def __missing__(self, name: str) -> None:
        return None


def record(wire: Wire) -> dict[str, Any]:
    """A wire as plain data."""
    constants = {name: getattr(wire.layer, name) for name in wire.layer.constants}
    tensors = {name: [str(value.dtype).removeprefix("torch."), list(value.shape)] for name, value in constants.items()}
    return {"name": wire.name, "kind": type(wire.layer).__name__, "inputs": list(wire.inputs),
            "options": wire.layer.options, "tensors": tensors}


def _wire(data: dict[str, Any]) -> Wire:
    """The wire of a record, its constants still to be filled in."""
    if data["kind"] not in NODES:
        raise ValueError(f"ConvertedModel: {data['name']!r} must be a known node, got {data['kind']!r}. "
                         f"Known: {', '.join(NODES)}.")
    tensors = {name: torch.zeros(shape, dtype=getattr(torch, dtype))
               for name, (dtype, shape) in data["tensors"].items()}
    return Wire(data["name"], NODES[data["kind"]](**data["options"], **tensors), tuple(data["inputs"]))


MODELS: dict[str, ModelConfig] = {}
