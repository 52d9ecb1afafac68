"""What every model is: a stem, encoder blocks, a linear read-out, all with explicit state.

    x        (T, B, C, Y, X)                     a static picture is shown T times
    tokens   (T, B, N, D) = stem(x)
    tokens   = block_i(tokens)                   i = 1 ... L
    logits_t = W mean_n(tokens_t) + b            one row per time step
    logits   = mean_t(logits_t)                  read-out "mean"
"""

from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn

from spikeattn.blocks import EncoderBlock, EncoderState, MembraneShortcut
from spikeattn.models.config import ModelConfig
from spikeattn.neurons import ACTIVATIONS, NEURONS, Neuron
from spikeattn.types import State, detach_state


class ModelState(NamedTuple):
    """States of the stem and of each block."""

    stem: State = None
    blocks: tuple[EncoderState | None, ...] = ()
    detach = detach_state


class SpikingTransformer(nn.Module):
    """A transformer for pictures and event frames: `model(x) -> logits`.

    x: (B, C, Y, X), static, or (T, B, C, Y, X), time first. A family gives `config_class`, `stem_class` and
    `shortcut`; the attention and the neuron come from the configuration.
    """

    config_class: ClassVar[type[ModelConfig]]
    stem_class: ClassVar[type]
    shortcut: ClassVar[Any] = MembraneShortcut()
    stream_chunk: ClassVar[int] = 1

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        neuron = config.neuron.build(NEURONS | ACTIVATIONS)
        self.stem = self.stem_class(config.in_channels, config.stem, neuron=neuron)
        rows, columns = self.stem.grid(config.image_size)
        self.blocks = nn.ModuleList(self._block(index, neuron, rows * columns) for index in range(config.depth))
        self.head = nn.Linear(config.dim, config.num_classes)
        nn.init.zeros_(self.head.bias)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        self._override_neurons()

    def _block(self, index: int, neuron, tokens: int) -> EncoderBlock:
        from spikeattn.attention import ATTENTIONS

        config = self.config
        part = config.attention[index % len(config.attention)]
        return EncoderBlock(
            config.dim, config.heads, attention=ATTENTIONS[part.name], neuron=neuron, mlp_ratio=config.mlp_ratio,
            shortcut=self.shortcut, bias=config.qkv_bias, tokens=tokens, **part.options,
        )

    def _override_neurons(self) -> None:
        for path, changes in self.config.neuron_overrides.items():
            parent, _, name = path.rpartition(".")
            try:
                old = self.get_submodule(path)
            except AttributeError:
                old = None
            if not isinstance(old, Neuron):
                neurons = [p for p, m in self.named_modules() if isinstance(m, Neuron)]
                raise ValueError(
                    f"{type(self).__name__}: neuron_overrides must name neurons, got {path!r}. "
                    f"The first of {len(neurons)} neurons are {neurons[:4]}."
                )
            setattr(self.get_submodule(parent), name, old.clone(**changes))

    def stream(self, x: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Per-step logits (T, B, K) of frames x (T, B, C, Y, X), or (B, C, Y, X) for one step, from `state` on."""
        if x.ndim == 4:
            x = x.unsqueeze(0)
        tokens, state = self.stream_features(x, state)
        return self.head(tokens.mean(2)), state

    def stream_features(self, x: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Tokens (T, B, N, D) after the last block, and the state after the last frame."""
        state = state or ModelState(blocks=(None,) * len(self.blocks))
        x, stem = self.stem(x, state.stem)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(-2).mT  # (T, B, D, Y, X) -> (T, B, N, D)
        after = []
        for block, block_state in zip(self.blocks, state.blocks, strict=True):
            x, block_state = block(x, block_state, grid=grid)
            after.append(block_state)
        return x, ModelState(stem, tuple(after))

    def forward(self, x: Tensor) -> Tensor:
        logits, _ = self.stream(self.over_time(x))
        return logits.mean(0) if self.config.readout == "mean" else logits

    def forward_features(self, x: Tensor) -> Tensor:
        """Tokens (T, B, N, D) after the last block."""
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

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh read-out for another number of classes."""
        from dataclasses import replace

        self.config = replace(self.config, num_classes=num_classes)
        self.head = nn.Linear(self.config.dim, num_classes, device=self.head.weight.device,
                              dtype=self.head.weight.dtype)
        nn.init.zeros_(self.head.bias)
        nn.init.trunc_normal_(self.head.weight, std=0.02)

    def save_pretrained(self, directory) -> None:
        """Write config.json, model.safetensors and README.md (a card with a runnable snippet)."""
        from spikeattn.models.pretrained import save

        save(self, directory)

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
