"""Converted networks: graphs of integer nodes between which signed spikes run. One kind of node, one place below."""

from spikeattn.converted.attention import Attention
from spikeattn.converted.circular import CircularMixing
from spikeattn.converted.elementwise import Add, ExactActivation, ExactNorm, MeanDeviationNorm, Rectify
from spikeattn.converted.encode import Encode
from spikeattn.converted.graph import Graph, Wire
from spikeattn.converted.linear import Conv2d, Linear
from spikeattn.converted.node import Node, Product
from spikeattn.converted.norm import Norm
from spikeattn.converted.readout import Activate, Head, MeanPool, Normalise, ReadoutNorm, Real, Sum
from spikeattn.converted.schedule import Schedule, schedule
from spikeattn.converted.stem import Analog, Embedding, Patches, Quantise
from spikeattn.converted.table import Table
from spikeattn.converted.tokens import Flatten, MaxPool2d, Select, ToTokens

NODES: dict[str, type[Node]] = {
    node.__name__: node
    for node in (Activate, Add, Analog, Attention, CircularMixing, Conv2d, Embedding, Encode, ExactActivation,
                 ExactNorm, Flatten, Head, Linear, MaxPool2d, MeanDeviationNorm, MeanPool, Norm, Normalise, Patches,
                 Quantise, ReadoutNorm, Real, Rectify, Select, Sum, Table, ToTokens)
}

__all__ = ["NODES", "Graph", "Product", "Schedule", "Wire", "schedule", *NODES]
