"""One assumption at a time, by hand on small ledgers and against real runs of small models."""

import dataclasses

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.energy import Rule
from neuromorphic.energy.bill import Constant, Price, Profile
from neuromorphic.energy.sensitivity import ALPHAS
from neuromorphic.ledger import Emission, Ledger, ModelInfo, Operand, Row
from spikeattn import create_model

FP32 = "horowitz45_fp32"
QUARTER = Operand(100, 20, 5, smallest=1.0, largest=1.0)  # a density of 0.25
TENTH = Operand(100, 10, 0, smallest=1.0, largest=1.0)
REAL = Operand(100, 90, 5, smallest=0.1, largest=0.7, integers=False, powers_of_two=False)
SHIFTS = Operand(100, 95, 0, smallest=0.125, largest=0.5, integers=False, declared="pow2")  # Shiftmax weights
SIZES = (("in", 100), ("out", 4), ("overlap", 3), ("pixels", 25), ("taps", 1))
FC = Row("fc", "linear", steps=2, geometry=SIZES, left=QUARTER, dense=400, left_events=100, right_events=400,
         coincidence=100, bias=8)  # fmt: skip
SCORES = Row("qk", "matmul", steps=2, left=QUARTER, right=TENTH, dense=400, left_events=100, right_events=40,
             coincidence=12)  # fmt: skip
STEM = Row("stem", "conv", steps=2, geometry=SIZES, left=QUARTER, dense=400, left_events=100, coincidence=100,
           reads_input=True)  # fmt: skip
DENSE = Row("real", "linear", steps=2, left=REAL, dense=400, left_events=380)
NEURON = Row("n", "neuron", steps=2, counts={"ADD": 10, "CMP": 10}, words={"membrane_read": 10})


def ledger(*rows: Row, emissions: tuple[Emission, ...] = (), T: int = 2) -> Ledger:
    rows = tuple(dataclasses.replace(row, order=i) for i, row in enumerate(rows))
    return Ledger(ModelInfo("net", "Net", 10, T, (8,)), 1, rows, emissions)


def pj(variations) -> list[float]:
    return [round(v.total_mj * 1e9, 6) for v in variations]


def test_accumulates_are_linear_up_to_density_one():
    found = energy.vary_rate(ledger(FC), FP32, alphas=(0, 0.1, 0.5, 1, 2, 4, 8))
    assert pj(found) == [round(n * 0.9 + 8 * 0.9, 6) for n in (0, 10, 50, 100, 200, 400, 400)]
    assert [v.extrapolated for v in found] == [True, True, True, False, True, True, True]
    assert {round(v.ann_mj * 1e9, 6) for v in found} == {round(200 * 4.6 + 4 * 0.9, 6)}


def test_one_sided_is_linear_and_coincidence_quadratic():
    alphas = (0.5, 1, 2)
    assert pj(energy.vary_rate(ledger(SCORES), FP32, alphas=alphas)) == [18.0, 36.0, 72.0]
    squared = energy.vary_rate(ledger(SCORES), FP32, Rule(spike_spike="coincidence"), alphas)
    assert pj(squared) == [round(12 * a * a * 0.9, 6) for a in alphas]
    dense = energy.vary_rate(ledger(SCORES), FP32, Rule(spike_spike="dense"), alphas)
    assert pj(dense) == [360.0] * 3


def test_coincidences_never_exceed_the_one_sided_count():
    """Fully coincident spikes: 25 pairs of 25 events; at alpha 2 there are 50 events, so no 100 coincidences."""
    row = dataclasses.replace(SCORES, right=QUARTER, left_events=25, right_events=25, coincidence=25)
    found = energy.vary_rate(ledger(row), FP32, Rule(spike_spike="coincidence"), (1, 2))
    assert pj(found) == [22.5, 45.0]


def test_graded_sums_are_driven_and_unrolled_alike():
    row = dataclasses.replace(FC, left=dataclasses.replace(QUARTER, largest=3.0), left_units=170, bias=0)
    assert pj(energy.vary_rate(ledger(row), FP32, alphas=(0.5, 1))) == [230.0, 460.0]
    assert pj(energy.vary_rate(ledger(row), FP32, Rule(graded="unit_ac"), (0.5, 1))) == [76.5, 153.0]


