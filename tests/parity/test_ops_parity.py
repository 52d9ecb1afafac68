"""All ops, all implementations: the same meaning, results in fresh memory, and what torch asks of an op."""

import inspect

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from spikeattn.ops import OPS

SIZES = [(1, 1, 1, 1), (2, 3, 5, 7), (3, 17, 16, 33), (2, 8, 64, 32)]  # batch, N, M, d
TORCH_CHECKS = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
INTEGER_VALUED = {"shiftmax", "shiftmax_exponents", "ternary_matmul", "pack", "unpack", "horner",
                  "integer_norm", "integer_rms_norm", "round_shift", "row_factor", "scale_rows", "table_lookup"}


def spikes(g, *shape):
    return torch.randint(-1, 2, shape, generator=g).float()


def currents(g, *shape):
    return torch.randn(shape, generator=g)


def dyadic(g, *shape):
    """Currents in eighths: every membrane of decay 1/2 over a few steps is exact."""
    return torch.randint(-16, 17, shape, generator=g) / 8


def attention_samples(g, batch, n, m, d):
    q, k, v = spikes(g, batch, n, d), spikes(g, batch, m, d), currents(g, batch, m, d + 1)
    some = torch.rand(batch, n, m, generator=g) > 0.5
    for mask, normaliser, gradient in ((None, "ceil", "straight_through"), (some, "round", "detached")):
        yield q, k, v, mask, normaliser, gradient
    k[:, :1] = q[:, :1]  # a key equal to a query: the peaked row
    yield q, k, v.double(), some[:1], "ceil", "straight_through"
    yield 3 * q, 2 * k, v, some, "ceil", "straight_through"  # levels: rows too wide for any float
    yield q.to(torch.int8), k.to(torch.int8), v.bfloat16(), None, "ceil", "straight_through"


def attention_backward_samples(g, batch, n, m, d):
    for q, k, v, *options in attention_samples(g, batch, n, m, d):
        yield currents(g, batch, n, d + 1).to(v.dtype), q, k, v, *options


def shiftmax_samples(g, batch, n, m, d):
    scores = torch.randint(-d, d + 1, (batch, n, m), generator=g)
    scores[..., 0] += 60
    some = torch.rand(batch, 1, m, generator=g) > 0.3
    yield scores, None, "ceil", "straight_through", torch.float32
    yield scores.double(), some, "round", "detached", torch.float64
    yield scores.float(), some, "ceil", "straight_through", torch.float32
    yield scores.float().mT, None, "ceil", "detached", torch.bfloat16
    yield (scores % 9).float(), some, "round", "straight_through", torch.float64


def shiftmax_backward_samples(g, batch, n, m, d):
    weights = torch.exp2(-torch.randint(1, 9, (batch, n, m), generator=g).float())
    for rule in ("straight_through", "detached"):
        yield currents(g, batch, n, m), weights, rule


def lif_samples(g, batch, n, m, d):
    for reset, ternary, kept in (("hard", False, True), ("soft", True, False), ("none", False, True)):
        yield dyadic(g, m, batch, n), dyadic(g, batch, n), 0.5, 1.0, 1.0, reset, ternary, True, "sigmoid", 4.0, kept


def lif_backward_samples(g, batch, n, m, d):
    shape = (m, batch, n)
    for reset, ternary, detached in (("hard", False, True), ("soft", True, True), ("hard", True, False)):
        yield (currents(g, *shape), currents(g, batch, n), spikes(g, *shape), currents(g, *shape),
               0.5, 1.0, 1.0, reset, ternary, detached, "sigmoid", 4.0)


def integers(g, *shape):
    return torch.randint(-(2**12), 2**12, shape, generator=g)


def norm_samples(g, batch, n, m, d):
    table, gamma = torch.randint(2**13, 2**14, (2, 16), generator=g), integers(g, d)
    yield integers(g, batch, n, d), table, gamma, gamma - 5, 1000, 2, 17, 2**12
    yield integers(g, n, batch, d).transpose(0, 1), table[:, :1], gamma, gamma, 0, -3, 9, 2**12


def row_samples(g, batch, n, m, d):
    for normaliser in ("ceil", "ceil_gain", "nearest", "row3", "row5"):
        yield integers(g, batch, n, 1).abs(), normaliser


