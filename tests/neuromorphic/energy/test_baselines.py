"""Own layers as a dense ANN, by hand."""

import dataclasses

import pytest
import torch

from neuromorphic import energy, trace
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row
from spikeattn import create_model

SPIKES = Operand(64, 16, 0, smallest=1.0, largest=1.0)
LAYER = Row("fc", "linear", steps=4, left=SPIKES, dense=4000, bias=40, left_events=1000)
HEAD = Row("head", "linear", left=SPIKES, dense=100, left_events=10, order=1)
NEURON = Row("n", "neuron", steps=4, counts={"ADD": 999}, order=2)


def ledger(T=4, samples=2):
    return Ledger(ModelInfo("net", "Net", 10, T, (8,)), samples, (LAYER, HEAD, NEURON))


def test_by_hand():
    """1000 + 100 MACs and 10 bias additions over two samples; the neurons of the spiking network are no part of it."""
    found = {b.name: b.total_mj * 1e9 for b in energy.baselines(ledger())}
    assert found == pytest.approx({
        "fp32": (1100 * 4.6 + 10 * 0.9) / 2, "fp16": (1100 * 1.5 + 10 * 0.4) / 2, "int8": (1100 * 0.3 + 10 * 0.1) / 2,
        "3-bit": (1100 * (0.2 * 9 / 64 + 0.1) + 10 * 0.1) / 2,
    })  # fmt: skip


def test_only_our_own_prices_are_flagged():
    found = energy.baselines(ledger())
    assert [b.profile.verified for b in found] == [True, True, True, False]
    assert ["not verified" in b.title for b in found] == [False, False, False, True]
    assert all(b.title.startswith(f"same layers as a dense ANN, {b.name}") for b in found)
    assert "our estimate" in found[-1].profile.source


def test_fewer_bits_cost_less():
    mac = [energy.quantised_profile(bits).pj("MAC") for bits in range(1, 9)]
    assert mac == sorted(mac) and len(set(mac)) == 8 and mac[0] > 0.1 and mac[-1] == pytest.approx(0.3)


@pytest.mark.parametrize(("T", "names"), [(1, ["1-bit"]), (4, ["3-bit"]), (255, ["8-bit"]), (256, [])])
def test_levels_of_T_steps(T, names):
    assert [b.name for b in energy.baselines(ledger(T))][3:] == names


def test_bits_and_steps_are_checked():
    with pytest.raises(ValueError, match="bits must lie in 1 to 8"):
        energy.quantised_profile(9)
    with pytest.raises(ValueError, match="timesteps must be at least 1"):
        energy.bits_for(0)


def test_the_fp32_baseline_is_the_dense_self_of_the_bill():
    torch.manual_seed(0)
    found = trace(create_model("spikingformer_digits_2_64"), torch.rand(2, 1, 8, 8))
    for baseline in energy.baselines(found)[:3]:
        assert baseline.total_mj == energy.price(found, baseline.profile).ann_mj > 0
    fewer = dataclasses.replace(found, rows=found.rows[:1])
    assert energy.baselines(fewer)[0].total_mj < energy.baselines(found)[0].total_mj


@pytest.mark.parametrize("reuse", energy.REUSE)
def test_baselines_are_charged_for_memory_by_the_same_reuse_model(reuse):
    """Narrower words in smaller memories; but int8 adds up in 32 bits, and fp16 in 16."""
    torch.manual_seed(0)
    ledger = trace(create_model("spikingformer_digits_2_64"), torch.rand(2, 1, 8, 8))
    found = {baseline.name: baseline.total_mj for baseline in energy.baselines(ledger, reuse)}
    for name, profile in (("fp32", "horowitz45_fp32"), ("int8", "horowitz45_int8_acc32")):
        assert found[name] == pytest.approx(energy.price(ledger, profile, reuse=reuse).ann_mj, rel=1e-12)
    assert found["fp32"] > found["fp16"] and found["fp32"] > found["int8"] > found["3-bit"]
    assert (found["fp16"] > found["int8"]) == (reuse != "weight_stationary")
    assert all(found[b.name] > b.total_mj for b in energy.baselines(ledger))
