"""Shiftmax against big integers, and the laws it obeys, all on exponents with Python's own integers."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.ops import shiftmax, shiftmax_exponents
from spikeattn.ops.shiftmax.reference import power_of_two

MASKED = 2**31 - 1


def oracle(row: list[int], keep: list[bool] | None = None, normaliser: str = "ceil") -> list[int]:
    """Exponents of one row by big-integer arithmetic: S * 2**D is a plain Python integer."""
    keep = keep or [True] * len(row)
    seen = [x for x, kept in zip(row, keep, strict=True) if kept]
    if not seen:
        return [MASKED] * len(row)
    spread = max(seen) - min(seen)
    total = sum(1 << (x - min(seen)) for x in seen)
    if normaliser == "ceil":
        power = (total - 1).bit_length()
    else:
        low = total.bit_length() - 1
        power = low + (2 * total >= 3 << low)
    gamma = max(seen) + power - spread
    return [gamma - x if kept else MASKED for x, kept in zip(row, keep, strict=True)]


def exponents(rows, mask=None, **options) -> list[list[int]]:
    return shiftmax_exponents(torch.as_tensor(rows), mask, **options).tolist()


def ternary(x, threshold):
    return torch.sign(x) * (x.abs() >= threshold)


# Families of rows on which floating point fails (and some on which it does not).

def integer_rows(g):
    for keys in (1, 2, 3, 8, 64, 196):
        for reach in (1, 4, 16, 64):
            yield torch.randint(-reach, reach + 1, (20, keys), generator=g)


def equal_maxima(g):
    """2**k equal maxima, and keys so far away that a float sum forgets them."""
    for k in range(6):
        near = torch.zeros(20, 2**k, dtype=torch.int64)
        far = -torch.randint(20, 128, (20, 5), generator=g)
        yield torch.cat([near, far], -1)
        yield near


def tied(g):
    """K = Q, as in trained self-matching."""
    q = ternary(torch.randn(2, 64, 64, generator=g), 0.5)
    yield (q @ q.mT).flatten(0, 1)


def matching_keys(g):
    """One or two keys equal to the query."""
    for copies in (1, 2):
        q = ternary(torch.randn(60, 1, 64, generator=g), 0.5)
        k = ternary(torch.randn(60, 196, 64, generator=g), 0.5)
        k[:, :copies] = q
        yield (q @ k.mT).squeeze(1)


def dominating_key(g):
    for keys in (2, 8, 196):
        rows = torch.randint(-6, 1, (40, keys), generator=g)
        rows[:, 0] = torch.randint(1, 94, (40,), generator=g)
        yield rows


def carry_chains(g):
    """1/2 + 1/4 + ... + 2**-L + 2**-L is exactly 1: the carry runs through every word; then one key more or less."""
    for length in (5, 40, 60, 100, 180):
        chain = [0] + [-j for j in range(1, length + 1)] + [-length]
        shuffled = [chain[i] for i in torch.randperm(len(chain), generator=g).tolist()]
        yield torch.tensor([shuffled])
        yield torch.tensor([[*shuffled, -length - 70]])
        yield torch.tensor([shuffled[:-1]])


def three_halves(g):
    """The threshold of the nearest power of two, met exactly and missed by a hair."""
    for far in (1, 30, 60, 200):
        yield torch.tensor([[0, -1, -far - 1], [0, -2, -2], [0, 0, 0], [0, -2, -3]])
        yield torch.tensor([[0, -2, *range(-3, -far - 3, -1)]])


def wide_spreads(g):
    for far in (60, 200, 1000, 40_000):
        rows = -torch.randint(0, far, (10, 33), generator=g)
        yield rows
        yield torch.cat([rows, torch.full((10, 1), -far), torch.full((10, 1), -far - 1)], -1)


FAMILIES = [integer_rows, equal_maxima, tied, matching_keys, dominating_key, carry_chains, three_halves, wide_spreads]


@pytest.mark.parametrize("normaliser", ["ceil", "round"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_every_row_of_every_family_equals_big_integers(family, normaliser):
    for rows in family(torch.Generator().manual_seed(0)):
        expected = [oracle([int(x) for x in row], normaliser=normaliser) for row in rows]
        assert exponents(rows, normaliser=normaliser) == expected


@pytest.mark.parametrize("family, dtype", [
    (equal_maxima, torch.float32), (tied, torch.float32), (matching_keys, torch.float32),
    (dominating_key, torch.float32), (equal_maxima, torch.float64), (dominating_key, torch.float64),
], ids=lambda part: getattr(part, "__name__", str(part)))
def test_floating_sums_fail_on_these_families(family, dtype):
    """The families bite: a float sum, even with an exact logarithm, gets gamma wrong on some of their rows."""
    wrong = 0
    for rows in family(torch.Generator().manual_seed(0)):
        d = (rows.amax(-1, keepdim=True) - rows).to(dtype)
        fraction, power = torch.frexp(torch.exp2(-d).sum(-1))
        gamma = power - (fraction == 0.5).int()
        exact = shiftmax_exponents(rows) - d.to(torch.int32)
        wrong += int((gamma != exact[:, 0]).sum())
    assert wrong > 10


@pytest.mark.parametrize("normaliser", ["ceil", "round"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_weights_in_floats_are_two_to_the_exponents(family, normaliser):
    """The fast way to the weights takes the very same rows, with and without a mask, and is exact on them."""
    g = torch.Generator().manual_seed(1)
    for rows in family(torch.Generator().manual_seed(0)):
        some = torch.rand(rows.shape, generator=g) > 0.3
        for mask, moved in ((None, rows), (some, rows), (some[:1], rows + 2**25)):
            weights = shiftmax(moved.float(), mask, normaliser=normaliser)
            n = shiftmax_exponents(moved.float(), mask, normaliser=normaliser)
            assert torch.equal(weights, power_of_two(n, torch.float32))


def test_logarithm_in_float32_fails_just_above_a_power_of_two():
    row = torch.tensor([0] * 256 + [-15])  # S = 256 (1 + 2**-23), a float32
    total = torch.exp2(row.float()).sum()
    assert float(total) == 256 * (1 + 2**-23)
    assert int(torch.ceil(torch.log2(total))) == 8
    assert exponents(row)[0] == oracle(row.tolist())[0] == 9


def test_largest_int64_scores():
    low, high = -(2**63), 2**63 - 1
    far = 2**31 - 2  # where exponents saturate
    assert exponents([[high, low]]) == [[1, far]]
    assert exponents([[high, high, low]]) == [[2, 2, far]]
    assert exponents([[low, low]]) == [[1, 1]]
    assert exponents([[high, high - 3, low, low + 1]]) == [[1, 4, far, far]]
    assert shiftmax(torch.tensor([high, low])).tolist() == [0.5, 0.0]


rows = st.lists(st.integers(-150, 150), min_size=1, max_size=40)
normalisers = st.sampled_from(["ceil", "round"])
quick = settings(max_examples=60, deadline=None)


@quick
@given(rows, normalisers)
def test_equals_the_definition(row, normaliser):
    assert exponents(row, normaliser=normaliser) == oracle(row, normaliser=normaliser)


@quick
@given(rows)
def test_mass_is_above_one_half_and_at_most_one(row):
    mass = sum(Fraction(1, 2**n) for n in exponents(row))
    assert Fraction(1, 2) < mass <= 1


@quick
@given(rows)
def test_mass_of_the_nearest_power(row):
    mass = sum(Fraction(1, 2**n) for n in exponents(row, normaliser="round"))
    assert Fraction(3, 4) <= mass < Fraction(3, 2)


@quick
@given(rows)
def test_no_weight_above_one_half_with_two_keys(row):
    assert min(exponents(row)) >= (1 if len(row) > 1 else 0)
    if len(row) == 1:
        assert exponents(row) == [0]


@quick
@given(rows, st.integers(-(2**40), 2**40), normalisers)
def test_invariant_under_integer_shifts(row, shift, normaliser):
    moved = [x + shift for x in row]
    assert exponents(moved, normaliser=normaliser) == exponents(row, normaliser=normaliser)


@quick
@given(rows, st.randoms(use_true_random=False), normalisers)
def test_permutation_equivariant(row, random, normaliser):
    order = random.sample(range(len(row)), len(row))
    n = exponents(row, normaliser=normaliser)
    assert exponents([row[i] for i in order], normaliser=normaliser) == [n[i] for i in order]


@quick
@given(rows)
def test_is_base_two_softmax_shrunk_by_less_than_two(row):
    """y = p * 2**-delta with one 0 <= delta < 1 for the whole row, p the base-2 softmax."""
    total = sum(Fraction(2) ** x for x in row)
    ratios = {Fraction(1, 2**n) / (Fraction(2) ** x / total) for x, n in zip(row, exponents(row), strict=True)}
    (shrink,) = ratios
    assert Fraction(1, 2) < shrink <= 1


@pytest.mark.parametrize("keys", [1, 2, 3, 64, 65, 196, 1000])
def test_silent_query_attends_uniformly(keys):
    assert exponents([0] * keys) == [(keys - 1).bit_length()] * keys


masked_rows = st.lists(st.tuples(st.integers(-150, 150), st.booleans()), min_size=1, max_size=30)


@quick
@given(masked_rows, normalisers)
def test_masked_key_is_a_deleted_key(pairs, normaliser):
    row, keep = [x for x, _ in pairs], [kept for _, kept in pairs]
    n = exponents(row, torch.tensor(keep), normaliser=normaliser)
    assert n == oracle(row, keep, normaliser)
    assert all(m == MASKED for m, kept in zip(n, keep, strict=True) if not kept)
    if any(keep):
        deleted = exponents([x for x, kept in pairs if kept], normaliser=normaliser)
        assert [m for m, kept in zip(n, keep, strict=True) if kept] == deleted


@quick
@given(masked_rows)
def test_masked_keys_in_rows_of_many_words(pairs):
    row, keep = [700 * x for x, _ in pairs], [kept for _, kept in pairs]
    assert exponents(row, torch.tensor(keep)) == oracle(row, keep)


def test_causal_row_sees_its_prefix_only():
    scores = torch.randint(-20, 21, (7, 7), generator=torch.Generator().manual_seed(0))
    causal = torch.ones(7, 7, dtype=torch.bool).tril()
    later = scores + 50 * torch.ones(7, 7, dtype=torch.int64).triu(1)
    n = shiftmax_exponents(scores, causal)
    assert torch.equal(n, shiftmax_exponents(later, causal))
    assert n[0].tolist() == [0] + [MASKED] * 6
    for i in range(7):
        assert n[i, : i + 1].tolist() == oracle(scores[i, : i + 1].tolist())
    assert (shiftmax(scores, causal)[~causal] == 0).all()