@pytest.mark.parametrize("row", [STEM, DENSE, NEURON])
def test_what_the_rate_does_not_move(row):
    assert len(set(pj(energy.vary_rate(ledger(row), FP32, alphas=(0.1, 1, 2))))) == 1


def test_emissions_follow_the_rate():
    """Qualia's neuron: one addition and one write for each spike; step 2 is full at 10 of 10."""
    price = {name: Price(1.0, "hand", True) for name in ("MAC", "AC")}
    numbers = {"bits": 1.0, "slope_pj_per_bit": 0.0, "intercept_pj": 0.0, "fifo_words": 1.0}
    profile = Profile("hand", "hand", 45, "2025", "hand", True, price, "lemaire_qualia",
                      {name: Constant(value, "", "hand", True) for name, value in numbers.items()})
    fired = Emission("n", "IF", "binary", 10, 20, (2, 8), (0, 0), (2, 8), 0, 0)
    found = energy.vary_rate(ledger(NEURON, emissions=(fired,)), profile, alphas=(0.5, 1, 2))
    assert pj(found) == [5.0, 10.0, 4.0 + 10.0]


def test_every_profile_and_every_rule():
    whole = ledger(FC, SCORES, STEM, NEURON)
    found = energy.vary_profile(whole)
    assert [v.setting for v in found] == energy.profiles()
    for variation in found:
        bill = energy.price(whole, variation.setting)
        assert (variation.total_mj, variation.ann_mj) == (bill.total_mj, bill.ann_mj)
        assert variation.lower_bound == bill.lower_bound and variation.ratio == bill.ratio
    assert len(energy.vary_profile(whole, names=[FP32])) == 1
    rules = {(v.what, v.setting): v.total_mj for v in energy.vary_rule(whole, FP32)}
    assert rules["spike_spike", "dense"] == pytest.approx(energy.price(whole, FP32).total_mj + 360 * 0.9e-9)
    assert {"first_conv", "shift_accounting"} <= {what for what, _ in rules}


def test_first_convolution_once_and_shift_only():
    still = dataclasses.replace(STEM, left=dataclasses.replace(REAL, repeats=True))
    shift = Row("av", "score_value", left=SHIFTS, right=REAL, dense=100,
                left_events=100)  # fmt: skip
    found = {(v.what, v.setting): round(v.total_mj * 1e9, 6) for v in energy.vary_rule(ledger(still, shift), FP32)}
    assert found["first_conv", "once"] == round(200 * 4.6 + 100 * 0.945, 6)
    assert found["shift_accounting", "shift_only"] == round(400 * 4.6 + 100 * 0.045, 6)


def test_stretch_multiplies_what_runs_at_every_step():
    head = Row("head", "linear", steps=1, left=REAL, dense=30, left_events=30)
    once = dataclasses.replace(STEM, scope="stem2", steps=1, left=REAL)
    fired = Emission("n", "IF", "binary", 10, 20, (2, 4), (0, 0), (2, 4), 0, 0)
    own = ledger(FC, NEURON, head, once, emissions=(fired,))
    counts = energy.operation_counts(own)
    assert counts == {"AC": 100, "ADD": 18, "CMP": 10, "MAC": 30 + 2 * 400}
    longer = energy.stretch(own, 8)
    assert energy.operation_counts(longer) == {"AC": 400, "ADD": 72, "CMP": 40, "MAC": 30 + 8 * 400}
    assert energy.firing(longer) == energy.firing(own) and longer.emissions[0].rate == fired.rate
    assert energy.price(longer, FP32).ann_mj == energy.price(own, FP32).ann_mj
    assert energy.price(energy.stretch(own, 2), FP32).total_mj == energy.price(own, FP32).total_mj
    with pytest.raises(ValueError, match="at least 1"):
        energy.stretch(own, 0)


def model_and_pictures(name="spikingformer_tiny", **changes):
    torch.manual_seed(0)
    model = create_model(name, **changes)
    return model, torch.rand(2, model.config.in_channels, *model.config.image_size)


