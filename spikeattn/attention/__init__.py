"""Attention: one mechanism, one file. This list is the registry; the contract tests run over it."""

from spikeattn.attention.attention import Attention, BatchFirst
from spikeattn.attention.bsa import BipolarSelfAttention, SpikeDrivenBipolarSelfAttention
from spikeattn.attention.cat import CircularAttention
from spikeattn.attention.softmax import SoftmaxAttention
from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.attention.tmp_softmax import TernarySoftmaxAttention

ATTENTIONS: dict[str, type[Attention]] = {
    "bsa": BipolarSelfAttention,
    "bsa_spike": SpikeDrivenBipolarSelfAttention,
    "ssa": SpikingSelfAttention,
    "tmp_softmax": TernarySoftmaxAttention,
    "softmax": SoftmaxAttention,
    "cat": CircularAttention,
}

__all__ = [
    "ATTENTIONS", "Attention", "BatchFirst", "BipolarSelfAttention", "CircularAttention", "SoftmaxAttention",
    "SpikeDrivenBipolarSelfAttention", "SpikingSelfAttention", "TernarySoftmaxAttention",
]
