"""Clip ranges against brute force on the values themselves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorphic.convert.histogram import BINS, Histogram
from neuromorphic.convert.ranges import FACTORS, clip_range, quantile, saturated, squared_error

LEVELS = [1, 4, 13, 40, 121, 364]


def brute(x, ranges, levels):
    """Sum of squared errors of each channel, value by value."""
    x, step = x.double().abs(), ranges / levels
    return ((x - step * torch.floor(x / step + 0.5).clamp(max=levels)) ** 2).sum(0)


def heavy(n=4000, channels=12):
    """Values as a network has them: most are small, a few reach far, channels differ in scale."""
    return torch.randn(n, channels) ** 3 * torch.logspace(-1, 1, channels)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.floats(0.03, 1.2), st.integers(0, BINS - 2))
def test_the_error_of_a_bin_is_its_integral(levels, factor, bin):
    """A bin full of evenly spaced values: the closed form is the limit of their sum."""
    width, points = 2.0**-3, 4096
    x = (bin + (torch.arange(points, dtype=torch.float64) + 0.5) / points) * width
    counts = torch.zeros(1, BINS, dtype=torch.int64)
    counts[0, bin] = points
    one = torch.ones(1, dtype=torch.float64)
    h = Histogram(counts, torch.tensor([-3]), torch.zeros(1, dtype=torch.int64), 0 * one, x.max() * one, x.sum() * one)
    ranges = torch.tensor([factor * BINS * width])
    assert float(squared_error(h, ranges, levels)) == pytest.approx(float(brute(x[:, None], ranges, levels)), rel=2e-3,
                                                                    abs=1e-9)  # fmt: skip


@pytest.mark.parametrize("levels", LEVELS)
def test_the_error_of_real_values(levels):
    """A smooth density: what is left is the counting noise inside bins, most where a step is about one bin."""
    x = torch.randn(4000, 12) * torch.logspace(-1, 1, 12)
    h = Histogram.of(x)
    for factor in (1.0, 0.5, 0.1):
        ratio = squared_error(h, factor * h.max, levels) / brute(x, factor * h.max, levels)
        assert (ratio - 1).abs().max() < 0.08 and (ratio.mean() - 1).abs() < 0.01


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("groups", [1, 3, 12])
def test_the_range_found_is_as_good_as_the_best_of_the_sixteen(levels, groups):
    x = heavy()
    found = clip_range(Histogram.of(x), levels, groups=groups, floor=0)
    share = 12 // groups
    largest = x.abs().amax(0).view(groups, share).amax(1).double()
    tried = torch.stack([
        brute(x, (f * largest).repeat_interleave(share), levels).view(groups, share).sum(1) for f in FACTORS
    ])
    got = brute(x, found.values, levels).view(groups, share).sum(1)
    assert (got <= 1.02 * tried.amin(0)).all()
    assert torch.equal(found.values.view(groups, share).amin(1), found.values.view(groups, share).amax(1))


def test_more_levels_clip_less():
    h = Histogram.of(heavy(4000, 1))
    ranges = [float(clip_range(h, n).values) for n in LEVELS]
    assert ranges == sorted(ranges) and ranges[0] < ranges[-1]


def test_max_percentile_and_their_saturation():
    x = heavy()
    h = Histogram.of(x)
    assert torch.equal(clip_range(h, 40, rule="max", floor=0).values, x.abs().amax(0).double())
    assert clip_range(h, 40, rule="max").saturation == 0
    found = clip_range(h, 40, rule="percentile", percentile=99, floor=0)
    exact = torch.quantile(x.abs().double(), 0.99, dim=0)
    assert ((found.values - exact).abs() <= 2 * h.width).all()
    assert found.saturation == pytest.approx(0.01, abs=0.003)
    assert clip_range(h, 40, rule="percentile", percentile=100, floor=0).values.tolist() == h.max.tolist()


def test_saturation_is_that_of_the_values():
    x = heavy()
    h = Histogram.of(x)
    limits = 0.2 * h.max
    counted = (x.abs().double() > limits * (1 + 0.5 / 13)).sum(0)
    assert ((saturated(h, limits, 13) - counted).abs() <= 3 + 0.02 * counted).all()
    whole = clip_range(h, 13, groups=1)
    outside = (x.abs().double() > whole.values * (1 + 0.5 / 13)).double().mean().item()
    assert 0 < whole.saturation == pytest.approx(outside, rel=0.1)


def test_quantile_by_hand():
    """Four zeros and the values 1 to 4: half of them are 0, three quarters do not exceed 2."""
    h = Histogram.of(torch.tensor([[0.0], [0.0], [0.0], [0.0], [1.0], [2.0], [3.0], [4.0]]))
    assert quantile(h, 0.5).item() == 0
    assert quantile(h, 0.75).item() == pytest.approx(2, abs=h.width.item())
    assert quantile(h, 1.0).item() == 4


def test_the_floor_raises_quiet_channels_only():
    x = torch.randn(2000, 4) * torch.tensor([1.0, 8.0, 1e-3, 0.0])
    h = Histogram.of(x)
    found, free = (clip_range(h, 40, floor=f) for f in (0.10, 0))
    assert found.raised.tolist()[2:] == [True, True] and not found.raised[1] and found.floor_share in (0.5, 0.75)
    assert found.values[2:].tolist() == [0.10 * found.tensor] * 2
    assert found.values[1] == free.values[1] and found.tensor == pytest.approx(float(h.max.max()), rel=0.6)
    assert free.raised.tolist() == [False, False, False, True] and free.values[3] > 0
    assert torch.equal(found.step, found.values / 40)


def test_a_channel_of_zeros_adds_no_error():
    x = heavy(100, 2)
    h = Histogram.of(torch.cat([x, torch.zeros(100, 1)], 1))
    assert squared_error(h, torch.tensor([1.0, 1.0, 0.0]), 4)[2] == 0
    assert clip_range(h, 4, groups=1).tensor == clip_range(Histogram.of(x), 4, groups=1).tensor


def test_a_tensor_of_zeros_has_range_one():
    found = clip_range(Histogram.of(torch.zeros(5, 3)), 40)
    assert found.values.tolist() == [1.0, 1.0, 1.0] and found.raised.all() and found.saturation == 0


def test_planted_outliers_starve_one_range_per_tensor():
    """Why ranges are per channel: one loud channel among 32 costs the others most of their levels."""
    x = torch.randn(2000, 32)
    x[:, 7] *= 60
    h = Histogram.of(x)
    others = [i for i in range(32) if i != 7]
    error = {groups: brute(x, clip_range(h, 40, groups=groups).values, 40)[others].sum().item() for groups in (1, 32)}
    assert error[1] > 20 * error[32]


@pytest.mark.parametrize(("bad", "message"), [
    ({"rule": "mean"}, "rule must be one of mse, max, percentile, got 'mean'"),
    ({"levels": 0}, "levels must be at least 1"), ({"floor": 2}, "floor in"), ({"percentile": 0}, "percentile in"),
    ({"groups": 5}, "groups must divide the 12 channels"),
])  # fmt: skip
def test_bad_choices(bad, message):
    with pytest.raises(ValueError, match=message):
        clip_range(Histogram.of(heavy(50)), **({"levels": 4} | bad))
