"""The networks that a spiking transformer must be compared with: its own topology, another attention.

    softmax twin    stem, norms and widths as they are; GELU in place of neurons, T = 1, softmax attention
    cat twin        the same with circular-convolutional attention (FFT)
    bsa twin        the spiking network with bipolar self-attention

A twin has the weights of its initialisation. What a dense product costs does not depend on them; what a spiking twin
fires does.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn

from .doubts import NOT_TRAINED
from .record import Role

UNTRAINED = f"{NOT_TRAINED}: weights as initialised, seed 0"
ANN = {"softmax twin": "softmax", "cat twin": "cat"}
ATTENTION: dict[Role, str] = {**ANN, "bsa twin": "bsa"}


@dataclass(frozen=True)
class Twin:
    """A twin, or why there is none. config: two models with the same one have the same twin."""

    role: Role
    model: nn.Module | None
    reason: str = ""

    @property
    def config(self) -> str:
        return repr(replace(self.model.config, name=""))


def twins(model: nn.Module) -> tuple[Twin, ...]:
    """Every twin of a spiking model of ours with an attention; none for anything else.

    >>> from spikeattn import create_model
    >>> [(twin.role, twin.model.config.timesteps) for twin in twins(create_model("spikingformer_tiny"))]
    [('softmax twin', 1), ('cat twin', 1), ('bsa twin', 4)]
    >>> twins(nn.Linear(2, 2))
    ()
    """
    config = getattr(model, "config", None)
    names = [part.name for part in getattr(config, "attention", ()) if hasattr(part, "name")]
    if not names or not hasattr(config, "resized") or getattr(config.neuron, "name", "gelu") == "gelu":
        return ()
    return tuple(_twin(model, role) for role, attention in ATTENTION.items() if names != [attention])


def _twin(model: nn.Module, role: Role) -> Twin:
    changes = {"attention": ATTENTION[role]}
    if role in ANN:
        changes |= {"neuron": "gelu", "timesteps": 1, "neuron_overrides": {}}
        if hasattr(model.config, "mixers"):  # earlier stages may have an attention that computes on spikes
            changes["mixers"] = tuple(_dense(part, ATTENTION[role]) for part in model.config.mixers)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Twin(role, type(model)(model.config.resized(**changes)).eval())
    except ValueError as error:
        return Twin(role, None, str(error))


def _dense(part, attention: str):
    """The mechanism of an early stage in an ANN: attention on spikes becomes this attention."""
    return type(part)(attention) if part.name.endswith("_qk") else part
