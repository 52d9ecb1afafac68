"""Energies of samples: they add up to the bill, and their intervals hold what they promise."""

import dataclasses
from functools import reduce
from math import fsum, sqrt
from operator import add

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace, trace_each
from neuromorphic.energy.statistics import FEWEST
from spikeattn import create_model

LEVELS = torch.tensor([[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0]]).float()


def test_a_sample_is_priced_with_the_kinds_of_all_samples():
    """Second sample: levels 1 and 2, so the layer's inputs are graded integers and the first one's ones cost MACs."""
    x = torch.stack([LEVELS, 2 * LEVELS + LEVELS.flip(0)])
    found = trace_each(nn.Linear(6, 4, bias=False), x)
    alone = [energy.price(ledger, "horowitz45_fp32").counts for ledger in found]
    assert alone[0] == {"AC": 6 * 4} and alone[1] == {"MAC": int((x[1] != 0).sum()) * 4}
    mj = energy.sample_energies(found, "horowitz45_fp32")
    assert mj == pytest.approx((6 * 4 * 4.6e-9, alone[1]["MAC"] * 4.6e-9))


def test_one_side_is_chosen_for_all_samples():
    """Left is denser in one sample, right in the other; the whole decides for left: 3 + 4 events against 5 + 4."""
    class Product(nn.Module):
        def forward(self, x):
            return x[:, :1] @ x[:, 1:].mT

    x = torch.tensor([[[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], [[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]]).float()
    mj = energy.sample_energies(trace_each(Product(), x), "horowitz45_fp32")
    whole = energy.price(trace(Product(), x), "horowitz45_fp32")
    assert whole.counts == {"AC": 7} and mj == pytest.approx((3 * 0.9e-9, 4 * 0.9e-9))


@pytest.mark.parametrize("profile", ["horowitz45_fp32", "step_mem", "lemaire2022_qualia", "lemaire2022_sj",
                                     "loihi1_presilicon"])
@pytest.mark.parametrize("attention", ["bsa", "ssa"])
def test_the_mean_of_the_samples_is_the_bill(attention, profile):
    torch.manual_seed(0)
    model = create_model("spikingformer_tiny", attention=attention)
    x = torch.rand(3, model.config.in_channels, *model.config.image_size)
    ledger = trace(model, x, per_sample=True)
    bill = energy.price(ledger, profile)
    mj = energy.sample_energies(ledger.per_sample, profile)
    assert len(set(mj)) > 1 and fsum(mj) / 3 == pytest.approx(bill.total_mj, rel=1e-9)
    ann = energy.sample_energies(ledger.per_sample, profile, ann=True)
    assert fsum(ann) / 3 == pytest.approx(bill.ann_mj, rel=1e-12)
    assert sorted(energy.sample_energies(trace_each(model, x), profile)) == pytest.approx(sorted(mj), rel=1e-12)


def test_statistics_by_hand():
    found = energy.describe([1.0, 2.0, 3.0, 6.0])
    assert (found.n, found.mean, found.smallest, found.largest) == (4, 3.0, 1.0, 6.0)
    assert found.sd == pytest.approx(sqrt((4 + 1 + 0 + 9) / 3))
    assert 1.0 <= found.interval.low < 3.0 < found.interval.high <= 6.0
    assert found.relative_half_width == pytest.approx((found.interval.high - found.interval.low) / 2 / 3)
    assert found == energy.describe([1.0, 2.0, 3.0, 6.0])
    assert energy.describe([2.0, 2.0]).interval == energy.Interval(2.0, 2.0)
    assert energy.describe([0.0, 0.0]).relative_half_width == 0.0
    assert energy.describe([-1.0, 1.0]).relative_half_width == float("inf")


def test_the_interval_narrows_as_the_normal_one_does():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).double().add(10).tolist()
    found = energy.describe(values)
    assert found.interval.half_width == pytest.approx(1.96 * found.sd / 20, rel=0.08)
    assert found != energy.describe(values, seed=1) and found.mean == energy.describe(values, seed=1).mean


@pytest.mark.parametrize("skewed", [False, True])
def test_coverage_of_the_interval(skewed):
    """Of 300 data sets of 40 values with mean 1, the 95 % interval holds 1 for nearly 95 %."""
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(300, 40, generator=generator).double()
    data = (drawn * 0.4 - 0.08).exp() if skewed else 1 + 0.3 * drawn  # a log-normal of mean 1
    found = [energy.describe(row.tolist(), resamples=600).interval for row in data]
    held = sum(interval.low <= 1 <= interval.high for interval in found) / 300
    assert 0.90 <= held <= 0.98


def test_coverage_of_the_paired_ratio():
    """b varies by half, a = 0.8 b with a tenth of noise of its own: pairs see the ratio, unpaired samples do not."""
    generator, held, widths = torch.Generator().manual_seed(4), 0, []
    for _ in range(200):
        common, own = torch.randn(2, 40, generator=generator).double()
        b = (0.5 * common).exp()
        a = 0.8 * b * (1 + 0.1 * own)
        found = energy.paired_ratio(a.tolist(), b.tolist(), resamples=600)
        held += found.interval.low <= 0.8 <= found.interval.high
        shuffled = energy.paired_ratio(a.tolist(), b.roll(1).tolist(), resamples=200)
        widths.append(found.interval.half_width / shuffled.interval.half_width)
    assert 0.89 <= held / 200 <= 0.98
    assert sum(widths) / 200 < 0.4


def test_paired_ratio():
    found = energy.paired_ratio([1.0, 2.0, 3.0], [4.0, 4.0, 4.0])
    assert found.ratio == 0.5 and found.n == 3 and found.decided
    assert not energy.paired_ratio([1.0, 3.0, 2.0, 2.0], [3.0, 1.0, 2.0, 2.0]).decided
    with pytest.raises(ValueError, match="got 3 and 2 energies"):
        energy.paired_ratio([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="positive"):
        energy.paired_ratio([1.0, 2.0], [1.0, 0.0])


def test_stopping_rule():
    sure = energy.describe([1.0, 1.01] * 50)
    assert energy.settled(sure) and not energy.settled(sure, within=1e-4)
    assert not energy.settled(energy.describe([1.0, 2.0] * 50))
    assert not energy.settled(dataclasses.replace(sure, n=FEWEST - 1))


def test_checkpoints():
    found = energy.over_checkpoints([2.0, 3.0, 7.0])
    assert (found.mean, found.smallest, found.largest) == (4.0, 2.0, 7.0)
    assert found.sd == pytest.approx(sqrt((4 + 1 + 9) / 2))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")]])
@pytest.mark.parametrize("function", [energy.describe, energy.over_checkpoints])
def test_too_little_to_go_by(function, values):
    with pytest.raises(ValueError, match="at least two finite values"):
        function(values)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="at least one ledger"):
        energy.sample_energies((), "horowitz45_fp32")
    with pytest.raises(ValueError, match="level"):
        energy.describe([1.0, 2.0], level=95)


def test_trace_each_keeps_the_order_of_the_inputs():
    x = torch.eye(5).cumsum(0)
    found = trace_each(nn.Linear(5, 2), [x[:2], (x[2:], torch.zeros(3, dtype=torch.long))])
    assert [ledger.rows[0].left_events for ledger in found] == [2, 4, 6, 8, 10]
    assert [ledger.model.labelled for ledger in found] == [0, 0, 1, 1, 1]
    assert len(trace_each(nn.Linear(5, 2), [x[:2], x[2:]], batches=1)) == 2
    with pytest.raises(TypeError, match="Module"):
        trace_each(torch.relu, x)


@pytest.mark.parametrize("reuse", energy.REUSE)
@pytest.mark.parametrize("ann", [False, True])
def test_samples_with_memory_average_to_the_bill(reuse, ann):
    torch.manual_seed(0)
    ledgers = trace_each(create_model("spikingformer_digits_2_64", attention="bsa"), torch.rand(3, 1, 8, 8))
    each = energy.sample_energies(ledgers, "horowitz45_fp32", energy.Rule(reuse=reuse), ann=ann)
    bill = energy.price(reduce(add, ledgers), "horowitz45_fp32", reuse=reuse)
    assert sum(each) / 3 == pytest.approx(bill.ann_mj if ann else bill.total_mj, rel=1e-9)
