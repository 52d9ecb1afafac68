"""Attention: one mechanism, one file. This list is the registry; the contract tests run over it."""

from spikeattn.attention.a2os2a import AdditionOnlySelfAttention
from spikeattn.attention.alpha_xnor import AlphaXNORAttention
from spikeattn.attention.attention import Attention, BatchFirst
from spikeattn.attention.bmp_shiftmax import BinaryShiftmaxAttention
from spikeattn.attention.bmp_softmax import BinarySoftmaxAttention
from spikeattn.attention.bsa import BipolarSelfAttention, SpikeDrivenBipolarSelfAttention
from spikeattn.attention.cat import CircularAttention
from spikeattn.attention.dssa import DualSpikeSelfAttention
from spikeattn.attention.dwc import DepthwiseConvolution
from spikeattn.attention.identity import Identity
from spikeattn.attention.qk import ChannelQKAttention, TokenQKAttention
from spikeattn.attention.random_qk import RandomQKAttention
from spikeattn.attention.rep_projection import PointRepProjection, RepProjection
from spikeattn.attention.score import ScoreAttention
from spikeattn.attention.sdsa import SpikeDrivenSelfAttention
from spikeattn.attention.sdsa_v2 import SpikeDrivenSelfAttentionV2
from spikeattn.attention.sdsa_v3 import SpikeDrivenSelfAttentionV3
from spikeattn.attention.softmax import SoftmaxAttention
from spikeattn.attention.sorbet import PowerOfTwoSoftmaxAttention
from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.attention.statten import SpatialTemporalAttention
from spikeattn.attention.tmp import TernaryProductAttention
from spikeattn.attention.tmp_softmax import TernarySoftmaxAttention

ATTENTIONS: dict[str, type[Attention]] = {
    "bsa": BipolarSelfAttention,
    "bsa_spike": SpikeDrivenBipolarSelfAttention,
    "ssa": SpikingSelfAttention,
    "tmp": TernaryProductAttention,
    "tmp_softmax": TernarySoftmaxAttention,
    "bmp_softmax": BinarySoftmaxAttention,
    "bmp_shiftmax": BinaryShiftmaxAttention,
    "sorbet": PowerOfTwoSoftmaxAttention,
    "alpha_xnor": AlphaXNORAttention,
    "a2os2a": AdditionOnlySelfAttention,
    "softmax": SoftmaxAttention,
    "cat": CircularAttention,
    "dssa": DualSpikeSelfAttention,
    "sdsa": SpikeDrivenSelfAttention,
    "statten": SpatialTemporalAttention,
    "sdsa_v2": SpikeDrivenSelfAttentionV2,
    "sdsa_v3": SpikeDrivenSelfAttentionV3,
    "token_qk": TokenQKAttention,
    "channel_qk": ChannelQKAttention,
    "random_qk": RandomQKAttention,
    "identity": Identity,
    "dwc": DepthwiseConvolution,
}

__all__ = [
    "ATTENTIONS", "AdditionOnlySelfAttention", "AlphaXNORAttention", "Attention", "BatchFirst",
    "BinaryShiftmaxAttention", "BinarySoftmaxAttention", "BipolarSelfAttention", "ChannelQKAttention",
    "CircularAttention", "DepthwiseConvolution", "DualSpikeSelfAttention", "Identity", "PointRepProjection",
    "PowerOfTwoSoftmaxAttention", "RandomQKAttention", "RepProjection", "ScoreAttention", "SoftmaxAttention",
    "SpatialTemporalAttention", "SpikeDrivenBipolarSelfAttention", "SpikeDrivenSelfAttention",
    "SpikeDrivenSelfAttentionV2", "SpikeDrivenSelfAttentionV3", "SpikingSelfAttention", "TernaryProductAttention",
    "TernarySoftmaxAttention", "TokenQKAttention",
]