def test_a_model_of_ours_runs_at_every_T():
    model, x = model_and_pictures()
    found = energy.vary_timesteps(model, x, FP32)
    assert [v.setting for v in found] == [1, 2, 4, 8] and not any(v.extrapolated for v in found)
    assert pj(found) == sorted(pj(found))
    for variation in found:
        other, _ = model_and_pictures(timesteps=variation.setting)
        other.load_state_dict(model.state_dict())
        assert variation.total_mj == pytest.approx(energy.price(trace(other, x), FP32).total_mj, rel=1e-12)
    assert len({v.ann_mj for v in found}) == 1


def test_event_frames_are_extrapolated():
    model, x = model_and_pictures()
    frames = torch.rand(4, *x.shape)
    found = energy.vary_timesteps(model, frames, FP32, timesteps=(2, 4, 8))
    assert [v.extrapolated for v in found] == [True, False, True]
    assert found[1].total_mj == energy.price(trace(model, frames), FP32).total_mj
    assert found[0].total_mj < found[1].total_mj < found[2].total_mj


def test_an_ann_has_no_time_steps():
    with pytest.raises(ValueError, match="spiking neurons"):
        energy.vary_timesteps(nn.Linear(4, 2), torch.rand(3, 4), FP32)


@pytest.mark.parametrize("profile", energy.profiles())
@pytest.mark.parametrize("attention", ["bsa", "ssa"])
def test_rates_on_a_real_model(attention, profile):
    model, x = model_and_pictures(attention=attention)
    found = trace(model, x)
    variations = energy.vary_rate(found, profile)
    assert variations[ALPHAS.index(1.0)].total_mj == pytest.approx(
        energy.price(found, profile).total_mj, rel=1e-12)
    totals = [v.total_mj for v in variations]
    assert totals == sorted(totals) and totals[0] < totals[-1]


def test_a_negative_alpha_is_refused():
    with pytest.raises(ValueError, match="alphas must not be negative"):
        energy.vary_rate(ledger(FC), FP32, alphas=(1, -1))


def settings_of(found) -> dict[str, list]:
    """{what: its settings}"""
    axes: dict[str, list] = {}
    for one in found:
        axes.setdefault(one.what, []).append(one.setting)
    return axes


def test_every_assumption_is_moved_in_turn():
    model, x = model_and_pictures(attention="bsa")
    found = energy.vary(trace(model, x), FP32)
    axes = settings_of(found)
    assert set(axes) == {"firing rate", "T", "profile", "reuse", "shift_accounting", "spike_spike", "graded",
                         "first_conv", "taps"}  # fmt: skip
    assert axes["profile"] == energy.profiles() and axes["reuse"] == ["compute only", *energy.REUSE]
    assert axes["firing rate"] == list(ALPHAS) and axes["T"] == [1, 2, 4, 8]
    assert [one.extrapolated for one in found if one.what == "T"] == [model.config.timesteps != T for T in axes["T"]]
    assert {one.extrapolated for one in found if one.what in ("profile", "reuse", "taps")} == {False}


def test_other_steps_are_run_where_a_model_is_given_its_own_among_them():
    model, x = model_and_pictures(timesteps=3)
    found = [one for one in energy.vary(trace(model, x), FP32, model=model, inputs=x) if one.what == "T"]
    assert [one.setting for one in found] == [1, 2, 3, 4, 8] and not any(one.extrapolated for one in found)


def test_an_ann_has_neither_rate_nor_steps():
    model, x = model_and_pictures("vit_tiny")
    axes = settings_of(energy.vary(trace(model, x), FP32))
    assert {"profile", "reuse"} <= set(axes) and not {"firing rate", "T"} & set(axes)


def test_profiles_without_memories_are_left_out_where_memory_is_charged():
    model, x = model_and_pictures()
    chosen = settings_of(energy.vary(trace(model, x), FP32, Rule(reuse="ideal")))["profile"]
    assert chosen == [name for name in energy.profiles() if energy.load_profile(name).memory is not None]
