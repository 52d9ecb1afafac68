"""Binary scores with Shiftmax, a control of the BSA paper's ablation (its table stands in tmp.py).

    Q, K  = LIF(BN(W_q x)), LIF(BN(W_k x))       in {0, 1}
    V     = BN(W_v x)                            real: a membrane current
    A     = Shiftmax(Q K^T)                      powers of two, row sum in (1/2, 1]
    out   = BN(W_o LIF(A V))

Source: "BMP + Shiftmax" in Wang et al., "Bipolar Self-attention for Spiking Transformers" (NeurIPS 2025), Table 4.
"""

from spikeattn.attention.bsa import BipolarSelfAttention


class BinaryShiftmaxAttention(BipolarSelfAttention):
    """Attention with binary queries and keys, Shiftmax weights, and values as membrane currents."""

    signed_scores = False
