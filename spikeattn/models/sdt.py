"""Spike-driven Transformer (first version): spike-driven self-attention with membrane shortcuts.

    stem     spikes between its stages, a membrane at its end
    block    x = x + BN(W_o SDSA(neuron(x))),  x = x + BN(W_2 neuron(BN(W_1 neuron(x))))
    head     logits = W neuron(mean_n x) + b: a neuron on the mean membrane of all tokens

Where the MLP's hidden layer has D channels (ratio 1), each of its two projections has its own shortcut.

Source: Yao et al., "Spike-driven Transformer" (NeurIPS 2023), and its code (model/spikeformer.py).
Differs from the code in: the convolutions over heads and the neurons that it builds and never uses are left out,
so the parameter count is the public one minus H^2 per block; initialisation is ours (every layer fires).
The event models follow the published sizes at 64 x 64; for CIFAR10-DVS the attention is in event mode, for
DVS128 Gesture it is not, as the released training script has it.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from spikeattn.blocks import MembraneShortcut, SpikeDrivenStem
from spikeattn.models.config import Part
from spikeattn.models.isotropic import IsotropicConfig, ModelState, SpikingTransformer
from spikeattn.models.spikformer import stem
from spikeattn.neurons import Activation, Neuron
from spikeattn.types import State


@dataclass(frozen=True, kw_only=True)
class SpikeDrivenConfig(IsotropicConfig):
    """Fields: see IsotropicConfig. stem_bias: biases in front of the norms of the stem's stages."""

    attention: tuple[Part, ...] = (Part("sdsa"),)
    stem_bias: bool = False


class SpikeDrivenTransformer(SpikingTransformer):
    """A Spike-driven Transformer of any size, with any attention and neuron."""

    citation = "yao2023sdt"
    config_class = SpikeDrivenConfig
    stem_class = SpikeDrivenStem
    shortcut = MembraneShortcut()

    def build_stem(self, neuron: Neuron | Activation) -> nn.Module:
        config = self.config
        return self.stem_class(config.in_channels, config.stem, neuron=neuron, bias=config.stem_bias)

    def build_head(self, neuron: Neuron | Activation) -> None:
        """The read-out behind a neuron of its own.

        A mean over tokens of centred currents is too small for any neuron, so the last norm of the stream starts
        with a random offset for each channel: some channels of the read-out then fire, others do not.
        """
        super().build_head(neuron)
        self.head_neuron = neuron.clone()
        nn.init.normal_(self.blocks[-1].mlp.fc2.norm.bias, std=self.head_neuron.threshold_current)

    def inner_shortcut(self) -> bool:
        return round(self.config.dim * self.config.mlp_ratio) == self.config.dim

    def classify(self, tokens: Tensor, state: ModelState) -> tuple[Tensor, State]:
        spikes, head = self.head_neuron(tokens.mean(2), state.head)
        return self.head(spikes), ModelState(state.stem, state.blocks, head)


def imagenet(depth: int, dim: int, heads: int = 8) -> SpikeDrivenConfig:
    return SpikeDrivenConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "1111"))


def cifar(depth: int, dim: int, heads: int = 8) -> SpikeDrivenConfig:
    return SpikeDrivenConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "0011"), num_classes=10,
                             image_size=(32, 32))


def dvs(depth: int, dim: int, heads: int = 8, *, classes: int = 10, erode: str = "") -> SpikeDrivenConfig:
    options = {"erode": erode} if erode else {}
    return SpikeDrivenConfig(dim=dim, depth=depth, heads=heads, stem=stem(dim, "1111"), num_classes=classes,
                             image_size=(64, 64), in_channels=2, timesteps=16, attention=(Part("sdsa", options),))


def digits(depth: int, dim: int, heads: int) -> SpikeDrivenConfig:
    """For 8 x 8 pictures: patches of 2 by a strided convolution, no pooling, so 16 tokens."""
    return SpikeDrivenConfig(dim=dim, depth=depth, heads=heads, stem=((dim // 2, ""), (dim, "stride")),
                             num_classes=10, in_channels=1, image_size=(8, 8))


MODELS = {
    "sdt_8_384": imagenet(8, 384),
    "sdt_6_512": imagenet(6, 512),
    "sdt_8_512": imagenet(8, 512),
    "sdt_10_512": imagenet(10, 512),
    "sdt_8_768": imagenet(8, 768),
    "sdt_cifar_2_256": cifar(2, 256),
    "sdt_cifar_2_512": cifar(2, 512),
    "sdt_dvs_2_256": dvs(2, 256, erode="kv"),
    "sdt_dvs_gesture_2_256": dvs(2, 256, classes=11),
    "sdt_tiny": digits(1, 32, 2),
}
