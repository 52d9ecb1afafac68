"""SpikingJelly's neuron settings, as its objects print them, in the words of our neurons.

    tau, decay_input      beta = 1 - 1/tau; gain = 1/tau with decay_input, else 1
    v_threshold           threshold
    v_reset               0.0 -> reset "hard", None -> reset "soft"
    surrogate             "Sigmoid(alpha=4.0, spiking=True)" -> {"name": "sigmoid", "alpha": 4.0}

A parametric LIF learns its tau: the weight is in the state dict, and "tau" of the record, where it is a number,
is what it starts from.
"""

import re
from collections.abc import Iterable
from typing import Any

from spikeattn.interop.published.engine import Row
from spikeattn.models import Part

TYPES = {"MultiStepLIFNode": "lif", "LIFNode": "lif", "LIF": "lif", "MultiStepParametricLIFNode": "plif",
         "ParametricLIFNode": "plif", "PLIF": "plif"}
FIELDS = {"type", "tau", "decay_input", "v_threshold", "v_reset", "detach_reset", "surrogate"}
DESCRIPTIVE = {"w", "mean_value"}  # measured values that some records carry along
SURROGATES = {"Sigmoid": "sigmoid", "ATan": "atan", "PiecewiseQuadratic": "triangle", "Rect": "rectangle"}
LIF = {"type": "MultiStepLIFNode", "tau": 2.0, "decay_input": True, "v_threshold": 1.0, "v_reset": 0.0,
       "detach_reset": True, "surrogate": "Sigmoid(alpha=4.0, spiking=True)"}
PLIF = LIF | {"type": "MultiStepParametricLIFNode"}


def neuron_part(record: dict[str, Any]) -> Part:
    """Our neuron for one record, with all of its options (missing fields are those of the public code).

    >>> neuron_part({"tau": 4.0, "v_threshold": 0.5}).options["gain"]
    0.25
    >>> neuron_part({"type": "MultiStepParametricLIFNode"}).name
    'plif'
    """
    unknown = sorted(record.keys() - FIELDS - DESCRIPTIVE)
    if unknown:
        raise ValueError(f"load: a neuron record may have the fields {sorted(FIELDS)}, got {unknown}. Remove them.")
    record = LIF | record
    if record["type"] not in TYPES:
        raise ValueError(f"load: the neuron type must be one of {list(TYPES)}, got {record['type']!r}. See neurons.py.")
    if record["v_reset"] not in (0.0, None):
        raise ValueError(
            f"load: v_reset must be 0.0 (hard reset) or None (soft reset), got {record['v_reset']!r}. "
            "Our neurons rest at 0: shift the threshold and the inputs."
        )
    kind, tau, decay_input = TYPES[record["type"]], record["tau"], record["decay_input"]
    if kind == "plif":
        charge = dict(init_tau=tau if isinstance(tau, int | float) else LIF["tau"], decay_input=decay_input)
    else:
        charge = dict(beta=1 - 1 / tau, gain=1 / tau if decay_input else 1.0)
    return Part(kind, charge | dict(
        threshold=record["v_threshold"],
        reset="soft" if record["v_reset"] is None else "hard",
        surrogate=surrogate(record["surrogate"]),
        detach_reset=record["detach_reset"],
    ))


def lif_options(record: dict[str, Any]) -> dict[str, Any]:
    """The constructor arguments of our LIF for one record."""
    return neuron_part(record).options


def surrogate(text: str) -> dict[str, Any]:
    """A surrogate as SpikingJelly prints it -> our plain data.

    >>> surrogate("ATan(alpha=2.0, spiking=True)")
    {'name': 'atan', 'alpha': 2.0}
    """
    match = re.fullmatch(r"(\w+)\(alpha=([0-9.eE+-]+)(, spiking=True)?\)", text)
    if match is None or match[1] not in SURROGATES:
        raise ValueError(
            f"load: the surrogate must be one of {list(SURROGATES)} with its alpha, got {text!r}. "
            "Write it like 'Sigmoid(alpha=4.0, spiking=True)'."
        )
    return {"name": SURROGATES[match[1]], "alpha": float(match[2])}


def lif_config(neuron: dict[str, dict], rows: Iterable[Row], attention: dict[str, Any],
               mechanism: str = "ssa") -> dict[str, Any]:
    """The fields `neuron`, `neuron_overrides` and `attention` (one mechanism, with options) of a ModelConfig.

    neuron: {"default": record, "overrides": {their path: record}}. A threshold that all attention neurons share
    goes to the attention's own option; every other difference from the default is an override.
    """
    rows = [row for row in rows if row.neuron]
    places = {row.theirs for row in rows}
    unknown = sorted(neuron.keys() - {"default", "overrides"}) or sorted(neuron["overrides"].keys() - places)
    if unknown:
        raise ValueError(
            f"load: neuron must be {{'default': ..., 'overrides': {{their neuron: ...}}}}, got unknown {unknown}. "
            f"Neurons of this class are {sorted(places)[:4]} and so on."
        )
    base = neuron_part(neuron["default"])
    parts = {row.ours: neuron_part(neuron["default"] | neuron["overrides"].get(row.theirs, {})) for row in rows}
    others = sorted(path for path, part in parts.items() if part.name != base.name)
    if others:
        raise ValueError(
            f"load: all neurons must be of the default's type, got others at {others[:4]}. One model has one kind."
        )
    default, options = base.options, {path: part.options for path, part in parts.items()}
    thresholds = {own["threshold"] for path, own in options.items() if path.endswith("attn.attn_neuron")}
    shared = thresholds.pop() if len(thresholds) == 1 else default["threshold"]
    overrides = {}
    for path, own in options.items():
        built = default | ({"threshold": shared} if path.endswith("attn.attn_neuron") else {})
        overrides[path] = {name: value for name, value in own.items() if value != built[name]}
    return dict(
        neuron=base,
        neuron_overrides={path: changes for path, changes in overrides.items() if changes},
        attention=(Part(mechanism, attention | {"attn_threshold": shared}),),
    )