SAMPLES = {
    "bipolar_attention": attention_samples,
    "bipolar_attention_backward": attention_backward_samples,
    "horner": lambda g, batch, n, m, d: iter(
        [(spikes(g, batch, n, d).to(torch.int8), 3), (spikes(g, batch, n, d), 2), (currents(g, batch, n).double(), 1)]),
    "integer_norm": norm_samples,
    "integer_rms_norm": norm_samples,
    "lif": lif_samples,
    "lif_backward": lif_backward_samples,
    "pack": lambda g, batch, n, m, d: iter([(spikes(g, batch, n, d),), (spikes(g, n, d).to(torch.int8),)]),
    "round_shift": lambda g, batch, n, m, d: iter(
        [(integers(g, batch, n, d), torch.randint(-9, 9, shape, generator=g)) for shape in ((), (d,), (n, 1))]),
    "row_factor": row_samples,
    "scale_rows": lambda g, batch, n, m, d: iter(
        [(integers(g, batch, n, d), torch.full((batch, n, 1), eighths)) for eighths in (8, 14)]),
    "shiftmax": shiftmax_samples,
    "shiftmax_backward": shiftmax_backward_samples,
    "shiftmax_exponents": lambda *size: (sample[:3] for sample in shiftmax_samples(*size)),
    "table_lookup": lambda g, batch, n, m, d: iter(
        [(integers(g, batch, n, d), torch.randint(-2, 9, (d,), generator=g), integers(g, 64), -32)]),
    "ternary_matmul": lambda *size: (sample[:2] for sample in attention_samples(*size)),
    "ternary_matmul_backward": lambda g, batch, n, m, d: iter(
        [(currents(g, batch, n, m), spikes(g, batch, n, d), spikes(g, batch, m, d))]),
    "unpack": lambda g, batch, n, m, d: iter(
        [(*[torch.randint(0, 256, (n, -(-d // 8)), generator=g, dtype=torch.uint8)] * 2, d, torch.float32)]),
}

every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)


def samples(op, sizes=SIZES):
    for size in sizes:
        yield from SAMPLES[op.name](torch.Generator().manual_seed(0), *size)


def results(result) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def test_every_op_has_samples():
    assert {op.name for op in OPS} == SAMPLES.keys()
    assert INTEGER_VALUED.issubset(SAMPLES)


@every_op
def test_every_implementation_means_the_reference(op):
    for args in samples(op):
        expected = results(op.reference(*args))
        for way in op.implementations:
            if way.refuses(*args) is None:
                compare(op, results(way.run(*args)), expected)
        compare(op, results(op(*args)), expected)


def compare(op, ours, expected):
    for our, true in zip(ours, expected, strict=True):
        assert our.dtype == true.dtype and our.shape == true.shape
        if op.name in INTEGER_VALUED or op.name == "lif":  # dyadic membranes: exact as well
            assert torch.equal(our, true)
        else:
            error = (our - true).double().norm() / true.double().norm().clamp(min=1e-30)
            assert error <= 8 * torch.finfo(true.dtype).eps


@every_op
def test_results_are_fresh_and_arguments_untouched(op):
    for args in samples(op):
        before = [arg.clone() if isinstance(arg, Tensor) else arg for arg in args]
        owned = {arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, Tensor) and arg.numel()}
        for way in op.implementations:
            if way.refuses(*args) is None:
                for result in results(way.run(*args)):
                    assert result.numel() == 0 or result.untyped_storage().data_ptr() not in owned
        for arg, old in zip(args, before, strict=True):
            assert torch.equal(arg, old) if isinstance(arg, Tensor) else arg == old


@every_op
def test_fake_results_look_like_the_real_ones(op):
    for args in samples(op):
        with FakeTensorMode() as mode:
            fakes = results(op(*[mode.from_tensor(arg) if isinstance(arg, Tensor) else arg for arg in args]))
        for fake, real in zip(fakes, results(op(*args)), strict=True):
            assert (fake.shape, fake.dtype, fake.stride()) == (real.shape, real.dtype, real.stride())


@every_op
def test_passes_the_checks_of_torch(op):
    for args in samples(op, SIZES[1:2]):
        torch.library.opcheck(op.overload, args, test_utils=TORCH_CHECKS)


@every_op
def test_reference_takes_the_arguments_of_the_schema(op):
    names = [argument.name for argument in op.overload._schema.arguments]
    parameters = inspect.signature(op.reference).parameters.values()
    assert any(p.kind is p.VAR_POSITIONAL for p in parameters) or len(parameters) == len(names)
