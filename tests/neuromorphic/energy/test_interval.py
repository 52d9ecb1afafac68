"""The headline beside everything else that could be assumed; what skipping zeros would save."""

from functools import cache

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.energy import HEADLINE_PROFILE, REUSE, Rule
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row
from spikeattn import create_model


@cache
def traced(name: str = "spikingformer_digits_2_64", attention: str | None = "bsa") -> Ledger:
    torch.manual_seed(0)
    return trace(create_model(name, attention=attention), torch.rand(2, 1, 8, 8))


SOFTMAX = ("vit_digits_2_64", None)


def test_the_headline_is_one_fixed_setting():
    bill = energy.headline(traced())
    assert (bill.profile.name, bill.rule) == ("horowitz45_fp32", Rule())
    assert bill.rule == Rule("one_sided", "mac", "times_T", "shift_add", "valid", False, None, 0.0)
    fixed = energy.interval(traced(), Rule(spike_spike="coincidence")).headline  # whatever rule is asked for
    assert fixed.total_mj == bill.total_mj and fixed.reuse is fixed.memory is None


def test_the_interval_takes_every_verified_profile_and_every_reuse_model():
    span = energy.interval(traced())
    profiles = [energy.load_profile(name) for name in energy.profiles()]
    chosen = [p for p in profiles if p.verified and p.name != "horowitz45_int8"]
    expected = {p.name for p in chosen} | {
        f"{p.name}, {reuse}, {memory}" for p in chosen if p.memory for reuse in REUSE
        for memory in ("horowitz45_dram1300", "horowitz45_dram2600")
    }  # fmt: skip
    assert {setting.name for setting in span.settings} == expected and not span.left_out
    for setting in span.settings:
        profile = energy.load_profile(setting.profile)
        if setting.memory:
            profile = energy.with_memory(profile, setting.memory)
        bill = energy.price(traced(), profile, reuse=setting.reuse)
        assert (setting.total_mj, setting.lower_bound) == (bill.total_mj, bill.lower_bound)
        assert setting.total_mj <= span.high.total_mj
        assert span.low.total_mj <= setting.total_mj or setting.lower_bound
        if setting.ratio is not None:
            assert setting.ratio == bill.ratio <= span.ratio_high.ratio
            assert span.ratio_low.ratio <= setting.ratio or setting.lower_bound
    assert not span.low.lower_bound and not span.ratio_low.lower_bound
    assert span.low.total_mj < span.headline.total_mj < span.high.total_mj


def test_the_verdict_turns_with_the_setting():
    """The same network beats its dense ANN in the headline, and loses at int8 once every word is moved just once."""
    ratios = {setting.name: setting.ratio for setting in energy.interval(traced()).settings}
    assert ratios["horowitz45_fp32"] < 0.2 and ratios["horowitz45_int8_acc32, ideal, horowitz45_dram1300"] > 1


def test_a_rival_is_priced_in_the_same_setting():
    own, rival = traced(), traced(*SOFTMAX)
    span = energy.interval(own, against=rival)
    for setting in span.settings:
        if setting.reuse == "ideal" and setting.memory == "horowitz45_dram1300":
            expected = energy.price(own, setting.profile, reuse="ideal").total_mj / energy.price(
                rival, setting.profile, reuse="ideal").total_mj  # fmt: skip
            assert setting.ratio == pytest.approx(expected, rel=1e-12)
    assert energy.interval(rival, against=rival).ratio_high.ratio == 1.0


def test_a_table_of_rates_has_arithmetic_only():
    table = energy.published("spikformer", [("stem", 1e6, 1.0, "stem"), ("fc", 1e7, 0.25, "linear")])
    span = energy.interval(table.ledger)
    assert {setting.reuse for setting in span.settings} == {None} and span.headline.ratio is None
    assert span.ratio_low is span.ratio_high is None
    unsized, unpriced = span.left_out
    assert "horowitz45_fp16, ideal; " in unsized and "a table of rates" in unsized
    assert unpriced == "lemaire2022_qualia; lemaire2022_sj: It has a price for nothing that ran."
    assert span.low.total_mj > 0


def test_reuse_is_one_axis():
    found = energy.vary_reuse(traced(), HEADLINE_PROFILE)
    for variation in found:
        reuse = None if variation.setting == "compute only" else variation.setting
        bill = energy.price(traced(), HEADLINE_PROFILE, reuse=reuse)
        assert (variation.total_mj, variation.ann_mj) == (bill.total_mj, bill.ann_mj)
    assert len(found) == 1 + len(REUSE)


