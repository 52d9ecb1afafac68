"""The choices of a conversion, each with its default and what else it may be."""

from dataclasses import asdict, dataclass
from typing import Any

from spikeattn.codings import CODINGS, DEFAULT
from spikeattn.errors import nearest

WEIGHTS = {"int8": 8, "int12": 12, "int16": 16, "float": None}
RANGES = ("mse", "max", "percentile")
NORMALISERS = ("row5", "row3", "nearest", "ceil_gain", "ceil", "exact")
NORMS = ("mantissa", "exact", "l1")
ACTIVATIONS = ("table", "exact", "relu")
BIASES = ("corrected", "kept")


@dataclass(frozen=True)
class Settings:
    """How a network is converted.

    timesteps: T of each code word. coding: name of a coding (spikeattn.codings). ranges: how clip ranges are found.
    per_channel: one range per channel where it folds into weights (queries and keys: per head), else one per tensor.
    floor: no channel's range falls below this share of the tensor's. weights: width of a weight.
    normaliser: the row factor of Shiftmax, "exact" keeps the float softmax. norm: "mantissa" (integers, `norm_bits`
    bits of the reciprocal's mantissa), "exact" (float) or "l1" (a negative control). activation: "table"
    (2**table_bits entries), "exact" (float) or "relu" (a negative control). window: keys further below the row's
    maximum are dropped. stream_bits: of residual streams, within the calibrated range. biases: "corrected" for
    the mean error of the codes that they stand behind (neuromorphic.convert.bias_correction), or "kept".
    """

    timesteps: int = 4
    coding: str = DEFAULT
    ranges: str = "mse"
    percentile: float = 99.99
    per_channel: bool = True
    floor: float = 0.10
    weights: str = "int12"
    normaliser: str = "row5"
    norm: str = "mantissa"
    norm_bits: int = 4
    activation: str = "table"
    table_bits: int = 12
    window: int = 14
    stream_bits: int = 20
    biases: str = "corrected"

    def __post_init__(self) -> None:
        if isinstance(self.timesteps, bool) or not isinstance(self.timesteps, int) or not 1 <= self.timesteps <= 255:
            raise ValueError(f"convert: timesteps must be a whole number from 1 to 255, got {self.timesteps!r}. "
                             "4 is usual.")
        choices = {"coding": tuple(CODINGS), "ranges": RANGES, "weights": tuple(WEIGHTS), "normaliser": NORMALISERS,
                   "norm": NORMS, "activation": ACTIVATIONS, "biases": BIASES}  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                got = getattr(self, name)
                raise ValueError(f"convert: {name} must be one of {', '.join(allowed)}, got {got!r}. "
                                 f"{nearest(str(got), allowed)}")
        bounds = {"floor": (0, 1), "percentile": (50, 100), "norm_bits": (0, 8), "table_bits": (4, 16),
                  "window": (1, 24), "stream_bits": (12, 24)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"convert: {name} must lie in {low} to {high}, got {getattr(self, name)!r}. "
                                 f"The default is {getattr(Settings, name)}.")

    @property
    def exact_parts(self) -> tuple[str, ...]:
        """What is kept in floating point."""
        kept = {"weights": "float", "normaliser": "exact", "norm": "exact", "activation": "exact"}
        return tuple(name for name, value in kept.items() if getattr(self, name) == value)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
