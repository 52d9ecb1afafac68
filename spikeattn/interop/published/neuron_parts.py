"""Neuron records of the published code as parts of our models, whatever the kind of neuron.

    LIF, PLIF      SpikingJelly's settings, see neurons.py; a PLIF's decay is in the state dict
    MultiSpike     max_value -> levels; norm = max_value -> levels divided by it, norm = 1 -> levels as they are
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from spikeattn.interop.published.engine import Row
from spikeattn.interop.published.neurons import DESCRIPTIVE, LIF, TYPES, lif_options
from spikeattn.models import ModelConfig, Part, SpikingModel

PLIF_TYPES = ("PLIF", "ParametricLIFNode", "MultiStepParametricLIFNode")
ILIF_TYPES = ("MultiSpike (I-LIF)", "MultiSpike")
ILIF = {"type": "MultiSpike (I-LIF)", "max_value": 4, "min_value": 0, "norm": 4}
ATAN_LIF = LIF | {"type": "LIF", "surrogate": "ATan(alpha=2.0, spiking=True)"}


def neuron_part(record: dict[str, Any]) -> Part:
    """The neuron of one record.

    >>> neuron_part({"type": "MultiSpike", "max_value": 4, "min_value": 0, "norm": 1})
    Part(name='ilif', options={'levels': 4, 'normalise': False})
    """
    kind = record.get("type", LIF["type"])
    if kind in ILIF_TYPES:
        return Part("ilif", ilif_options(record))
    if kind in PLIF_TYPES:
        options = lif_options({key: value for key, value in record.items() if key not in ("type", "tau")})
        del options["beta"], options["gain"]
        return Part("plif", {"init_tau": 2.0, "decay_input": record.get("decay_input", True)} | options)
    if kind not in TYPES:
        known = (*TYPES, *PLIF_TYPES, *ILIF_TYPES)
        raise ValueError(f"load: the neuron type must be one of {list(known)}, got {kind!r}. See neuron_parts.py.")
    return Part("lif", lif_options(record))


def ilif_options(record: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(record.keys() - ILIF.keys() - DESCRIPTIVE)
    record = ILIF | record
    if unknown or record["min_value"] != 0 or record["norm"] not in (1, record["max_value"]):
        raise ValueError(
            f"load: an I-LIF record must have the fields {sorted(ILIF)}, min_value 0 and norm 1 or max_value, got "
            f"{record}. Levels are 0 ... max_value, divided by norm."
        )
    return {"levels": int(record["max_value"]), "normalise": record["norm"] != 1}


def with_neurons(model: type[SpikingModel], config: ModelConfig, neuron: dict[str, dict],
                 rows: Iterable[Row]) -> ModelConfig:
    """`config` with the neurons of {"default": record, "overrides": {their path: changes}}.

    What the model would build with the default is compared with what is wanted; each difference is an override.
    """
    places = {row.theirs: row.ours for row in rows if row.neuron}
    unknown = sorted(neuron.keys() - {"default", "overrides"})
    unknown = unknown or sorted(neuron.get("overrides", {}).keys() - places.keys())
    if unknown:
        raise ValueError(
            f"load: neuron must be {{'default': ..., 'overrides': {{their neuron: ...}}}}, got unknown {unknown}. "
            f"Neurons of this class are {sorted(places)[:4]} and so on."
        )
    config = replace(config, neuron=neuron_part(neuron["default"]), neuron_overrides={})
    with torch.device("meta"):
        built = model(config)
    overrides = {}
    for theirs, ours in places.items():
        wanted = neuron_part(neuron["default"] | neuron.get("overrides", {}).get(theirs, {})).options
        have = built.get_submodule(ours).options()
        overrides[ours] = {name: value for name, value in wanted.items() if value != have[name]}
    return replace(config, neuron_overrides={path: changes for path, changes in overrides.items() if changes})
