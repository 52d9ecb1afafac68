"""Bills by hand, laws of pricing, profiles as data, and the break-even arithmetic."""

import dataclasses
from math import fsum

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.energy import CLASSES, MEANING, Rule
from neuromorphic.ledger import Coverage, Ledger, ModelInfo, Operand, Row, Touch
from spikeattn import create_model

MODEL = ModelInfo("net", "Net", 10, 2, (8,))
SPIKES = Operand(100, 20, 5, smallest=1.0, largest=1.0)
REAL = Operand(100, 90, 5, smallest=0.1, largest=0.7, integers=False, powers_of_two=False)
SHIFTS = Operand(100, 95, 0, smallest=0.125, largest=0.5, integers=False, declared="pow2")  # Shiftmax weights


def ledger(*rows: Row, samples: int = 1, coverage: Coverage = Coverage()) -> Ledger:  # noqa: B008 - frozen
    return Ledger(MODEL, samples, tuple(dataclasses.replace(r, order=i) for i, r in enumerate(rows)), (), coverage)


def product(scope="fc", **evidence) -> Row:
    return Row(scope, "linear", steps=2, **({"left": SPIKES, "dense": 400, "left_events": 100, "right_events": 400,
                                             "coincidence": 100} | evidence))  # fmt: skip


def test_a_bill_by_hand():
    real = product("stem", left=REAL, left_events=380, bias=40)
    neuron = Row("n", "neuron", steps=2, counts={"ADD": 10, "CMP": 10, "SHIFT": 10})
    bill = energy.price(ledger(real, product(), neuron, samples=4), "horowitz45_fp32")
    assert bill.counts == {"ADD": 50, "MAC": 400, "AC": 100, "CMP": 10, "SHIFT": 10}
    picojoules = {"MAC": 400 * 4.6, "AC": 100 * 0.9, "ADD": 50 * 0.9, "CMP": 10 * 0.9, "SHIFT": 10 * 0.045}
    assert bill.by_class == pytest.approx({name: pj / 4 * 1e-9 for name, pj in picojoules.items()})
    assert bill.total_mj == pytest.approx(sum(picojoules.values()) / 4 * 1e-9)
    assert list(bill.by_layer) == ["stem", "fc", "n"]
    assert bill.by_layer["fc"] == pytest.approx(90 / 4 * 1e-9)
    assert bill.by_layer_class["stem", "ADD"] == pytest.approx(36 / 4 * 1e-9)
    assert bill.by_op["linear"] == pytest.approx((1840 + 36 + 90) / 4 * 1e-9)
    # the same layers as an ANN: one step of the two, every term a MAC, and the biases
    assert bill.ann_mj == pytest.approx((2 * 200 * 4.6 + 20 * 0.9) / 4 * 1e-9)
    assert bill.ratio == pytest.approx(bill.total_mj / bill.ann_mj)
    assert not bill.lower_bound and bill.unpriced == {}
    assert bill.unverified == {"SHIFT": pytest.approx(0.45 / 4 * 1e-9)}


def test_alternatives_are_single_changes_of_the_rule():
    spikes = Row("qk", "matmul", left=SPIKES, right=SPIKES, dense=400, left_events=100, right_events=120,
                 coincidence=30)  # fmt: skip
    shift = Row("av", "score_value", left=SHIFTS, right=REAL, dense=400,
                left_events=400, right_events=380)  # fmt: skip
    graded = product(left=dataclasses.replace(SPIKES, largest=3.0), left_units=170)
    bill = energy.price(ledger(spikes, shift, graded), "horowitz45_fp32")
    base = 100 * 0.9 + 400 * (0.045 + 0.9) + 100 * 4.6
    assert bill.total_mj == pytest.approx(base * 1e-9)
    expected = {
        "shift_accounting=shift_only": base - 400 * 0.9,
        "spike_spike=coincidence": base - 70 * 0.9,
        "spike_spike=dense": base + 300 * 0.9,
        "graded=unit_ac": base - 100 * 4.6 + 170 * 0.9,
        "first_conv=once": base,
        "taps=padded": base,
    }
    assert bill.alternatives == pytest.approx({name: pj * 1e-9 for name, pj in expected.items()})
    assert bill.score_value_mj == pytest.approx(400 * 0.945e-9)


def test_a_class_without_a_price_shows_and_the_total_is_a_lower_bound():
    profile = energy.load_profile("horowitz45_fp32")
    whole = Row("x", "elementwise", counts=dict.fromkeys((c for c in CLASSES if c in profile.prices), 7))
    for name in profile.prices:
        poorer = dataclasses.replace(profile, prices={c: p for c, p in profile.prices.items() if c != name})
        bill = energy.price(ledger(whole), poorer)
        assert bill.unpriced == {name: 7} and bill.lower_bound
        assert bill.total_mj < energy.price(ledger(whole), profile).total_mj


