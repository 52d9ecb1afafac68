"""Binary scores with softmax, a control of the BSA paper's ablation (its table stands in tmp.py).

    Q, K  = LIF(BN(W_q x)), LIF(BN(W_k x))       in {0, 1}
    V     = BN(W_v x)                            real: a membrane current
    A     = softmax(Q K^T)                       base e, no scale
    out   = BN(W_o LIF(A V))

Source: "BMP + Softmax" in Wang et al., "Bipolar Self-attention for Spiking Transformers" (NeurIPS 2025), Table 4.
"""

from spikeattn.attention.tmp_softmax import TernarySoftmaxAttention


class BinarySoftmaxAttention(TernarySoftmaxAttention):
    """Attention with binary queries and keys, softmax weights, and values as membrane currents."""

    signed_scores = False
