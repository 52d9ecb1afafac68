"""Spike functions: an exact Heaviside step forward, a smooth stand-in for its derivative backward.

    forward    s = 1 if x >= 0 else 0          x = membrane - threshold; equality fires
    backward   ds/dx = g(x)                    g is the derivative of a smooth step

A ternary neuron uses the same g at both of its thresholds:

    forward    s = sign(u) * [|u| >= threshold]
    backward   ds/du = g(u - threshold) + g(-u - threshold)

Each surrogate is a frozen record of a name and a sharpness alpha. The derivative is evaluated in float32 or
wider and cast back, so gradients stay finite over [-1e4, 1e4] in float32, bfloat16 and float16.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surrogate:
    """A spike function: `surrogate(x)` is the Heaviside step whose gradient is `surrogate.derivative(x)`."""

    citation: ClassVar[str | tuple[str, ...]] = ()  # whom to cite: see citations.py
    alpha: float
    name: ClassVar[str]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(
                f"{type(self).__name__}: alpha must be a positive number, got {self.alpha!r}. Try the default."
            )

    def __call__(self, x: Tensor) -> Tensor:
        return _Spike.apply(x, self.name, self.alpha)

    def derivative(self, x: Tensor) -> Tensor:
        """g(x), in the dtype of x."""
        wide = torch.promote_types(x.dtype, torch.float32)
        return self.slope(x.to(wide), self.alpha).to(x.dtype)

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        """g(x) as the formula reads; x is float32 or wider."""
        raise TypeError("Surrogate: slope must be given by a subclass. Use one of spikeattn.surrogate.SURROGATES.")


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """g(x) = alpha * p * (1 - p), p = 1 / (1 + exp(-alpha x)). SpikingJelly's Sigmoid (its default, alpha 4)."""

    alpha: float = 4.0
    name: ClassVar[str] = "sigmoid"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        p = torch.sigmoid(alpha * x)
        return alpha * p * (1 - p)


@dataclass(frozen=True)
class ATan(Surrogate):
    """g(x) = (alpha / 2) / (1 + (pi alpha x / 2)^2). ATan of SpikingJelly and `atan` of snnTorch (alpha 2)."""

    alpha: float = 2.0
    name: ClassVar[str] = "atan"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        return alpha / 2 / (1 + (math.pi / 2 * alpha * x).square())


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """g(x) = 1 / (1 + alpha |x|)^2. snnTorch's `fast_sigmoid` (slope 25)."""

    citation: ClassVar[str] = "zenke2018superspike"
    alpha: float = 25.0
    name: ClassVar[str] = "fast_sigmoid"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        return 1 / (1 + alpha * x.abs()).square()


@dataclass(frozen=True)
class SuperSpike(Surrogate):
    """g(x) = alpha / (1 + alpha |x|)^2, an area of 2 under the curve (Zenke and Ganguli, 2018; as SpikingJelly)."""

    citation: ClassVar[str] = "zenke2018superspike"
    alpha: float = 1.0
    name: ClassVar[str] = "super_spike"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        return alpha / (1 + alpha * x.abs()).square()


@dataclass(frozen=True)
class Triangle(Surrogate):
    """g(x) = alpha * max(0, 1 - alpha |x|). SpikingJelly's PiecewiseQuadratic."""

    alpha: float = 1.0
    name: ClassVar[str] = "triangle"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        return alpha * (1 - alpha * x.abs()).clamp(min=0)


@dataclass(frozen=True)
class Rectangle(Surrogate):
    """g(x) = alpha where |x| <= 1 / (2 alpha), else 0. SpikingJelly's Rect."""

    alpha: float = 1.0
    name: ClassVar[str] = "rectangle"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        return alpha * (x.abs() <= 1 / (2 * alpha)).to(x.dtype)


@dataclass(frozen=True)
class STE(Surrogate):
    """The clamp of Ternary Spike: g(x) = alpha on (-1/(2 alpha), 1/(2 alpha)], alpha/2 at the left end, else 0.

    With 1/(2 alpha) equal to the threshold, the two branches of a ternary neuron join at u = 0 without
    overlap, so ds/du = alpha on |u| <= 2 threshold: the derivative of clamp(u, -2 threshold, 2 threshold),
    which is the rule of Guo et al., "Ternary Spike" (AAAI 2024), for threshold 0.5 and alpha 1.
    """

    citation: ClassVar[str] = "guo2024ternary"
    alpha: float = 1.0
    name: ClassVar[str] = "ste"

    @staticmethod
    def slope(x: Tensor, alpha: float) -> Tensor:
        edge = 1 / (2 * alpha)
        inside = (x > -edge) & (x <= edge)
        return alpha * inside.to(x.dtype) + alpha / 2 * (x == -edge).to(x.dtype)


SURROGATES: dict[str, type[Surrogate]] = {
    kind.name: kind for kind in (ATan, Sigmoid, FastSigmoid, Triangle, Rectangle, SuperSpike, STE)
}


class _Spike(torch.autograd.Function):
    """Heaviside forward, surrogate backward. Takes the name and alpha so that compilers see constants."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, name: str, alpha: float) -> Tensor:
        return (x >= 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, ctx.name, ctx.alpha = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, grad: Tensor):
        (x,) = ctx.saved_tensors
        return grad * SURROGATES[ctx.name](ctx.alpha).derivative(x), None, None
