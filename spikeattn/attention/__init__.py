"""Attention: one mechanism, one file. This list is the registry; the contract tests run over it."""

from spikeattn.attention.attention import Attention, BatchFirst
from spikeattn.attention.bsa import BipolarSelfAttention, SpikeDrivenBipolarSelfAttention
from spikeattn.attention.cat import CircularAttention
from spikeattn.attention.dssa import DualSpikeSelfAttention
from spikeattn.attention.dwc import DepthwiseConvolution
from spikeattn.attention.identity import Identity
from spikeattn.attention.qk import ChannelQKAttention, TokenQKAttention
from spikeattn.attention.rep_projection import RepProjection
from spikeattn.attention.score import ScoreAttention
from spikeattn.attention.sdsa_v2 import SpikeDrivenSelfAttentionV2
from spikeattn.attention.sdsa_v3 import SpikeDrivenSelfAttentionV3
from spikeattn.attention.sdsa import SpikeDrivenSelfAttention
from spikeattn.attention.softmax import SoftmaxAttention
from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.attention.statten import SpatialTemporalAttention
from spikeattn.attention.tmp_softmax import TernarySoftmaxAttention

ATTENTIONS: dict[str, type[Attention]] = {
    "bsa": BipolarSelfAttention,
    "bsa_spike": SpikeDrivenBipolarSelfAttention,
    "ssa": SpikingSelfAttention,
    "tmp_softmax": TernarySoftmaxAttention,
    "softmax": SoftmaxAttention,
    "cat": CircularAttention,
    "dssa": DualSpikeSelfAttention,
    "sdsa": SpikeDrivenSelfAttention,
    "statten": SpatialTemporalAttention,
    "sdsa_v2": SpikeDrivenSelfAttentionV2,
    "sdsa_v3": SpikeDrivenSelfAttentionV3,
    "token_qk": TokenQKAttention,
    "channel_qk": ChannelQKAttention,
    "identity": Identity,
    "dwc": DepthwiseConvolution,
}

__all__ = [
    "ATTENTIONS", "Attention", "BatchFirst", "BipolarSelfAttention", "ChannelQKAttention", "CircularAttention",
    "DepthwiseConvolution", "DualSpikeSelfAttention", "Identity", "RepProjection", "ScoreAttention",
    "SoftmaxAttention", "SpikeDrivenBipolarSelfAttention", "SpatialTemporalAttention", "SpikeDrivenSelfAttention", "SpikeDrivenSelfAttentionV2", "SpikeDrivenSelfAttentionV3",
    "SpikingSelfAttention", "TernarySoftmaxAttention", "TokenQKAttention",
]
