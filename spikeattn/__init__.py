"""Spiking transformers: neurons, attention, blocks and models to build and to train.

>>> import torch, spikeattn
>>> model = spikeattn.create_model("spikingformer_tiny", attention="bsa")
>>> model(torch.rand(2, 1, 8, 8)).shape
torch.Size([2, 10])
"""

__version__ = "0.1.0"

from spikeattn.citations import citation
from spikeattn.models import create_model, from_pretrained, list_models

__all__ = ["citation", "create_model", "from_pretrained", "list_models"]