def test_an_uncovered_operation_makes_a_lower_bound():
    uncovered = Coverage(uncovered=(Touch("aten::lu", "", 1, 1),))
    bill = energy.price(ledger(product(), coverage=uncovered), "horowitz45_fp32")
    assert bill.lower_bound and not bill.unpriced


HOROWITZ = [name for name in energy.profiles() if name.startswith("horowitz45")]


@pytest.mark.parametrize("name", HOROWITZ)
def test_horowitz_profiles(name):
    profile = energy.load_profile(name)
    pj = profile.pj
    assert profile.name == name and profile.node_nm == 45 and profile.verified
    assert pj("MAC") == pytest.approx(pj("MUL") + pj("ADD")) and pj("AC") == pj("ADD") == pj("CMP")
    assert pj("BUTTERFLY") == pytest.approx(4 * pj("MUL") + 6 * pj("ADD"))
    assert pj("EXP") == pytest.approx(4 * pj("MUL") + 10 * pj("ADD")) and profile.prices["EXP"].strategy
    assert pj("DIV") == pytest.approx(7.1 * pj("MUL"), rel=2e-3)
    assert all(price.source for price in profile.prices.values())


def test_prices_of_the_literature():
    found = {n: (energy.load_profile(n).pj("MAC"), energy.load_profile(n).pj("AC")) for n in HOROWITZ}
    assert found == {
        "horowitz45_fp32": (4.6, 0.9), "horowitz45_fp16": (1.5, 0.4),
        "horowitz45_int8_acc32": (0.3, 0.1), "horowitz45_int32": (3.2, 0.1), "horowitz45_int8": (0.23, 0.03),
    }  # fmt: skip


def test_every_class_has_a_meaning():
    assert set(MEANING) == set(CLASSES)


TOML = """
name = "mine"
title = "mine, 8 bit"
node_nm = 28
date = "2025-01"
source = "data sheet"
verified = false
[prices.MAC]
pj = 2
source = "table 3"
verified = true
"""


def test_a_profile_of_the_user(tmp_path):
    (tmp_path / "mine.toml").write_text(TOML)
    real = product(left=REAL)
    assert energy.price(ledger(real), tmp_path / "mine.toml").total_mj == pytest.approx(800e-9)
    assert energy.price(ledger(real), str(tmp_path / "mine.toml")).profile.name == "mine"


@pytest.mark.parametrize(
    "change, text",
    [
        (("pj = 2", "pj = -2"), "not negative"),
        (("pj = 2", "pj = nan"), "finite"),
        (("pj = 2", 'pj = "2"'), "wrong type"),
        (("pj = 2", "pj = true"), "wrong type"),
        (("pj = 2", "picojoule = 2"), "missing .*pj.*unknown .*picojoule"),
        (("[prices.MAC]", "[prices.mac]"), "Did you mean MAC"),
        (("[prices.MAC]", "[costs.MAC]"), "must have prices"),
        (('source = "table 3"\n', ""), "missing .*source"),
        (("node_nm = 28", "node_nm = 28\nvoltage = 1"), "unknown .*voltage"),
        (("node_nm = 28", "node_nm ="), "valid TOML"),
    ],
)
def test_a_bad_profile_is_one_clear_error(tmp_path, change, text):
    (tmp_path / "mine.toml").write_text(TOML.replace(*change))
    with pytest.raises(ValueError, match=text):
        energy.load_profile(tmp_path / "mine.toml")


def test_unknown_profiles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Did you mean horowitz45_fp32"):
        energy.load_profile("horowitz_fp32")
    with pytest.raises(ValueError, match="readable"):
        energy.load_profile(tmp_path / "none.toml")
    with pytest.raises(TypeError, match="Profile, a name or a path"):
        energy.load_profile(3)
    with pytest.raises(TypeError, match="trace"):
        energy.price({}, "horowitz45_fp32")


def test_break_even_in_closed_form():
    found = {name: round(energy.break_even(name) / 4, 2) for name in HOROWITZ}
    assert found == {
        "horowitz45_fp32": 1.28, "horowitz45_fp16": 0.94, "horowitz45_int8_acc32": 0.75, "horowitz45_int32": 8.0,
        "horowitz45_int8": 1.92,
    }  # fmt: skip
    points = energy.curve("horowitz45_fp16", [0.0, 0.5, 3.75 / 2], timesteps=2)
    assert [p.spikes for p in points] == [0.0, 1.0, 3.75]
    assert [p.ratio for p in points] == pytest.approx([0.0, 1 / 3.75, 1.0])
    with pytest.raises(ValueError, match="MAC and AC"):
        energy.break_even(dataclasses.replace(energy.load_profile("horowitz45_fp32"), prices={}))


