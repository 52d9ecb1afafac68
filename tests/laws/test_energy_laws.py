"""Laws of pricing, for every profile: counting more never costs less, samples and rows add up."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorphic import energy, trace
from neuromorphic.energy import CONVENTIONS, LayerRate
from neuromorphic.energy.conventions import KINDS
from neuromorphic.ledger import Emission, Ledger, ModelInfo, Row
from spikeattn import create_model

PROFILES = energy.profiles()
SUMMED = ("dense", "bias", "left_events", "right_events", "left_units", "right_units", "coincidence")


@cache
def traced() -> Ledger:
    """Convolutions, linear layers, Shiftmax, ternary and graded operands, neurons."""
    torch.manual_seed(0)
    return trace(create_model("spikingformer_digits_2_64", attention="bsa"), torch.rand(2, 1, 8, 8))


def grown(row: Row, factor: int) -> Row:
    """The same operation with every count multiplied; what was seen of its values stays."""
    counts = {name: n * factor for name, n in row.counts.items()}
    words = {name: n * factor for name, n in row.words.items()}
    sides = {side: operand and replace(operand, positive=operand.positive * factor, negative=operand.negative * factor,
                                       numel=operand.numel * factor)
             for side, operand in (("left", row.left), ("right", row.right))}
    return replace(row, counts=counts, words=words, **sides, **{name: getattr(row, name) * factor for name in SUMMED})


def busier(emission: Emission, factor: int) -> Emission:
    spikes = tuple(n * factor for n in emission.positive)
    return replace(emission, positive=spikes, numel=emission.numel * factor)


@pytest.mark.parametrize("profile", PROFILES)
@settings(deadline=None, max_examples=10)
@given(place=st.integers(0, 10_000), factor=st.integers(2, 50))
def test_more_counts_never_cost_less(profile, place, factor):
    ledger = traced()
    index, layer = place % len(ledger.rows), place % len(ledger.emissions)
    rows = tuple(grown(row, factor) if i == index else row for i, row in enumerate(ledger.rows))
    emissions = tuple(busier(e, factor) if i == layer else e for i, e in enumerate(ledger.emissions))
    before = energy.price(ledger, profile)
    for more in (replace(ledger, rows=rows), replace(ledger, emissions=emissions)):
        after = energy.price(more, profile)
        assert after.total_mj >= before.total_mj * (1 - 1e-12)
        assert all(n >= before.unpriced.get(name, 0) for name, n in after.unpriced.items())


@pytest.mark.parametrize("profile", PROFILES)
def test_one_more_spike_never_costs_less(profile):
    """A spike more into each layer of weights, all else equal; some models take ternary spikes for real values."""
    ledger = traced()
    before = energy.price(ledger, profile).total_mj
    for index, row in enumerate(ledger.rows):
        if not row.dense or row.right is not None or row.left.kind not in ("binary", "ternary"):
            continue
        more = replace(row, left=replace(row.left, positive=row.left.positive + 1), left_events=row.left_events + 1)
        rows = (*ledger.rows[:index], more, *ledger.rows[index + 1:])
        after = energy.price(replace(ledger, rows=rows), profile).total_mj
        assert after > before if row.left.kind == "binary" else after >= before


@pytest.mark.parametrize("profile", PROFILES)
def test_a_bill_is_the_sum_of_the_bills_of_its_rows(profile):
    ledger = traced()
    parts = [energy.price(replace(ledger, rows=(row,)), profile).total_mj for row in ledger.rows]
    assert sum(parts) == pytest.approx(energy.price(ledger, profile).total_mj, rel=1e-12)


@pytest.mark.parametrize("profile", PROFILES)
def test_samples_twice_over_cost_the_same_per_sample(profile):
    ledger = traced()
    assert energy.price(ledger + ledger, profile).total_mj == pytest.approx(energy.price(ledger, profile).total_mj)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(list(CONVENTIONS)), st.sampled_from(KINDS), st.integers(0, 10**12), st.integers(0, 10**9),
       st.floats(0, 0.99), st.floats(0, 4))  # fmt: skip
def test_more_flops_or_spikes_never_cost_less_by_any_convention(convention, kind, flops, more, rate, extra):
    def total(flops, rate):
        return energy.published(convention, [LayerRate("x", flops, rate, kind)]).total_mj

    assert total(flops, rate) <= total(flops + more, rate) * (1 + 1e-12)
    higher = min(rate + extra, 0.99)  # at a rate of 1 a strict convention changes its mind
    assert total(flops, rate) <= total(flops, higher) * (1 + 1e-12)


def test_a_ledger_without_rows_costs_nothing():
    empty = Ledger(ModelInfo("net", "Net", 0, 1, ()), samples=1)
    assert all(energy.price(empty, profile).total_mj == 0 for profile in PROFILES)
