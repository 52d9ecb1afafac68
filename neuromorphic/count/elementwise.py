"""Element-wise operations: so many operations of each class for each element of the result.

    a + b         1 ADD                       gelu (erf)   1 ERF + 2 MUL + 1 ADD  (the halving folds away)
    a * b         1 MUL, decided on read: 1 AND where an operand is spikes (a gate), 1 SHIFT where it is powers of two
    a * c         1 MUL, 1 SHIFT for a power of two c, free for c = +-1;  complex: 4 MUL + 2 ADD
    a / c         the same with 1/c;  a / b: 1 DIV
    sigmoid       1 EXP + 1 ADD + 1 DIV       tanh         1 EXP + 2 ADD + 1 DIV
    rounding      1 ADD (add half, drop the fraction)
    comparisons, maximum, relu, sign          1 or 2 CMP;     where, masks, abs: 1 AND;     negation: 1 XOR
"""

from torch import Tensor

from neuromorphic.count.call import Call, Counter, scaling
from neuromorphic.ledger import Row

SIGMOID = {"EXP": 1, "ADD": 1, "DIV": 1}
TANH = {"EXP": 1, "ADD": 2, "DIV": 1}

PER_ELEMENT: dict[str, dict[str, int]] = {
    "round": {"ADD": 1}, "floor": {"ADD": 1}, "ceil": {"ADD": 1}, "trunc": {"ADD": 1}, "frac": {"ADD": 2},
    "lerp": {"ADD": 2, "MUL": 1}, "addcmul": {"ADD": 1, "MUL": 2}, "addcdiv": {"ADD": 1, "MUL": 1, "DIV": 1},
    "exp": {"EXP": 1}, "exp2": {"EXP": 1}, "expm1": {"EXP": 1, "ADD": 1}, "erf": {"ERF": 1},
    "log": {"LOG": 1}, "log2": {"LOG": 1}, "log10": {"LOG": 1}, "log1p": {"LOG": 1, "ADD": 1},
    "sqrt": {"SQRT": 1}, "rsqrt": {"SQRT": 1, "DIV": 1}, "reciprocal": {"DIV": 1},
    "sin": {"SIN": 1}, "cos": {"SIN": 1}, "sigmoid": SIGMOID, "tanh": TANH,
    "silu": SIGMOID | {"MUL": 1}, "softplus": {"EXP": 1, "ADD": 1, "LOG": 1}, "elu": {"CMP": 1, "EXP": 1, "ADD": 1},
    "leaky_relu": {"CMP": 1, "MUL": 1}, "_prelu_kernel": {"CMP": 1, "MUL": 1}, "relu": {"CMP": 1}, "relu6": {"CMP": 2},
    "hardtanh": {"CMP": 2}, "hardsigmoid": {"ADD": 1, "MUL": 1, "CMP": 2},
    "hardswish": {"ADD": 1, "MUL": 2, "CMP": 2}, "threshold": {"CMP": 1}, "heaviside": {"CMP": 1},
    "abs": {"AND": 1}, "neg": {"XOR": 1}, "sign": {"CMP": 2}, "sgn": {"CMP": 2},
    "maximum": {"CMP": 1}, "minimum": {"CMP": 1}, "clamp_min": {"CMP": 1}, "clamp_max": {"CMP": 1},
    "eq": {"CMP": 1}, "ne": {"CMP": 1}, "lt": {"CMP": 1}, "le": {"CMP": 1}, "gt": {"CMP": 1}, "ge": {"CMP": 1},
    "nan_to_num": {"CMP": 1}, "isnan": {"CMP": 1}, "isinf": {"CMP": 1}, "isfinite": {"CMP": 1},
    "where": {"AND": 1}, "masked_fill": {"AND": 1}, "logical_and": {"AND": 1}, "logical_or": {"AND": 1},
    "logical_not": {"XOR": 1}, "logical_xor": {"XOR": 1}, "bitwise_and": {"AND": 1}, "bitwise_or": {"AND": 1},
    "bitwise_not": {"XOR": 1}, "bitwise_xor": {"XOR": 1}, "bitwise_left_shift": {"SHIFT": 1},
    "bitwise_right_shift": {"SHIFT": 1}, "ldexp": {"SHIFT": 1}, "cumsum": {"ADD": 1},
}  # fmt: skip