def test_operating_point_weights_rates_by_operations():
    one = product(dense=400, left_events=100, bias=50)
    other = product("fc2", dense=1200, left_events=60, right_events=1200, coincidence=60)
    stem = product("stem", left=REAL, dense=5000)
    assert energy.firing(ledger(one, other, stem)) == 160 / 1600
    point = energy.operating_point(ledger(one, other, stem), "horowitz45_fp32")
    assert (point.spikes, point.ratio) == (0.2, pytest.approx(0.2 * 0.9 / 4.6))
    assert energy.firing(ledger(stem)) == 0.0


spike_lists = st.lists(st.integers(-1, 1), min_size=24, max_size=24)


@settings(deadline=None, max_examples=15)
@given(spike_lists, st.integers(0, 23), st.sampled_from(["one_sided", "coincidence"]))
def test_one_more_spike_never_costs_less(values, place, spike_spike):
    class Score(nn.Module):
        def forward(self, x):
            return x @ x.mT

    def total(spikes):
        found = trace(Score(), torch.tensor(spikes, dtype=torch.float32).view(1, 4, 6))
        return energy.price(found, "horowitz45_fp32", Rule(spike_spike=spike_spike)).total_mj

    more = [1 if i == place else v for i, v in enumerate(values)]
    assert total(values) <= total(more)


@settings(deadline=None, max_examples=15)
@given(spike_lists)
def test_coincidence_one_sided_dense_are_ordered(values):
    class Score(nn.Module):
        def forward(self, x):
            return x.view(-1, 3, 4) @ x.view(-1, 4, 3)

    x = torch.tensor(values, dtype=torch.float32).view(2, 12)
    (row,) = trace(Score(), x).rows
    assert row.coincidence <= min(row.left_events, row.right_events) <= row.dense


DEMO = [("spikingformer_digits_2_64", "bsa"), ("spikingformer_digits_2_64", "ssa"), ("vit_digits_2_64", None),
        ("cat_digits_2_64", None)]  # fmt: skip


@pytest.mark.parametrize("name, attention", DEMO)
@pytest.mark.parametrize("profile", HOROWITZ)
def test_demo_models_are_covered_and_priced(name, attention, profile):
    torch.manual_seed(0)
    found = trace(create_model(name, attention=attention), torch.rand(2, 1, 8, 8))
    bill = energy.price(found, profile)
    assert found.coverage.fraction == 1.0 and not found.coverage.uncovered
    assert not bill.lower_bound and bill.total_mj > 0
    for groups in (bill.by_class, bill.by_layer, bill.by_layer_class, bill.by_op):
        assert fsum(groups.values()) == pytest.approx(bill.total_mj, rel=1e-12)
    assert bill.alternatives["shift_accounting=shift_only"] <= bill.total_mj
    if attention == "bsa":
        assert found.model.attention == "bsa" and bill.shiftmax_mj > 0
        assert {e.alphabet for e in found.emissions} == {"binary", "ternary"}


def test_demo_model_by_hand():
    """BSA, two blocks of width 64, 4 heads, 16 tokens, T = 4, MLP ratio 2; stem 1 -> 32 -> 64 on 8 x 8."""
    torch.manual_seed(0)
    model = create_model("spikingformer_digits_2_64", attention="bsa")
    found = trace(model, torch.rand(3, 1, 8, 8))
    T, B, N, D, blocks, ratio = 4, 3, 16, 64, 2, 2
    dense = {op: sum(r.dense for r in found.rows if r.op == op) for op in ("linear", "matmul", "score_value")}
    assert dense["linear"] == T * B * (blocks * N * (4 * D * D + 2 * D * ratio * D) + D * 10)
    assert dense["matmul"] == dense["score_value"] == T * B * blocks * N * N * D
    shiftmax = [r for r in found.rows if r.op == "shiftmax"]
    heads = model.config.heads
    assert sum(r.counts["LOD"] for r in shiftmax) == T * B * blocks * heads * N
    assert sum(r.counts["SHIFT"] for r in shiftmax) == T * B * blocks * heads * N * N
    spikes = {e.scope: sum(e.positive) + sum(e.negative) for e in found.emissions}
    for block in range(blocks):
        for scope, fan_out, neuron in (
            (f"blocks.{block}.attn.proj.linear", D, f"blocks.{block}.attn.attn_neuron"),
            (f"blocks.{block}.attn.q.linear", D, f"blocks.{block}.attn_neuron"),
            (f"blocks.{block}.mlp.fc1.linear", ratio * D, f"blocks.{block}.mlp_neuron"),
        ):
            (row,) = (r for r in found.rows if r.scope == scope and r.dense)
            assert row.left_events == spikes[neuron] * fan_out
