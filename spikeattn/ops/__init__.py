"""Pure functions of tensors: the spiking arithmetic itself, without modules or parameters.

`OPS` lists every registered op; one parity test runs all of their implementations.
"""

from .bipolar_attention import BIPOLAR_ATTENTION, BIPOLAR_ATTENTION_BACKWARD, bipolar_attention
from .lif import LIF, LIF_BACKWARD, lif
from .pack import PACK, UNPACK, pack, unpack
from .shiftmax import SHIFTMAX, SHIFTMAX_BACKWARD, SHIFTMAX_EXPONENTS, shiftmax, shiftmax_exponents
from .ternary_matmul import TERNARY_MATMUL, TERNARY_MATMUL_BACKWARD, ternary_matmul

__all__ = ["bipolar_attention", "lif", "pack", "shiftmax", "shiftmax_exponents", "ternary_matmul", "unpack"]

OPS = (
    BIPOLAR_ATTENTION,
    BIPOLAR_ATTENTION_BACKWARD,
    LIF,
    LIF_BACKWARD,
    PACK,
    SHIFTMAX,
    SHIFTMAX_BACKWARD,
    SHIFTMAX_EXPONENTS,
    TERNARY_MATMUL,
    TERNARY_MATMUL_BACKWARD,
    UNPACK,
)
