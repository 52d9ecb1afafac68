"""Published conventions: how a paper turns a table of layer rates into joules. One rule, one file."""

from neuromorphic.energy.conventions.ac_mac import AC_MAC
from neuromorphic.energy.conventions.ann_fp32 import ANN_FP32
from neuromorphic.energy.conventions.bsa_shift20 import BSA_SHIFT20
from neuromorphic.energy.conventions.convention import KINDS, Charge, Convention, LayerRate, first_convolution
from neuromorphic.energy.conventions.i_lif import I_LIF
from neuromorphic.energy.conventions.qkformer import QKFORMER
from neuromorphic.energy.conventions.sdt import SDT
from neuromorphic.energy.conventions.spikformer import SPIKFORMER
from neuromorphic.energy.conventions.spikingformer_strict import SPIKINGFORMER_STRICT

CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (SPIKFORMER, SPIKINGFORMER_STRICT, SDT, QKFORMER, I_LIF, BSA_SHIFT20, ANN_FP32, AC_MAC)
}

__all__ = ["CONVENTIONS", "KINDS", "Charge", "Convention", "LayerRate", "first_convolution"]
