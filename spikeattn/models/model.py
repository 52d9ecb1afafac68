"""What every model is, whatever its stages: frames in, per-step logits out, all with explicit state.

    x        (T, B, C, Y, X)                     a static picture is shown T times
    logits_t                                     one row per time step: `stream`
    logits   = mean_t(logits_t)                  read-out "mean"
"""

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar, Self

from torch import Tensor, nn

from spikeattn.attention import Attention
from spikeattn.models.config import ModelConfig
from spikeattn.neurons import Neuron
from spikeattn.types import State


class SpikingModel(nn.Module, ABC):
    """A classifier for pictures and event frames: `model(x) -> logits`.

    x: (B, C, Y, X), static, or (T, B, C, Y, X), time first. A family gives `config_class`, builds its layers and
    `self.head`, calls `finish()` at the end of its constructor, and writes `stream_features`.
    """

    citation: ClassVar[str | tuple[str, ...]] = ()  # whom to cite: see citations.py
    config_class: ClassVar[type[ModelConfig]]
    stream_chunk: int = 1  # time steps that its attention takes at once

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config

    @abstractmethod
    def stream_features(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Tokens (T, B, N, D) that the read-out averages, and the state after the last frame of x (T, B, C, Y, X)."""

    def stream(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Per-step logits (T, B, K) of frames x (T, B, C, Y, X), or (B, C, Y, X) for one step, from `state` on."""
        if x.ndim == 4:
            x = x.unsqueeze(0)
        if x.ndim != 5 or x.shape[0] == 0 or x.shape[0] % self.stream_chunk:
            raise ValueError(
                f"{type(self).__name__}.stream: x must be (T, B, C, Y, X) with T a multiple of {self.stream_chunk}, "
                f"at least one, got {tuple(x.shape)}. A single frame is (B, C, Y, X)."
            )
        return self.classify(*self.stream_features(x, state))

    def classify(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Per-step logits (T, B, K) of tokens (T, B, N, D); a family with a neuron here keeps its state too."""
        return self.head(tokens.mean(2)), state

    def forward(self, x: Tensor) -> Tensor:
        logits, _ = self.stream(self.over_time(x))
        return logits.mean(0) if self.config.readout == "mean" else logits

    def forward_features(self, x: Tensor) -> Tensor:
        """Tokens (T, B, N, D) that the read-out averages."""
        return self.stream_features(self.over_time(x))[0]

    def over_time(self, x: Tensor) -> Tensor:
        """A static picture (B, C, Y, X) shown `config.timesteps` times; frames as they are."""
        if x.ndim == 4:
            return x.unsqueeze(0).expand(self.config.timesteps, *x.shape)
        if x.ndim == 5:
            return x
        raise ValueError(
            f"{type(self).__name__}: x must be (B, C, Y, X) or (T, B, C, Y, X), got {tuple(x.shape)}. "
            "A single picture needs a batch axis: x.unsqueeze(0)."
        )

    def finish(self) -> None:
        """The end of every constructor: initialise the read-out, apply the configuration's neuron overrides."""
        self.stream_chunk = math.lcm(*(layer.stream_chunk for layer in self.modules() if isinstance(layer, Attention)))
        init_head(self.head)
        override_neurons(self, self.config.neuron_overrides)

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh read-out for another number of classes."""
        self.config = replace(self.config, num_classes=num_classes)
        old = self.head
        self.head = nn.Linear(old.in_features, num_classes, bias=old.bias is not None, device=old.weight.device,
                              dtype=old.weight.dtype)
        init_head(self.head)

    def save_pretrained(self, directory) -> None:
        """Write config.json, model.safetensors and README.md (a card with a runnable snippet)."""
        from spikeattn.models.pretrained import save

        save(self, directory)

    def card(self) -> str:
        """The text of the README.md beside saved weights."""
        from spikeattn.models.pretrained import card

        return card(self)

    @classmethod
    def from_pretrained(cls, directory) -> Self:
        """The model saved in `directory`; it must be of this class."""
        from spikeattn.models.pretrained import load

        model = load(directory)
        if not isinstance(model, cls):
            raise ValueError(
                f"{cls.__name__}.from_pretrained: {directory} holds a {type(model).__name__}. "
                "Use spikeattn.from_pretrained, which takes any."
            )
        return model


def override_neurons(model: nn.Module, overrides: dict[str, dict]) -> None:
    """Replace the neurons at the paths of `overrides` by clones with other arguments."""
    for path, changes in overrides.items():
        parent, _, name = path.rpartition(".")
        neurons = {path: module for path, module in model.named_modules() if isinstance(module, Neuron)}
        if path not in neurons:
            raise ValueError(
                f"{type(model).__name__}: neuron_overrides must name neurons, got {path!r}. "
                f"The first of {len(neurons)} neurons are {list(neurons)[:4]}."
            )
        setattr(model.get_submodule(parent), name, neurons[path].clone(**changes))


def init_head(head: nn.Linear) -> None:
    nn.init.trunc_normal_(head.weight, std=0.02)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
