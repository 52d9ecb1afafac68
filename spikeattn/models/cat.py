"""cat_*: the ANN twins of the spiking hosts, with circular-convolutional attention (CAT).

    the Spikingformer skeleton (stem, norms, widths, shortcuts), neurons replaced by GELU, T = 1, CAT

CAT-Alter, which alternates CAT and softmax layers, is the schedule attention=("cat", "softmax").
"""

from spikeattn.models.spikingformer import Spikingformer
from spikeattn.models.vit import twins


class CircularTransformer(Spikingformer):
    """The ANN with CAT on the Spikingformer skeleton."""

    citation = ("yamada2025cat", "zhou2023spikingformer")


MODELS = twins("cat", "cat")
