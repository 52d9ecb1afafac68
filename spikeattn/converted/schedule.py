"""When each wire of a converted network works: the layer schedule.

    stage of a value     number of coding layers between the input and it, along the longest way
    period of an Encode  the stage in which its T planes are sent: just before the stage of who reads them
    latency              stages * T ticks

A coding layer needs its whole membrane before it sends its first plane, so a layer waits for all T planes of its
inputs. All coded inputs of one product are sent in the same period.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spikeattn.converted.encode import Encode
from spikeattn.converted.graph import Wire


@dataclass(frozen=True)
class Schedule:
    """stage: by wire; period: by Encode wire; stages: how many there are."""

    stage: dict[str, int]
    period: dict[str, int]
    stages: int


def schedule(wires: Sequence[Wire]) -> Schedule:
    stage: dict[str, int] = {}
    for wire in wires:
        before = max((stage.get(name.removeprefix("?"), 0) for name in wire.inputs), default=0)
        stage[wire.name] = before + isinstance(wire.layer, Encode)
    period = {wire.name: _reader_stage(wire.name, wires, stage) - 1
              for wire in wires if isinstance(wire.layer, Encode)}
    return Schedule(stage, period, max(stage.values(), default=0))


def _reader_stage(name: str, wires: Sequence[Wire], stage: dict[str, int]) -> int:
    """The stage of every product that reads a code; they must agree, for a code is sent once."""
    stages = {stage[wire.name] for wire in wires if name in wire.inputs}
    if len(stages) > 1:
        raise ValueError(f"schedule: all readers of the code {name!r} must be of one stage, got {sorted(stages)}. "
                         "Give each stage an Encode of its own.")
    return stages.pop() if stages else stage[name]
