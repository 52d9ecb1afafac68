"""Pure functions of tensors: the spiking arithmetic itself, without modules or parameters.

`OPS` lists every registered op; one parity test runs all of their implementations.
"""

from .bipolar_attention import BIPOLAR_ATTENTION, BIPOLAR_ATTENTION_BACKWARD, bipolar_attention
from .horner import HORNER, horner
from .integer_norm import INTEGER_NORM, INTEGER_RMS_NORM, integer_norm, integer_rms_norm
from .lif import LIF, LIF_BACKWARD, lif
from .pack import PACK, UNPACK, pack, unpack
from .round_shift import ROUND_SHIFT, round_shift
from .row_factor import ROW_FACTOR, SCALE_ROWS, row_factor, scale_rows
from .shiftmax import SHIFTMAX, SHIFTMAX_BACKWARD, SHIFTMAX_EXPONENTS, shiftmax, shiftmax_exponents
from .table import TABLE_LOOKUP, table_lookup
from .ternary_matmul import TERNARY_MATMUL, TERNARY_MATMUL_BACKWARD, ternary_matmul

__all__ = [
    "bipolar_attention", "horner", "integer_norm", "integer_rms_norm", "lif", "pack", "round_shift", "row_factor",
    "scale_rows", "shiftmax", "shiftmax_exponents", "table_lookup", "ternary_matmul", "unpack",
]

OPS = (
    BIPOLAR_ATTENTION,
    BIPOLAR_ATTENTION_BACKWARD,
    HORNER,
    INTEGER_NORM,
    INTEGER_RMS_NORM,
    LIF,
    LIF_BACKWARD,
    PACK,
    ROUND_SHIFT,
    ROW_FACTOR,
    SCALE_ROWS,
    SHIFTMAX,
    SHIFTMAX_BACKWARD,
    SHIFTMAX_EXPONENTS,
    TABLE_LOOKUP,
    TERNARY_MATMUL,
    TERNARY_MATMUL_BACKWARD,
    UNPACK,
)
