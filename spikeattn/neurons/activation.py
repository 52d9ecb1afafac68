"""What stands in a neuron's place in the ANN twins: a stateless activation with the neuron's call.

    y[t] = f(x[t])              no membrane, no spikes, real values
"""

from typing import ClassVar, Self

from torch import Tensor, nn
from torch.nn import functional

from spikeattn.types import Alphabet


class Activation(nn.Module):
    """An element-wise function called like a neuron: `y, None = activation(x, state=None)`."""

    alphabet: ClassVar[Alphabet] = "real"
    threshold_current: ClassVar[float] = 1.0

    def clone(self, **_threshold) -> Self:
        """A new activation; thresholds and decays mean nothing here and are let go."""
        return type(self)()

    def options(self) -> dict:
        return {}


class GELU(Activation):
    """y = x * Phi(x), the activation of the ANN baselines."""

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        return functional.gelu(x), None


class ReLU(Activation):
    """y = max(x, 0)."""

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        return functional.relu(x), None
