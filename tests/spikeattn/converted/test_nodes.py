"""Integer nodes: spikes and code words give the same bits, and both are the equation."""

import math

import pytest
import torch

from spikeattn.codings import CODINGS
from spikeattn.converted import NODES, Attention, Conv2d, Encode, Linear, MaxPool2d, Norm, Table, Wire, schedule
from spikeattn.converted.linear import exact_dtype

CODES = [name for name in CODINGS if name != "multi_threshold"]


def words(coding: str, T: int, *shape: int, seed: int = 0) -> torch.Tensor:
    N = CODINGS[coding].levels(T)
    return torch.randint(-N, N + 1, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("coding", CODES)
@pytest.mark.parametrize("T", [1, 2, 4])
def test_encode_sends_the_nearest_code(coding, T):
    threshold = torch.tensor([3, 257, 10001])
    a = torch.randint(-60000, 60000, (50, 3), generator=torch.Generator().manual_seed(T))
    node = Encode(threshold=threshold, coding=coding, timesteps=T)
    planes, n = node(a), node.codes(a)
    assert planes.shape == (T, 50, 3) and planes.abs().max() == 1
    weights = torch.tensor(CODINGS[coding].weights(T)).view(-1, 1, 1)
    assert torch.equal((planes * weights).sum(0), n)
    nearest = torch.sign(a) * ((2 * a.abs() + threshold) // (2 * threshold))
    assert torch.equal(n, nearest.clamp(-node.levels, node.levels))
    assert 0 < int((n.abs() == node.levels).sum()) < n.numel()  # some saturate, not all


@pytest.mark.parametrize("coding", CODES)
def test_linear_on_spikes_is_one_integer_product(coding):
    T, generator = 3, torch.Generator().manual_seed(1)
    weight = torch.randint(-2047, 2048, (5, 7), generator=generator).to(torch.int16)
    bias, shift = torch.arange(5) * 1000, torch.tensor([0, 3, -2, 5, 1])
    n, code = words(coding, T, 2, 4, 7), CODINGS[coding]
    node = Linear(weight=weight, bias=bias, shift=shift, base=code.base, step_sum=7 * 2047,
                  word_sum=7 * 2047 * code.levels(T))
    expected = [[[_shifted(sum(int(weight[o, i]) * int(n[b, t, i]) for i in range(7)) + int(bias[o]), int(shift[o]))
                  for o in range(5)] for t in range(4)] for b in range(2)]
    planes = code.digits(n, T)
    assert node.codes(n).tolist() == expected == node(planes).tolist()
    sums = None
    for plane in planes:
        sums = node.accumulate(sums, plane.unsqueeze(0))
    assert node.finish(sums).tolist() == expected


def _shifted(a: int, shift: int) -> int:
    return (a + 2 ** (shift - 1)) >> shift if shift > 0 else a << -shift


def test_convolution_on_spikes_is_one_integer_product():
    T, code = 4, CODINGS["ternary"]
    weight = torch.randint(-2047, 2048, (6, 2, 3, 3), generator=torch.Generator().manual_seed(2)).to(torch.int16)
    n = torch.randint(-40, 41, (2, 4, 5, 5), generator=torch.Generator().manual_seed(3))
    node = Conv2d(weight=weight, bias=torch.arange(6).view(6, 1, 1), shift=torch.zeros(6, 1, 1, dtype=torch.int64),
                  base=code.base, step_sum=18 * 2047, word_sum=18 * 2047 * 40, stride=[2, 2], padding=[1, 1],
                  dilation=[1, 1], groups=2)
    expected = torch.nn.functional.conv2d(n.double(), weight.double(), torch.arange(6.0).double(), 2, 1, 1, 2).long()
    assert torch.equal(node.codes(n), expected) and torch.equal(node(code.digits(n, T)), expected)


def attention(**changes) -> Attention:
    options = dict(score_shift=torch.tensor([4, 2]), heads=2, base=3, levels=13, normaliser="row5", window=14,
                   fraction=4, causal=False)
    return Attention(**options | changes)


def brute_force(q, k, v, mask, shifts, window, causal) -> list:
    """Exact Shiftmax in Python integers and fractions, without a row factor."""
    from fractions import Fraction

    B, N, D = q.shape
    d, out = D // len(shifts), torch.zeros(B, N, D, dtype=torch.float64)
    for b in range(B):
        for h, s in enumerate(shifts):
            for i in range(N):
                keys = [j for j in range(N) if mask[b, j] and (j <= i or not causal)]
                if not keys:
                    continue
                z = {j: int((q[b, i, h * d:(h + 1) * d] * k[b, j, h * d:(h + 1) * d]).sum()) for j in keys}
                far = {j: (max(z.values()) - z[j] + 2 ** (s - 1)) >> s for j in keys}
                kept = {j: f for j, f in far.items() if f <= window}
                gamma = math.ceil(math.log2(sum(Fraction(1, 2**f) for f in kept.values())))
                for c in range(d):
                    total = sum(Fraction(int(v[b, j, h * d + c]), 2 ** (f + gamma)) for j, f in kept.items())
                    out[b, i, h * d + c] = float(total)
    return out


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_exact_shiftmax(causal):
    q, k, v = (torch.randint(-13, 14, (2, 6, 8), generator=torch.Generator().manual_seed(i)) for i in range(3))
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    node = attention(normaliser="ceil", causal=causal)
    found = node.codes(q, k, v, mask)
    assert torch.equal(found.double() / 2**node.places, brute_force(q, k, v, mask, [4, 2], 14, causal))
    code = next(c for c in CODINGS.values() if c.base == 3)
    planes = [code.digits(x, 3) for x in (q, k, v)]
    assert torch.equal(node(*planes, mask), found)
    sums = None
    for t in range(3):
        sums = node.accumulate(sums, *(plane[t:t + 1] for plane in planes))
    assert torch.equal(node.finish(sums, mask), found)


@pytest.mark.parametrize(("normaliser", "low", "high"), [("ceil", 0.5, 1.0), ("row5", 0.898, 1.094)])
def test_attention_row_sums_stay_in_their_interval(normaliser, low, high):
    q, k = (torch.randint(-13, 14, (4, 16, 8), generator=torch.Generator().manual_seed(i)) for i in (5, 6))
    node = attention(normaliser=normaliser)
    sums = node.codes(q, k, torch.ones_like(q)).double() / 2**node.places
    assert low < sums.min() and sums.max() <= high and sums.unique().numel() > 5


def test_attention_without_keys_gives_zero_and_refuses_too_many():
    x = torch.ones(1, 3, 8, dtype=torch.int64)
    assert attention().codes(x, x, x, torch.zeros(1, 3)).abs().max() == 0
    with pytest.raises(ValueError, match="at most 2 keys"):
        attention(fraction=1).codes(x, x, x)


def test_sums_must_have_a_float_of_their_own():
    assert exact_dtype(2**24 - 1) == torch.float32 and exact_dtype(2**24) == torch.float64
    with pytest.raises(ValueError, match="below 2\\*\\*53"):
        exact_dtype(2**53)


def test_norm_and_table_follow_their_functions():
    x = torch.randn(64, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    a = torch.round(x / 2**-16).long()
    norm = Norm.of(torch.ones(32), torch.zeros(32), eps=1e-5, unit=2**-16, grid=2**-14, bits=4, largest=2**22)
    y = norm(a) * 2**-14
    expected = torch.nn.functional.layer_norm(a * 2.0**-16, (32,))
    assert ((y - expected).abs() <= expected.abs() / 32 + 1e-3).all() and not torch.equal(y, expected)
    table = Table.of("gelu", unit=2**-16, largest=float(x.abs().max()), grid=2**-14, bits=12)
    grid = table.input_unit / 2 * 1.13 + 2**-15
    assert (table(a) * 2**-14 - torch.nn.functional.gelu(a * 2.0**-16)).abs().max() <= grid


def test_max_pool_takes_integers_to_integers():
    x = torch.randint(-9, -1, (1, 2, 4, 4))
    pooled = MaxPool2d(kernel_size=[3, 3], stride=[2, 2], padding=[1, 1])(x)
    expected = torch.nn.functional.max_pool2d(x.double(), 3, 2, 1).long()
    assert pooled.dtype == torch.int64 and torch.equal(pooled, expected)


def test_every_node_is_registered_under_its_name():
    assert all(NODES[name].__name__ == name for name in NODES) and len(NODES) > 20


def test_a_code_is_sent_once():
    encode = Encode(threshold=torch.tensor(3), coding=CODES[0], timesteps=2)
    second = Encode(threshold=torch.tensor(3), coding=CODES[0], timesteps=2)
    one = dict(weight=torch.ones(1, 1, dtype=torch.int16), bias=torch.zeros(1), shift=torch.zeros(1), base=3,
               step_sum=1, word_sum=4)
    wires = [Wire("c", encode, ("x",)), Wire("a", Linear(**one), ("c",)), Wire("d", second, ("a",)),
             Wire("b", Linear(**one), ("d",))]
    found = schedule(wires)
    assert found.stages == 2 and found.period == {"c": 0, "d": 1}
    with pytest.raises(ValueError, match="one stage"):
        schedule([*wires, Wire("e", Linear(**one), ("c", "d"))])
