"""Spike-driven Transformer (Yao et al., NeurIPS 2023), Table 1 and its supplement.

    first convolution   E_MAC * T * R_C * FL         R_C = 1 for a static picture
    everything else     E_AC  * T * R * FL           the head too, which reads spikes in this family
    attention (SDSA)    E_AC  * T * R * N d          R = f_Q + f_K; a row of its own, or the rows' usual terms

The table's text was not checked against the paper.
"""

from neuromorphic.energy.conventions.convention import AC, RATED_MAC, SPIKE_DRIVEN, Convention

SDT = Convention(
    "sdt", "Spike-driven Transformer", "Yao et al., Spike-driven Transformer, NeurIPS 2023, Table 1 (not checked)",
    {**SPIKE_DRIVEN, "stem": RATED_MAC, "head": AC},
)  # fmt: skip
