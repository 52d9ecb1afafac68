"""Every registered attention keeps the contract, at its defaults and in its other modes."""

import pytest

from spikeattn.attention import (
    ATTENTIONS,
    BipolarSelfAttention,
    CircularAttention,
    SoftmaxAttention,
    SpikingSelfAttention,
)
from spikeattn.neurons import ILIF, LIF, PLIF
from spikeattn.testing import AttentionContract

DEFAULTS = {name: kind for name, kind in ATTENTIONS.items()}
MODES = {
    "bsa-round": (BipolarSelfAttention, {"normaliser": "round"}),
    "bsa-scaled": (BipolarSelfAttention, {"score_scale": 0.5}),
    "bsa-learnable-scale": (BipolarSelfAttention, {"score_scale": "learnable"}),
    "bsa-plif-bias": (BipolarSelfAttention, {"neuron": PLIF, "bias": True}),
    "bsa-integer": (BipolarSelfAttention, {"neuron": ILIF(levels=2, beta=0.5)}),
    "ssa-tau": (SpikingSelfAttention, {"neuron": LIF.from_tau(2.0), "scale": 0.25}),
    "softmax-causal": (SoftmaxAttention, {"causal": True}),
    "cat-qkv": (CircularAttention, {"variant": "qkv"}),
    "cat-causal": (CircularAttention, {"causal": True}),
    "cat-gather": (CircularAttention, {"implementation": "gather", "orientation": "conv"}),
    "cat-shiftmax": (CircularAttention, {"normaliser": "shiftmax"}),
    "cat-table": (CircularAttention, {"variant": "v", "tokens": 8}),
}
EXPONENTIAL = ("softmax", "tmp_softmax", "cat")  # these divide by a sum of exponentials


class TestAttentions(AttentionContract):
    @pytest.fixture(autouse=True, params=[*DEFAULTS, *MODES])
    def _parameters(self, request):
        name = request.param
        self.exact = not name.startswith(EXPONENTIAL)
        self.takes_masks = not name.startswith("cat")  # a circulant matrix reads every coefficient in every row
        self.kind, self.options = MODES.get(name) or (DEFAULTS[name], {})

    def make(self):
        attention = self.kind(self.dim, self.heads, **self.options)
        attention.init_firing(tokens=self.grid[0] * self.grid[1], output_scale=1.0)
        return attention