def elements(call: Call, per_element: dict[str, int], op: str = "elementwise") -> list[Row]:
    numel = call.result.numel() * (2 if call.result.is_complex() and set(per_element) <= {"ADD", "XOR"} else 1)
    counts = {name: n * numel for name, n in per_element.items() if n}
    return [call.row(op, counts=counts)] if counts else []


def _count_add(call: Call) -> list[Row]:
    """self + alpha * other."""
    alpha = call["alpha"]
    factor = scaling(float(alpha), 1) if isinstance(alpha, (int, float)) else {}
    return elements(call, {"ADD": 1} | factor)


def _count_mul(call: Call) -> list[Row] | None:
    left, right = call["self"], call["other"]
    if isinstance(right, Tensor) and not right.ndim and call.constant(right) and not right.is_complex():
        right = float(right)
    if not isinstance(right, Tensor):
        return None if isinstance(right, complex) else elements(call, scaling(float(right), 1))
    if left.is_complex() and right.is_complex():
        return elements(call, {"MUL": 4, "ADD": 2})
    if left.is_complex() or right.is_complex():
        return elements(call, {"MUL": 2})
    a, b = call.operand(left), call.operand(right)
    return [call.row("hadamard", left=a, right=b, counts={"MUL": call.result.numel()})]


def _count_div(call: Call) -> list[Row] | None:
    left, right = call["self"], call["other"]
    if isinstance(right, Tensor) and not right.ndim and call.constant(right):
        right = float(right)
    if isinstance(right, Tensor):
        return None if right.is_complex() else elements(call, {"MUL": 1} if call.constant(right) else {"DIV": 1})
    rounding = {"ADD": 1} if call["rounding_mode"] else {}
    return elements(call, scaling(1 / right, 1) | rounding) if isinstance(left, Tensor) and right else None


def _count_pow(call: Call) -> list[Row] | None:
    """x ** n by multiplications, x ** 0.5 by a root, c ** x by an exponential."""
    exponent = call["exponent"]
    if isinstance(exponent, Tensor):
        return elements(call, {"EXP": 1}) if not isinstance(call["self"], Tensor) else None
    if exponent in (0.5, -0.5):
        return elements(call, {"SQRT": 1} | ({"DIV": 1} if exponent < 0 else {}))
    if exponent == int(exponent) and 1 <= abs(exponent) <= 8:
        return elements(call, {"MUL": int(abs(exponent)) - 1} | ({"DIV": 1} if exponent < 0 else {}))
    return None


def _count_clamp(call: Call) -> list[Row]:
    return elements(call, {"CMP": sum(call[bound] is not None for bound in ("min", "max"))})


def _count_gelu(call: Call) -> list[Row]:
    """x * Phi(x), by the error function, or by tanh(sqrt(2/pi) * (x + 0.0447 x^3))."""
    if call["approximate"] == "tanh":
        return elements(call, {"MUL": 5, "ADD": 2 + TANH["ADD"], "EXP": TANH["EXP"], "DIV": TANH["DIV"]})
    return elements(call, {"ERF": 1, "MUL": 2, "ADD": 1})


def _constant_rate(per_element: dict[str, int]) -> Counter:
    return lambda call: elements(call, per_element)


COUNTERS: dict[str, Counter] = {f"aten::{name}": _constant_rate(cost) for name, cost in PER_ELEMENT.items()} | {
    "aten::add": _count_add,
    "aten::sub": _count_add,
    "aten::rsub": _count_add,
    "aten::mul": _count_mul,
    "aten::div": _count_div,
    "aten::pow": _count_pow,
    "aten::clamp": _count_clamp,
    "aten::gelu": _count_gelu,
}
