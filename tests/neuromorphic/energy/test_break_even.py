"""Break-even in closed form: by arithmetic, and how reuse alone moves it over the range of the literature."""

from dataclasses import replace

import pytest

from neuromorphic import energy
from neuromorphic.energy import BreakEven
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row

BYTES = BreakEven(mac=0.23, ac=0.03, operands=2.5, weight=1.25, membrane=2.5)  # 8 KB of SRAM, 16-bit membranes


@pytest.mark.parametrize("mac, ac, rate", [(4.6, 0.9, "1.28"), (1.5, 0.4, "0.94"), (0.3, 0.1, "0.75"),
                                           (0.23, 0.9, "0.064")])  # fmt: skip
def test_by_arithmetic_at_four_steps(mac, ac, rate):
    """fp32, fp16, int8 with int32 accumulators, and an int8 ANN against fp32 accumulates."""
    found = BreakEven(mac, ac).rate(4)
    assert f"{found:.{len(rate) - 2}f}" == rate


@pytest.mark.parametrize("reuse, rate", [
    ((1, 1, 1), "10.9%"), ((16, 1, 1), "1.5%"), ((16, 1, 100), "7.3%"), ((16, 16, 100), "61%"), ((64, 64, 64), "53%"),
])  # fmt: skip
def test_with_memory_at_four_steps(reuse, rate):
    ann, weight, membrane = reuse
    found = replace(BYTES, ann_reuse=ann, weight_reuse=weight, membrane_reuse=membrane)
    assert f"{found.rate(4):.{1 if '.' in rate else 0}%}" == rate


def test_the_closed_form_is_where_both_sides_meet():
    one = replace(BYTES, ann_reuse=16, membrane_reuse=100)
    ann = one.mac + one.operands / 16
    snn = one.spikes * (one.ac + one.weight + 2 * one.membrane / 100)
    assert snn == pytest.approx(ann, rel=1e-14)
    assert BreakEven(4.6, 0.9).spikes == energy.break_even("horowitz45_fp32")


def test_points_of_a_profile():
    points = energy.break_even_points("horowitz45_fp32", 4)
    assert points["arithmetic only"] == energy.break_even("horowitz45_fp32") / 4
    assert points["no reuse"] == pytest.approx((4.6 + 10) / (0.9 + 5 + 10) / 4)  # 32 bits cost 5 pJ in 8 KiB
    assert energy.break_even_points("horowitz45_fp32", 4, "dram")["all 16/16/100"] == pytest.approx(
        (4.6 + 1300 / 16) / (0.9 + 650 / 16 + 1300 / 100) / 4)
    assert set(energy.break_even_points("neuromc28", 4)) == {"arithmetic only"}
    with pytest.raises(ValueError, match="level must be one of sram_8KiB"):
        energy.break_even_points("horowitz45_fp32", 4, "register")


def test_without_reuse_a_synapse_costs_what_the_closed_form_says():
    """Per accumulate: the accumulate, a weight, a partial sum read and written; 40 kB of weights, 40 B of sums."""
    events, T, profile = 1000, 4, energy.load_profile("horowitz45_fp32")
    left = Operand(4000, events // 10, 0, smallest=1.0, largest=1.0)
    row = Row("fc", "linear", steps=T, geometry=(("in", 1000), ("out", 10)), left=left, dense=40_000,
              left_events=events)
    bill = energy.price(Ledger(ModelInfo("net", "Net", 10_000, T, (1000,)), 1, (row,)), profile, reuse="none")
    pj = {level.name: level.pj_per_64bit / 2 for level in profile.memory.levels}  # words of 32 bits
    form = BreakEven(4.6, 0.9, weight=pj["sram_1MiB"], membrane=pj["sram_8KiB"])
    synapses = {"AC", "READ_WEIGHT", "READ_PARTIAL_SUM", "WRITE_PARTIAL_SUM"}
    cleared = T * 10 * pj["sram_8KiB"]  # partial sums are set to zero at each step
    spent = sum(line.total_pj for line in bill.lines if line.operation in synapses)
    assert spent - cleared == pytest.approx(events * form.mac / form.spikes)
