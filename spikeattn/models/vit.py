"""vit_*: the ANN twins of the spiking hosts, with softmax attention.

    the Spikingformer skeleton (stem, norms, widths, shortcuts), neurons replaced by GELU, T = 1,
    softmax attention

So `vit_cifar_4_384` has the 9.32 M parameters of the ANN row in the Spikingformer and QKFormer papers.
"""

from dataclasses import replace

from spikeattn.models import spikingformer
from spikeattn.models.config import ModelConfig, Part
from spikeattn.models.spikingformer import Spikingformer


class VisionTransformer(Spikingformer):
    """The ANN on the Spikingformer skeleton."""

    citation = ("dosovitskiy2021vit", "zhou2023spikingformer")


def twins(prefix: str, attention: str) -> dict[str, ModelConfig]:
    """An ANN of every Spikingformer size for pictures (not for event frames)."""
    return {
        name.replace("spikingformer", prefix): replace(
            config, attention=(Part(attention),), neuron=Part("gelu"), timesteps=1
        )
        for name, config in spikingformer.MODELS.items() if "dvs" not in name
    }


MODELS = twins("vit", "softmax")
