"""Ternary scores without a normaliser: SSA with its product exchanged, a control of the BSA paper's ablation.

    Q, K  = TSN(BN(W_q x)), TSN(BN(W_k x))       in {-1, 0, 1}
    V     = LIF(BN(W_v x))                       in {0, 1}
    A     = (Q K^T) V * scale                    scores of either sign
    out   = BN(W_o TSN(A))

The ablation has six cells, each of them one class:

                 none                          softmax                       Shiftmax
    binary       SpikingSelfAttention          BinarySoftmaxAttention        BinaryShiftmaxAttention
    ternary      TernaryProductAttention       TernarySoftmaxAttention       BipolarSelfAttention

The product decides the neurons on q, k and the output; the normaliser decides the values: spikes without one,
membrane currents with one.

Source: "TMP" without normaliser in Wang et al., "Bipolar Self-attention for Spiking Transformers" (NeurIPS 2025),
Table 4 (79.27 % on CIFAR-100 against 79.13 % of SSA). Our reading, as the paper describes neither: values and scale
are those of SSA.
"""

from spikeattn.attention.attention import as_neuron
from spikeattn.attention.ssa import SpikingSelfAttention
from spikeattn.neurons import LIF, Neuron


class TernaryProductAttention(SpikingSelfAttention):
    """SSA with ternary queries, keys and output.

    >>> import torch
    >>> attention = TernaryProductAttention(dim=32, heads=4).eval()
    >>> attention.q_neuron.alphabet, attention.v_neuron.alphabet
    ('ternary', 'binary')
    """

    citation = "wang2025bsa"
    signed_scores = True

    def __init__(self, dim: int, heads: int, *, neuron: Neuron | type[Neuron] = LIF, attn_threshold: float = 0.5,
                 bias: bool = False, scale: float = 0.125):
        super().__init__(dim, heads, neuron=neuron, attn_threshold=attn_threshold, bias=bias, scale=scale)
        self.v_neuron = as_neuron(neuron, type(self).__name__)
        self.init_firing(tokens=64, output_scale=self.q_neuron.threshold_current)

    def start_rate(self, tokens: int) -> float:
        """The rate p of one side at which the current, whose mean is 0, deviates by the threshold:

            score^2 ~ d (2p)^2,  current^2 ~ N p score^2       scale * 2 sqrt(N d) * p^(3/2) = threshold_current
        """
        spread = self.scale * 2 * (tokens * (self.dim // self.heads)) ** 0.5
        return min(0.4, max(0.05, (self.attn_neuron.threshold_current / spread) ** (2 / 3)))
