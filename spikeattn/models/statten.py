"""STAtten: the Spike-driven Transformer with attention over several time steps at once.

    stem, block, head as in the Spike-driven Transformer; its attention sees the tokens of `chunk` consecutive steps

Source: Lee et al., "Spiking Transformer with Spatial-Temporal Attention" (CVPR 2025), arXiv 2409.19764, and its
code (model/spikeformer.py). Chunks of 2 steps for pictures, of 4 for event frames.
Differs from the code in: what it builds and never uses is left out (see the Spike-driven Transformer);
initialisation is ours (every layer fires).
"""

from dataclasses import replace

from spikeattn.models import sdt
from spikeattn.models.config import Part
from spikeattn.models.sdt import SpikeDrivenConfig, SpikeDrivenTransformer


class STAttenConfig(SpikeDrivenConfig):
    """Fields: see SpikeDrivenConfig."""


class STAtten(SpikeDrivenTransformer):
    """A Spike-driven Transformer with spatial-temporal attention; `stream_chunk` steps go together."""

    citation = "lee2025statten"
    config_class = STAttenConfig


def over(host: SpikeDrivenConfig, chunk: int, **options) -> STAttenConfig:
    """The host with spatial-temporal attention in place of its own."""
    fields = vars(replace(host, attention=(Part("statten", {"chunk": chunk, **options}),)))
    return STAttenConfig(**fields)


MODELS = {
    "statten_8_512": over(sdt.imagenet(8, 512), 2),
    "statten_8_768": over(sdt.imagenet(8, 768), 2),
    "statten_cifar_2_256": over(sdt.cifar(2, 256), 2),
    "statten_cifar_2_512": over(sdt.cifar(2, 512), 2),
    "statten_dvs_2_256": over(sdt.dvs(2, 256), 4, erode=True),
    "statten_tiny": over(sdt.digits(1, 32, 2), 2),
}