class Rectified(nn.Module):
    """8 -> 4 -> 2 with a rectifier, and weights that make exactly half of the hidden units positive."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 4, bias=False), nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([0.3, 0.7, -0.3, -0.7]).view(4, 1).expand(4, 8))

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def test_zero_skipping_is_measured_on_an_ann_that_ran():
    """32 products of the inputs, one of which is 0 (28 left), and 8 of the hidden units, half of them 0."""
    x = torch.linspace(0, 1, 8).unsqueeze(0)
    ledger = trace(Rectified(), x)
    found = energy.zero_skipping(ledger)
    assert found.density == (28 + 4) / 40
    assert found.dense_mj == energy.price(ledger, HEADLINE_PROFILE).total_mj
    assert found.dense_mj - found.skipped_mj == pytest.approx(8 * 4.6e-9)
    int8 = energy.zero_skipping(ledger, "horowitz45_int8_acc32")
    assert int8.dense_mj - int8.skipped_mj == pytest.approx(8 * 0.3e-9)


def test_zero_skipping_without_an_ann_is_a_curve():
    curve = energy.zero_skipping_curve(traced())
    energies = [at.total_mj for at in curve]
    assert [at.density for at in curve] == pytest.approx([n / 10 for n in range(11)])
    assert energies[-1] == pytest.approx(energy.headline(traced()).ann_mj, rel=1e-12)
    steps = [b - a for a, b in zip(energies, energies[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 10)
    with pytest.raises(ValueError, match="densities"):
        energy.zero_skipping_curve(traced(), densities=(1.1,))


def test_zero_skipping_needs_an_ann_and_a_price():
    with pytest.raises(ValueError, match="of an ANN"):
        energy.zero_skipping(traced())
    with pytest.raises(ValueError, match="price MAC"):
        energy.zero_skipping(trace(Rectified(), torch.rand(1, 8)), "loihi1_presilicon")


def test_shiftmax_apart_with_and_without_additions():
    """2 blocks, 4 steps, 4 heads of 16 queries and 16 keys, 45 nm fp32: shift .045, addition and leading one .9."""
    bill = energy.headline(traced())
    cost, maps = energy.shiftmax_cost(bill), 2 * 4 * 4 * 16
    assert cost.shiftmax == pytest.approx(maps * (16 * 0.045 + (15 + 16) * 0.9 + 0.9))
    assert cost.shiftmax_without_adds == pytest.approx(maps * (16 * 0.045 + 0.9))
    assert cost.share == pytest.approx(bill.shiftmax_mj / bill.total_mj)
    pairs = 2 * 4 * 16 * 16 * 64
    assert cost.score_value_shift_only == pytest.approx(pairs * 0.045)
    assert cost.score_value_shift_add == pytest.approx(pairs * 0.945)
    remembered = energy.shiftmax_cost(energy.price(traced(), HEADLINE_PROFILE, reuse="none"))
    assert remembered.shiftmax == pytest.approx(cost.shiftmax)  # arithmetic, whatever memory costs
    assert remembered.score_value_shift_only == pytest.approx(cost.score_value_shift_only)
    assert energy.shiftmax_cost(energy.headline(traced(attention="ssa"))) is None


def test_shiftmax_of_the_worked_example():
    """N = 196, h = 8, T = 4 with int32 words: .406 uJ."""
    rows = 196 * 8 * 4
    counts = {"SHIFT": rows * 196, "ADD": rows * (195 + 196), "LOD": rows}
    ledger = Ledger(ModelInfo("bsa", "BSA", 1, 4, (196, 512)), 1, (Row("attn", "shiftmax", counts=counts),))
    for profile, microjoules in (("horowitz45_int32", 0.406), ("horowitz45_int8", 0.103)):
        assert energy.shiftmax_cost(energy.price(ledger, profile)).shiftmax * 1e-6 == pytest.approx(
            microjoules, abs=5e-4)  # fmt: skip
    maximum = energy.price(ledger, "horowitz45_int32", Rule(row_maximum=True))
    assert energy.shiftmax_cost(maximum).shiftmax * 1e-6 == pytest.approx(0.651, abs=5e-4)


def test_silent_inputs_are_free_already():
    """A layer that saw nothing but zeros costs nothing in the bill: there is nothing left to save."""
    real = Operand(8, 4, 0, smallest=0.1, largest=0.3, integers=False, powers_of_two=False)
    rows = (Row("a", "linear", left=Operand(8, 0, 0), dense=32), Row("b", "linear", left=real, dense=16, left_events=8))
    found = energy.zero_skipping(Ledger(ModelInfo("net", "Net", 48, 1, (8,)), 1, rows))
    assert found.density == 0.5 and found.skipped_mj == pytest.approx(8 * 4.6e-9)
