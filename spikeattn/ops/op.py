"""One op, several implementations, one meaning.

An `Op` is a pure function of tensors registered as `spikeattn::<name>`, so that a compiler keeps it as one
node, an exporter sees it by name and the operation counter recognises it. Its `reference` is the equation;
`faster` implementations may stand in for it wherever they do not refuse. A differentiable op is two ops, one
forward and one backward, joined by a subclass of `Differentiable`:

    def run(x): return 2 * x                                              # reference.py: real tensors only
    def fake(x): return x.new_empty(x.shape)                              # shape, dtype and device, no values

    DOUBLE = Op("double", "(Tensor x) -> Tensor", reference=run, fake=fake)
    DOUBLE_BACKWARD = Op("double_backward", "(Tensor grad) -> Tensor", reference=run, fake=fake)
    double_backward = last_derivative(DOUBLE_BACKWARD)

    class Double(Differentiable):
        op = DOUBLE

        @staticmethod
        def setup_context(ctx, inputs, output): ...                       # save what backward needs

        @staticmethod
        def backward(ctx, grad): return double_backward(grad)

    def double(x): return Double.apply(x)

What may not bend (each was tried on torch 2.13): the forward is a `setup_context` function, or torch.func
refuses it; `vmap` is explicit; there is no `jvp` method, because the compiler refuses a class that has one
and torch's own answer to forward-mode differentiation is already an error; a second derivative is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NAMESPACE = "spikeattn"
_library = torch.library.Library(NAMESPACE, "FRAGMENT")

Result = Tensor | tuple[Tensor, ...]
Batching = Callable[[int, Sequence[int | None], Sequence[Any]], tuple[list[Any], Any]]


def never_refuses(*args) -> None:
    return None


@dataclass(frozen=True)
class Implementation:
    """One way to compute an op.

    run: the op's arguments, in schema order -> its result, in fresh tensors (never an input or a view of one).
    refuses: the same arguments -> why this way cannot take them, or None. It reads device, dtype and shape,
        never values.
    """

    name: str
    run: Callable[..., Result]
    refuses: Callable[..., str | None] = never_refuses


def batch_in_front(size: int, in_dims: Sequence[int | None], args: Sequence[Any]) -> tuple[list[Any], int]:
    """The batching rule of every op that treats leading axes alike: one more leading axis.

    Tensors of fewer axes get ones after the new axis, so that what broadcast before still broadcasts
    against the same axes: scores (V, B, N, M) with a mask (V, N, M) take the mask as (V, 1, N, M).
    """
    rank = max(arg.dim() - (dim is not None)
               for arg, dim in zip(args, in_dims, strict=True) if isinstance(arg, Tensor))

    def align(arg: Any, dim: int | None) -> Any:
        if not isinstance(arg, Tensor):
            return arg
        arg = arg.unsqueeze(0) if dim is None else arg.movedim(dim, 0)
        ones = [1] * (rank - arg.dim() + 1)
        return arg.reshape(arg.shape[0], *ones, *arg.shape[1:]).expand(size, *ones, *arg.shape[1:])

    return [align(arg, dim) for arg, dim in zip(args, in_dims, strict=True)], 0


@dataclass(frozen=True)
class Op:
    """A registered op: `op(*args)` runs the first faster implementation that does not refuse, else the reference.

    name: registered as `spikeattn::<name>`.
    schema: "(Tensor x, str kind) -> (Tensor, Tensor)"; positional arguments only.
    reference: the equation, on real tensors of any device.
    fake: the result's shape, dtype and device without values (`x.new_empty`), for compilers and exporters.
    check: raises ValueError when the values of the arguments are not what the op is defined for. It runs on
        real tensors only, therefore never while compiling, exporting or inside vmap, and hidden from tracers.
    faster: implementations in order of preference.
    batching: how torch.vmap's extra axis is laid out: (size, in_dims, args) -> (args, out_dims).
    """

    name: str
    schema: str
    reference: Callable[..., Result]
    fake: Callable[..., Result]
    check: Callable[..., None] = never_refuses
    faster: tuple[Implementation, ...] = ()
    batching: Batching = batch_in_front
    overload: torch._ops.OpOverload = field(init=False, repr=False)

    def __post_init__(self) -> None:
        qualified = f"{NAMESPACE}::{self.name}"
        _library.define(self.name + self.schema, tags=(torch.Tag.pt2_compliant_tag,))
        _library.impl(self.name, self._compute, "CompositeExplicitAutograd")
        torch.library.register_fake(qualified, self.fake, lib=_library)
        torch.library.register_vmap(qualified, self._vmap, lib=_library)
        object.__setattr__(self, "overload", getattr(getattr(torch.ops, NAMESPACE), self.name).default)

    def __call__(self, *args) -> Result:
        return self.overload(*args)

    @property
    def implementations(self) -> tuple[Implementation, ...]:
        """Every implementation in the order in which they are asked; the reference is last and never refuses."""
        return (*self.faster, Implementation("reference", self.reference))

    def choose(self, *args) -> Implementation:
        """The implementation that these arguments run on."""
        return next(way for way in self.implementations if way.refuses(*args) is None)

    def explain(self, *args) -> str:
        """Which implementation runs on these arguments, and why those asked before it refuse."""
        lines = [f"{NAMESPACE}::{self.name} runs {self.choose(*args).name}"]
        for way in self.implementations:
            reason = way.refuses(*args)
            if reason is None:
                break
            lines.append(f"  {way.name} refuses: {reason}")
        return "\n".join(lines)

    def _compute(self, *args) -> Result:
        device = next(arg.device.type for arg in args if isinstance(arg, Tensor))
        # The caller's autocast would otherwise reach the products inside and round exact integers to bfloat16.
        with torch.autocast(device, enabled=False):
            self.check(*args)
            result = self.choose(*args).run(*args)
        return result.contiguous() if isinstance(result, Tensor) else tuple(t.contiguous() for t in result)

    def _vmap(self, info, in_dims, *args):
        args, out_dims = self.batching(info.batch_size, in_dims, args)
        return self.overload(*args), out_dims


def _forward(op: Op) -> Callable[..., Result]:
    """The op as a `forward` method with the parameters of its schema."""
    overload = op.overload  # the compiler follows a closure over an overload, not one over an Op

    def forward(*args):
        return overload(*args)

    # The compiler counts the parameters of `forward` to tell whether a ctx comes first: *args would be given one.
    names = [argument.name for argument in overload._schema.arguments]
    forward.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])
    return forward


def _with_derivative(function: type[Differentiable]) -> Callable[..., Result]:
    """The kernel for a call of the op itself (an exported program makes such calls): it keeps the derivative."""
    overload = function.op.overload

    def kernel(*args):
        if torch.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            return function.apply(*args)
        with torch._C._AutoDispatchBelowAutograd():
            return overload(*args)

    return kernel


class Differentiable(torch.autograd.Function):
    """An op with its derivative: subclasses set `op` and write setup_context and backward."""

    op: ClassVar[Op]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.forward = staticmethod(_forward(cls.op))
        _library.impl(cls.op.name, _with_derivative(cls), "Autograd")

    @classmethod
    def vmap(cls, info, in_dims, *args):
        args, out_dims = cls.op.batching(info.batch_size, in_dims, args)
        return cls.apply(*args), out_dims


def last_derivative(derivative: Op) -> Callable[..., Result]:
    """A backward op as a function that says so when it is differentiated once more (never a silent zero)."""
    message = (
        f"{NAMESPACE}::{derivative.name}: this op has a first derivative only, got a request for a second. "
        "Differentiate once (create_graph=False)."
    )

    class LastDerivative(Differentiable):
        op = derivative

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, *grads):
            raise NotImplementedError(message)

    return LastDerivative.apply


class _Witness(TorchDispatchMode):
    """Notes how each of our ops that runs explains itself."""

    def __init__(self, ops: dict[torch._ops.OpOverload, Op]):
        super().__init__()
        self.ops, self.explanations = ops, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in self.ops:
            self.explanations.append(self.ops[func].explain(*args))
        return func(*args, **(kwargs or {}))


def explained(*ops: Op) -> Callable[[Callable], Callable]:
    """Gives a public function `.explain(*args, **kwargs)`: it runs once and tells which implementations ran."""

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def explain(*args, **kwargs) -> str:
            with _Witness({op.overload: op for op in ops}) as witness:
                function(*args, **kwargs)
            return "\n".join(witness.explanations)

        function.explain = explain
        return function

    return decorate
