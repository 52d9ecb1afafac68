"""Every code against plain Python integers: exact words, stated bounds, stated numbers of spikes."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.codings import (
    CODINGS,
    DEFAULT,
    BalancedTernary,
    MultiThreshold,
    NonAdjacentForm,
    Rate,
    SignedBinary,
    StBif,
    check_thresholds,
    decode,
    quantise_real,
    st_bif_step,
)

STEPS = range(1, 9)
WORDS = {
    "ternary": (3, {1: "00+", 2: "0+-", 5: "+--", 7: "+-+", 13: "+++", -4: "0--"}),
    "signed_binary": (3, {1: "0+-", 2: "+-0", 3: "+-+", 5: "++-", 7: "+++", -6: "--0"}),
    "naf": (4, {1: "000+", 3: "0+0-", 5: "0+0+", 6: "+0-0", 7: "+00-", 10: "+0+0", -9: "-00-"}),
    "rate": (4, {1: "0+00", 2: "+0+0", 3: "++0+", -4: "----"}),
    "st_bif": (4, {1: "+000", 3: "+++0", -2: "--00"}),
}
LEVELS = {
    "rate": [1, 2, 3, 4, 5, 6, 7, 8],
    "st_bif": [1, 2, 3, 4, 5, 6, 7, 8],
    "signed_binary": [1, 3, 7, 15, 31, 63, 127, 255],
    "naf": [1, 2, 5, 10, 21, 42, 85, 170],
    "ternary": [1, 4, 13, 40, 121, 364, 1093, 3280],
    "multi_threshold": [128] * 8,
}
every_code = pytest.mark.parametrize("code", CODINGS.values(), ids=CODINGS)
unit_codes = pytest.mark.parametrize("code", [c for c in CODINGS.values() if not c.graded],
                                     ids=[c.name for c in CODINGS.values() if not c.graded])
anytime_codes = pytest.mark.parametrize("code", [c for c in CODINGS.values() if c.anytime],
                                        ids=[c.name for c in CODINGS.values() if c.anytime])


def codes(code, T):
    N = code.levels(T)
    return torch.arange(-N, N + 1)


def threshold(value):
    return torch.tensor(value, dtype=torch.int64)


def nearest(a: int, theta: int) -> int:
    """a / theta rounded, halves away from zero, in rationals."""
    whole, rest = divmod(abs(Fraction(a, theta)), 1)
    return (1 if a >= 0 else -1) * (int(whole) + (rest >= Fraction(1, 2)))


def test_the_default_is_balanced_ternary():
    assert DEFAULT == "ternary" and isinstance(CODINGS[DEFAULT], BalancedTernary)
    assert all(name == code.name for name, code in CODINGS.items())


@every_code
def test_levels_grid_and_weights(code):
    assert [code.levels(T) for T in STEPS] == LEVELS[code.name]
    for T in STEPS:
        assert code.grid(T) == Fraction(1, code.levels(T))
        assert code.weights(T) == tuple(code.base ** (T - 1 - t) for t in range(T))
        assert code.graded or code.bound(T) == code.grid(T) / 2


def test_the_grid_of_balanced_ternary():
    for T in STEPS:
        assert BalancedTernary().grid(T) == Fraction(2, 3**T - 1)
        assert BalancedTernary().bound(T) == Fraction(1, 3**T - 1)


@unit_codes
@pytest.mark.parametrize("T", STEPS)
def test_every_code_is_said_exactly_in_unit_spikes(code, T):
    n = codes(code, T)
    word = code.digits(n, T)
    weights = torch.tensor(code.weights(T))
    assert word.dtype == torch.int8 and word.shape == (T, len(n))
    assert torch.equal((weights[:, None] * word).sum(0), n)
    assert torch.equal(decode(word, code.base), n)
    assert set(word.unique().tolist()) == {-1, 0, 1}
    assert torch.equal(code.digits(-n, T), -word)


@pytest.mark.parametrize("k", [1, 4, 5, 8, 10])
@pytest.mark.parametrize("T", STEPS)
def test_multi_threshold_says_a_code_exactly_from_half_its_levels_on(k, T):
    code = MultiThreshold(k)
    n = codes(code, T)
    word = code.digits(n, T)
    said = decode(word, code.base)
    assert set(word.abs().unique().tolist()) <= {0} | {2**j for j in range(k)}
    assert torch.equal(code.digits(-n, T), -word)
    assert torch.equal(said, code.quantise(n, threshold(1), T))
    assert torch.equal(said, n) == (k <= 2 * T)


@pytest.mark.parametrize(("name", "n", "word"), [(name, n, word) for name, (_, words) in WORDS.items()
                                                 for n, word in words.items()])
def test_golden_words(name, n, word):
    T = WORDS[name][0]
    assert [" +-"[s].replace(" ", "0") for s in CODINGS[name].digits(torch.tensor(n), T).tolist()] == list(word)


@pytest.mark.parametrize("T", STEPS)
def test_naf_has_no_two_spikes_in_a_row(T):
    word = CODINGS["naf"].digits(codes(CODINGS["naf"], T), T)
    assert not bool((word[1:] * word[:-1]).any())


@pytest.mark.parametrize(("name", "T", "spikes"), [
    ("signed_binary", 2, 1.43), ("signed_binary", 4, 2.77), ("signed_binary", 5, 3.37), ("signed_binary", 6, 3.92),
    ("signed_binary", 8, 4.97), ("naf", 2, 0.80), ("naf", 4, 1.52), ("naf", 5, 1.91), ("naf", 6, 2.21),
    ("naf", 8, 2.89), ("ternary", 2, 1.33), ("ternary", 4, 2.67), ("ternary", 5, 3.33),
    ("ternary", 6, 4.00), ("ternary", 8, 5.33),
])
def test_mean_number_of_spikes(name, T, spikes):
    code = CODINGS[name]
    word = code.digits(codes(code, T), T)
    assert word.abs().sum(0, dtype=torch.int64).double().mean().item() == pytest.approx(spikes, abs=0.005)


def test_balanced_ternary_spikes_two_thirds_of_the_time():
    for T in STEPS:
        spikes = int(CODINGS["ternary"].digits(codes(BalancedTernary(), T), T).abs().sum(dtype=torch.int64))
        assert 3 * spikes == 2 * T * 3**T


@pytest.mark.parametrize("T", STEPS)
def test_no_radix_two_code_has_fewer_spikes_than_naf(T):
    n = codes(NonAdjacentForm(), T)
    ours = NonAdjacentForm().digits(n, T).abs().sum(0, dtype=torch.int64)
    greedy = SignedBinary().digits(n, T).abs().sum(0, dtype=torch.int64)
    assert bool((ours <= greedy).all()) and (T < 2 or bool((ours < greedy).any()))


@every_code
@pytest.mark.parametrize("theta", [3, 5, 7, 101, 257])
@pytest.mark.parametrize("T", [1, 2, 3, 4])
def test_firing_on_an_accumulator_is_rounding_it(code, theta, T):
    reach = (code.levels(T) + 2) * theta
    a = torch.arange(-reach, reach + 1)
    fired = decode(code.spikes(a, threshold(theta), T), code.base)
    assert torch.equal(fired, code.quantise(a, threshold(theta), T))
    assert fired[0] == -code.levels(T) and fired[-1] == code.levels(T) or code.graded


@unit_codes
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_quantise_is_exact_rounding_and_saturates(code, data):
    T = data.draw(st.integers(1, 8))
    theta = 2 * data.draw(st.integers(0, 2**20)) + 1
    N = code.levels(T)
    a = data.draw(st.integers(-2 * N * theta - 3, 2 * N * theta + 3))
    n = code.quantise(threshold(a), threshold(theta), T).item()
    assert n == max(-N, min(N, nearest(a, theta)))
    assert decode(code.spikes(threshold(a), threshold(theta), T), code.base).item() == n
    if abs(a) > (N + 1) * theta:
        assert abs(n) == N


@every_code
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_error_stays_within_the_bound(code, data):
    """R = N theta in units of the accumulator: |a - theta n| <= bound R."""
    T = data.draw(st.integers(1, 8))
    theta = 2 * data.draw(st.integers(0, 2**20)) + 1
    R = code.levels(T) * theta
    a = torch.tensor(data.draw(st.lists(st.integers(-R, R), min_size=1, max_size=50)))
    n = decode(code.spikes(a, threshold(theta), T), code.base)
    assert int((a - theta * n).abs().max()) <= code.bound(T) * R


@every_code
@pytest.mark.parametrize("T", [1, 2, 4])
def test_the_bound_is_nearly_reached(code, T):
    theta = 257
    R = code.levels(T) * theta
    a = torch.arange(-R, R + 1)
    error = (a - theta * decode(code.spikes(a, threshold(theta), T), code.base)).abs().max()
    assert 0.98 * code.bound(T) * R <= int(error) <= code.bound(T) * R


@pytest.mark.parametrize(("k", "from_step", "floor"), [(4, 2, 0.094), (8, 4, 0.0059)])
def test_multi_threshold_has_a_floor_that_more_steps_do_not_lower(k, from_step, floor):
    code, theta = MultiThreshold(k), 257
    R = code.levels(1) * theta
    a = torch.arange(-R, R + 1)
    errors = [int((a - theta * decode(code.spikes(a, threshold(theta), T), 1)).abs().max()) / R for T in STEPS]
    assert errors[from_step - 2] > 1.3 * errors[from_step - 1]
    assert len(set(errors[from_step - 1:])) == 1
    assert errors[-1] == pytest.approx(floor, rel=0.02)


def test_thresholds_broadcast_by_channel():
    a = torch.randint(-5000, 5000, (3, 4, 5), generator=torch.Generator().manual_seed(0))
    theta = torch.tensor([3, 7, 31, 101, 257])
    for code in CODINGS.values():
        word = code.spikes(a, theta, 3)
        assert word.shape == (3, 3, 4, 5)
        for c in range(5):
            assert torch.equal(word[..., c], code.spikes(a[..., c], theta[c], 3))


@anytime_codes
@pytest.mark.parametrize("T", [1, 2, 3, 5, 8, 16])
def test_a_word_read_early_is_within_its_own_bound(code, T):
    theta = 101
    R = T * theta
    a = torch.arange(-R, R + 1)
    word = code.spikes(a, threshold(theta), T)
    for t in range(1, T + 1):
        said = [code.gain(t, T) * theta * n for n in word[:t].sum(0, dtype=torch.int64).tolist()]
        worst = max(abs(x - y) for x, y in zip(a.tolist(), said, strict=True))
        assert worst <= code.bound_at(t, T) * R
        assert worst >= 0.8 * code.bound_at(t, T) * R or isinstance(code, Rate)
    assert code.bound_at(T, T) == code.bound(T) and code.gain(T, T) == 1


@pytest.mark.parametrize("code", [c for c in CODINGS.values() if not c.anytime], ids=lambda c: c.name)
def test_radix_words_cannot_be_read_early(code):
    with pytest.raises(TypeError, match="read early"):
        code.bound_at(1, 4)


def test_the_rate_neuron_fires_evenly():
    T = 16
    n = codes(Rate(), T)
    so_far = Rate().digits(n, T).cumsum(0, dtype=torch.int64)
    for t in range(1, T + 1):
        assert so_far[t - 1].tolist() == [nearest(int(x) * t, T) for x in n]


@given(st.lists(st.integers(-60, 60), min_size=1, max_size=8), st.integers(1, 12), st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_st_bif_comes_to_rest_at_the_rounded_sum_whatever_the_order(currents, N, theta):
    v = tracer = torch.tensor(0)
    for a in currents + [0] * (sum(map(abs, currents)) + 2 * N + 2):
        _, v, tracer = st_bif_step(v, tracer, a, theta, N)
    assert tracer.item() == max(-N, min(N, nearest(sum(currents), theta)))


def test_st_bif_takes_spikes_back():
    v = tracer = torch.tensor(0)
    said = []
    for a in (12, -9, 0, 0, 0):
        spike, v, tracer = st_bif_step(v, tracer, a, 3, 8)
        said.append(spike.item())
    assert said == [1, 0, 0, 0, 0] and tracer.item() == 1
    for a in (-6, 0, 0):
        spike, v, tracer = st_bif_step(v, tracer, a, 3, 8)
        said.append(spike.item())
    assert said[-3:] == [-1, -1, 0] and tracer.item() == -1


def test_rate_and_st_bif_say_the_same_codes():
    n = codes(Rate(), 6)
    early, even = StBif().digits(n, 6), Rate().digits(n, 6)
    assert torch.equal(decode(early, 1), decode(even, 1)) and not torch.equal(early, even)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.integers(1, 3280), st.integers(-20, 10))
@settings(max_examples=100, deadline=None)
def test_real_values_are_rounded_half_away_from_zero(values, N, exponent):
    n = quantise_real(torch.tensor(values, dtype=torch.float64), 2.0**exponent, N).tolist()
    exact = [Fraction(x) / Fraction(2) ** exponent for x in values]
    assert n == [max(-N, min(N, nearest(x.numerator, x.denominator))) for x in exact]


def test_ternary_in_two_steps_is_rate_in_four():
    """Both have nine levels: the same grid, the same codes, fewer spikes."""
    ternary, rate = BalancedTernary(), Rate()
    assert ternary.grid(2) == rate.grid(4)
    a, theta = torch.arange(-700, 701), threshold(101)
    assert torch.equal(ternary.quantise(a, theta, 2), rate.quantise(a, theta, 4))
    spikes = [code.spikes(a, theta, T).abs().sum(dtype=torch.int64).item() for code, T in ((ternary, 2), (rate, 4))]
    assert spikes[0] < 0.85 * spikes[1]


def test_one_neuron_two_clocks():
    """A shrinking threshold fires what a fixed one fires on a membrane that grows by three: u <- 3 (u - w_1 s)."""
    T, theta = 4, 7
    a = torch.arange(-3**T * theta // 2 + 1, 3**T * theta // 2)
    u, first, word = a, 3 ** (T - 1) * theta, []
    for _ in range(T):
        spike = (2 * u > first).long() - (2 * u < -first).long()
        word.append(spike)
        u = 3 * (u - first * spike)
    assert torch.equal(torch.stack(word), BalancedTernary().spikes(a, threshold(theta), T).long())


def test_torchs_own_rounding_is_another_one():
    halves = torch.tensor([0.5, 2.5, -0.5, -2.5])
    assert quantise_real(halves, 1.0, 9).tolist() == [1, 3, -1, -3] != halves.round().long().tolist()


@pytest.mark.parametrize("theta", [[2], [3, 4], [-3], [0]])
def test_thresholds_must_be_odd_and_positive(theta):
    check_thresholds(torch.tensor([3, 5, 257]))
    with pytest.raises(ValueError, match="odd positive integers"):
        check_thresholds(torch.tensor(theta))


def test_thresholds_must_be_integers():
    with pytest.raises(ValueError, match="odd positive integers"):
        check_thresholds(torch.tensor([3.0]))


def test_an_even_threshold_is_why_thresholds_are_odd():
    """With theta = 4 and T = 3 the ternary neuron and the rounding differ at 10 of 105 accumulators."""
    a = torch.arange(-52, 53)
    fired = decode(BalancedTernary().spikes(a, threshold(4), 3), 3)
    assert int((fired != BalancedTernary().quantise(a, threshold(4), 3)).sum()) == 10


@every_code
@pytest.mark.parametrize("T", [0, -1, 2.0, True])
def test_the_number_of_steps_is_checked(code, T):
    with pytest.raises(ValueError, match="number of steps"):
        code.levels(T)


@pytest.mark.parametrize(("name", "most"), [("ternary", 20), ("signed_binary", 30), ("naf", 30)])
def test_radix_codes_end_where_64_bits_do(name, most):
    code, theta = CODINGS[name], 2**20 + 1
    N = code.levels(most)
    ends = torch.tensor([-N * theta, N * theta, 0])
    assert decode(code.spikes(ends, threshold(theta), most), code.base).tolist() == [-N, N, 0]
    with pytest.raises(ValueError, match=f"from 1 to {most}"):
        code.levels(most + 1)


@pytest.mark.parametrize("k", [0, 16, 2.0])
def test_the_number_of_thresholds_is_checked(k):
    with pytest.raises(ValueError, match="k levels"):
        MultiThreshold(k)
