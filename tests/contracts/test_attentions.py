"""Every registered attention keeps the contract, at its defaults and in its other modes."""

import pytest

from spikeattn.attention import (
    ATTENTIONS,
    AdditionOnlySelfAttention,
    AlphaXNORAttention,
    BinaryShiftmaxAttention,
    BipolarSelfAttention,
    CircularAttention,
    RandomQKAttention,
    SoftmaxAttention,
    SpatialTemporalAttention,
    SpikeDrivenSelfAttention,
    SpikingSelfAttention,
)
from spikeattn.neurons import ILIF, LIF, PLIF
from spikeattn.testing import AttentionContract

MODES = {
    "bsa-round": (BipolarSelfAttention, {"normaliser": "round"}),
    "bsa-scaled": (BipolarSelfAttention, {"score_scale": 0.5}),
    "bsa-learnable-scale": (BipolarSelfAttention, {"score_scale": "learnable"}),
    "bsa-plif-bias": (BipolarSelfAttention, {"neuron": PLIF, "bias": True}),
    "bsa-integer": (BipolarSelfAttention, {"neuron": ILIF(levels=2, beta=0.5)}),
    "ssa-tau": (SpikingSelfAttention, {"neuron": LIF.from_tau(2.0), "scale": 0.25}),
    "statten-whole": (SpatialTemporalAttention, {"chunk": 4, "scale": 0.25}),
    "event-statten": (SpatialTemporalAttention, {"erode": True}),
    "event-sdsa": (SpikeDrivenSelfAttention, {"erode": "kv"}),
    "event-sdsa-queries": (SpikeDrivenSelfAttention, {"erode": "qkv"}),
    "alpha_xnor-quarter": (AlphaXNORAttention, {"alpha": 0.25}),
    "a2os2a-bias": (AdditionOnlySelfAttention, {"neuron": PLIF, "bias": True}),
    "bmp_shiftmax-integer": (BinaryShiftmaxAttention, {"neuron": ILIF(levels=2, beta=0.5)}),
    "random_qk-bias": (RandomQKAttention, {"bias": True}),
    "softmax-causal": (SoftmaxAttention, {"causal": True}),
    "cat-qkv": (CircularAttention, {"variant": "qkv"}),
    "cat-causal": (CircularAttention, {"causal": True}),
    "cat-gather": (CircularAttention, {"implementation": "gather", "orientation": "conv"}),
    "cat-shiftmax": (CircularAttention, {"normaliser": "shiftmax"}),
    "cat-table": (CircularAttention, {"variant": "v", "tokens": 8}),
}
DIVIDING = ("softmax", "tmp_softmax", "bmp_softmax", "cat", "dssa")  # by a sum of exponentials, or by a firing rate
TAKING_MASKS = (  # the others have no matrix of scores
    "bsa", "ssa", "statten", "tmp", "bmp", "softmax", "sorbet", "alpha_xnor", "a2os2a", "random_qk",
)


class TestAttentions(AttentionContract):
    @pytest.fixture(autouse=True, params=[*ATTENTIONS, *MODES])
    def _parameters(self, request):
        name = request.param
        self.exact = not name.startswith(DIVIDING)
        self.takes_masks = name.startswith(TAKING_MASKS)
        self.kind, self.options = MODES.get(name) or (ATTENTIONS[name], {})

    def make(self):
        attention = self.kind(self.dim, self.heads, **self.options)
        attention.init_firing(tokens=self.grid[0] * self.grid[1], output_scale=1.0)
        return attention
