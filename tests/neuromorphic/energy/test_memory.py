"""Memories as data, where a tensor lies, what its words cost, and the laws of bills with memory in them."""

from dataclasses import replace
from functools import cache
from math import fsum

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.energy import REUSE, Rule
from neuromorphic.energy.bill import Constant
from neuromorphic.energy.memory import level_for
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row
from neuromorphic.report import as_report, read, write
from spikeattn import create_model, list_models

FP32 = "horowitz45_fp32"
WITH_MEMORY = [name for name in energy.profiles() if energy.load_profile(name).memory]
KIB = 1024


@cache
def traced(attention: str | None, name: str = "spikingformer_digits_2_64") -> Ledger:
    torch.manual_seed(0)
    return trace(create_model(name, attention=attention), torch.rand(2, 1, 8, 8))


def test_the_memories_are_these():
    loaded = {name: energy.load_memory(name) for name in energy.memories()}
    assert {name: memory.verified for name, memory in loaded.items()} == {
        "horowitz45_dram1300": True, "horowitz45_dram2600": True, "jouppi2021_7nm": False,
    }  # fmt: skip
    for name, dram in (("horowitz45_dram1300", 1300), ("horowitz45_dram2600", 2600)):
        prices = {level.name: level.pj_per_64bit for level in loaded[name].levels}
        assert prices == {"register": 0, "sram_8KiB": 10, "sram_32KiB": 20, "sram_1MiB": 100, "dram": dram}
        assert [level.name for level in loaded[name].levels if not level.verified] == ["register"]
    assert [level.pj_per_64bit for level in loaded["jouppi2021_7nm"].levels] == [0, 7.5, 8.5, 14, 1300]
    assert all(level.source for memory in loaded.values() for level in memory.levels)


def test_every_45_nm_arithmetic_has_its_memory_and_widths():
    assert set(WITH_MEMORY) == {n for n in energy.profiles() if n.startswith("horowitz45")} | {"jouppi2021_7nm"}
    widths = {name: tuple(energy.load_profile(name).word_bits.values()) for name in WITH_MEMORY}
    assert widths["horowitz45_int8_acc32"] == (8, 8, 32) and widths["horowitz45_fp16"] == (16, 16, 16)


@pytest.mark.parametrize("size, level", [
    (1, "sram_8KiB"), (8 * KIB, "sram_8KiB"), (8 * KIB + 1, "sram_32KiB"), (KIB**2, "sram_1MiB"), (KIB**2 + 1, "dram"),
])  # fmt: skip
def test_a_tensor_lies_in_the_smallest_memory_that_holds_it(size, level):
    assert level_for(energy.load_memory("horowitz45_dram1300"), size).name == level


def one_layer(inputs: int, outputs: int) -> Ledger:
    left = Operand(inputs, inputs, 0, smallest=0.1, largest=0.7, integers=False, powers_of_two=False)
    row = Row("fc", "linear", geometry=(("in", inputs), ("out", outputs)), left=left, dense=inputs * outputs)
    return Ledger(ModelInfo("net", "Net", inputs * outputs, 1, (inputs,)), 1, (row,))


@pytest.mark.parametrize("inputs, outputs, pj", [(32, 64, 5.0), (64, 128, 10.0), (512, 512, 50.0), (512, 513, 650.0)])
def test_a_weight_costs_what_its_memory_costs(inputs, outputs, pj):
    """32-bit words are half of 64 bits; 8 KiB hold 2048 weights."""
    bill = energy.price(one_layer(inputs, outputs), FP32, reuse="ideal")
    (line,) = (line for line in bill.lines if line.operation == "READ_WEIGHT")
    assert (line.count, line.pj, line.part) == (inputs * outputs, pj, "memory")
    assert bill.total_mj == pytest.approx(bill.ann_mj, rel=1e-12)  # a dense ANN is its own twin


def test_a_bill_with_memory_by_hand():
    """8 -> 4, all in 8 KiB: 8 + 32 words read, 4 written, 5 pJ each, and 32 MAC."""
    bill = energy.price(one_layer(8, 4), FP32, reuse="ideal")
    assert bill.by_part == pytest.approx({"compute": 32 * 4.6e-9, "memory": 44 * 5e-9})
    assert bill.by_level == pytest.approx({"sram_8KiB": 44 * 5e-9}) and not bill.unverified
    assert bill.by_class == pytest.approx({"MAC": 147.2e-9, "READ_INPUT": 40e-9, "READ_WEIGHT": 160e-9,
                                           "WRITE_OUTPUT": 20e-9})
    assert bill.by_layer_part["fc", "memory"] == pytest.approx(220e-9)
    dearer = energy.price(one_layer(8, 4), energy.with_memory(energy.load_profile(FP32), "jouppi2021_7nm"),
                          reuse="ideal")
    assert dearer.by_part["memory"] == pytest.approx(44 * 3.75e-9)
    assert set(dearer.unverified) == {"READ_INPUT", "READ_WEIGHT", "WRITE_OUTPUT"}


@pytest.mark.parametrize("reuse", REUSE)
@pytest.mark.parametrize("attention", ["bsa", "ssa"])
def test_parts_levels_and_layers_add_up(attention, reuse):
    bill = energy.price(traced(attention), FP32, reuse=reuse)
    assert not bill.lower_bound and set(bill.by_part) == {"compute", "neuron", "memory"}
    for groups in (bill.by_part, bill.by_class, bill.by_layer, bill.by_layer_part, bill.by_op):
        assert fsum(groups.values()) == pytest.approx(bill.total_mj, rel=1e-12)
    assert fsum(bill.by_level.values()) == pytest.approx(bill.by_part["memory"], rel=1e-12)
    plain = energy.price(traced(attention), FP32)
    assert bill.by_part["compute"] + bill.by_part["neuron"] == pytest.approx(plain.total_mj, rel=1e-12)
    assert set(plain.by_part) == {"compute", "neuron"} and plain.by_level == {}
    assert bill.alternatives["shift_accounting=shift_only"] <= bill.total_mj


@pytest.mark.parametrize("profile", WITH_MEMORY)
@pytest.mark.parametrize("name, attention", [("spikingformer_digits_2_64", "bsa"), ("spikingformer_digits_2_64", "ssa"),
                                             ("vit_digits_2_64", None), ("cat_digits_2_64", None)])  # fmt: skip
def test_none_of_these_networks_moves_less_than_ideally(name, attention, profile):
    ledger = traced(attention, name)
    memory = {reuse: energy.price(ledger, profile, reuse=reuse) for reuse in REUSE}
    assert min(memory, key=lambda reuse: memory[reuse].total_mj) == "ideal"
    assert min(memory, key=lambda reuse: memory[reuse].ann_mj) == "ideal"
    assert memory["weight_stationary"].total_mj < memory["none"].total_mj
    assert memory["T_parallel"].ann_mj == memory["output_stationary"].ann_mj  # an ANN runs once


@pytest.mark.parametrize("reuse", REUSE)
def test_rows_and_batches_add_up(reuse):
    ledger = traced("bsa")
    whole = energy.price(ledger, FP32, reuse=reuse).total_mj
    parts = [energy.price(replace(ledger, rows=(row,)), FP32, reuse=reuse).total_mj for row in ledger.rows]
    assert sum(parts) == pytest.approx(whole, rel=1e-12)
    assert energy.price(ledger + ledger, FP32, reuse=reuse).total_mj == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("reuse", REUSE)
def test_words_are_whole_numbers(reuse):
    moved = energy.traffic(traced("bsa"), FP32, Rule(reuse=reuse))
    assert all(type(n) is int for one in moved for n in (one.reads, one.writes, one.bits))


@pytest.mark.parametrize("reuse", REUSE)
def test_memory_follows_the_firing_rate(reuse):
    totals = [v.total_mj for v in energy.vary_rate(traced("bsa"), FP32, Rule(reuse=reuse))]
    assert totals == sorted(totals)


def test_without_a_memory_large_enough_the_total_is_a_lower_bound():
    profile = energy.load_profile(FP32)
    small = replace(profile, memory=replace(profile.memory, levels=profile.memory.levels[:-1]))
    assert not energy.price(one_layer(8, 4), small, reuse="none").lower_bound
    bill = energy.price(one_layer(512, 513), small, reuse="none")
    assert bill.lower_bound and bill.unpriced == {"READ_WEIGHT": 512 * 513}
    assert bill.total_mj < energy.price(one_layer(512, 513), profile, reuse="none").total_mj


@pytest.mark.parametrize("level", [level.name for level in energy.load_memory("horowitz45_dram1300").levels][1:])
def test_a_dearer_memory_never_costs_less(level):
    profile, ledger = energy.load_profile(FP32), traced("ssa")
    levels = tuple(replace(one, pj_per_64bit=2 * one.pj_per_64bit) if one.name == level else one
                   for one in profile.memory.levels)
    dearer = replace(profile, memory=replace(profile.memory, levels=levels))
    for reuse in REUSE:
        before, after = (energy.price(ledger, p, reuse=reuse) for p in (profile, dearer))
        share = before.by_level.get(level, 0.0)
        assert after.total_mj == pytest.approx(before.total_mj + share, rel=1e-12)


def test_priced_registers_are_in_the_bill():
    profile = energy.load_profile(FP32)
    levels = tuple(replace(one, pj_per_64bit=1.0) if one.name == "register" else one for one in profile.memory.levels)
    bill = energy.price(one_layer(8, 4), replace(profile, memory=replace(profile.memory, levels=levels)), reuse="ideal")
    assert bill.by_level["register"] == pytest.approx(4 * 32 * 0.5e-9)  # inputs, weights, and sums read and written
    assert bill.unverified["READ_PARTIAL_SUM"] == pytest.approx(16e-9)


def test_leakage_is_named_and_off_unless_asked_for():
    ledger, profile = one_layer(8, 4), energy.load_profile(FP32)
    assert "leakage" not in energy.price(ledger, profile).by_part
    timed = energy.price(ledger, profile, Rule(latency_ms=2.0))
    assert timed.unpriced == {"LEAKAGE": 1} and timed.lower_bound
    leaky = replace(profile, constants={"leakage_mw": Constant(0.5, "mW", "data sheet", False)})
    assert energy.price(ledger, leaky, Rule(latency_ms=2.0)).by_part["leakage"] == pytest.approx(1e-3)  # 1 uJ


@pytest.mark.parametrize("reuse", REUSE)
def test_a_bill_with_memory_goes_through_the_report(reuse, tmp_path):
    bill = energy.price(traced("bsa"), FP32, reuse=reuse)
    write({"model": bill}, tmp_path)
    assert read((tmp_path / "report.json").read_text(encoding="utf-8")) == as_report({"model": bill})


MEMORY = """
name = "mine"
title = "my SRAM"
node_nm = 28
date = "2025-01"
source = "data sheet"
verified = false
[levels.everything]
pj_per_64bit = 64
source = "table 4"
verified = true
[levels.buffer]
capacity_bytes = 100
pj_per_64bit = 6.4
source = "table 4"
verified = true
"""
PROFILE = """
name = "mine"
title = "mine, 8 bit"
node_nm = 28
date = "2025-01"
source = "data sheet"
verified = false
memory = "sram.toml"
[word_bits]
weight = 4
activation = 8
accumulator = 16
[prices.MAC]
pj = 2
source = "table 3"
verified = true
"""


def test_a_profile_of_the_user_with_a_memory_of_the_user(tmp_path):
    (tmp_path / "sram.toml").write_text(MEMORY)
    (tmp_path / "mine.toml").write_text(PROFILE)
    bill = energy.price(one_layer(16, 20), tmp_path / "mine.toml", reuse="ideal")
    assert [level.name for level in bill.profile.memory.levels] == ["buffer", "everything"]
    # 160 bytes of weights lie in the large memory, 16 bytes of inputs and 40 of outputs in the buffer
    assert bill.by_class == pytest.approx({"MAC": 640e-9, "READ_INPUT": 16 * 0.8e-9, "READ_WEIGHT": 320 * 4e-9,
                                           "WRITE_OUTPUT": 20 * 1.6e-9})
    (tmp_path / "mine.toml").write_text(PROFILE.replace("sram.toml", "horowitz45_dram1300"))
    assert energy.load_profile(tmp_path / "mine.toml").memory == energy.load_memory("horowitz45_dram1300")


@pytest.mark.parametrize("change, says", [
    (("weight = 4\n", ""), "must give the bits"),
    (("weight = 4", "weight = 0"), "must give the bits"),
    (("weight = 4", "weight = true"), "must give the bits"),
    (("sram.toml", "horowitz45"), "Did you mean horowitz45_dram"),
    (("sram.toml", "gone.toml"), "must be readable"),
])  # fmt: skip
def test_a_bad_profile_with_a_memory_is_one_clear_error(tmp_path, change, says):
    (tmp_path / "sram.toml").write_text(MEMORY)
    (tmp_path / "mine.toml").write_text(PROFILE.replace(*change))
    with pytest.raises(ValueError, match=says):
        energy.load_profile(tmp_path / "mine.toml")


@pytest.mark.parametrize("change, says", [
    (("pj_per_64bit = 64", "pj_per_64bit = -1"), "not negative"),
    (("pj_per_64bit = 64", "pj_per_64bit = inf"), "finite"),
    (("capacity_bytes = 100", "capacity_bytes = 1.5"), "wrong type"),
    (("pj_per_64bit = 64", "pj = 64"), "unknown .*pj"),
    (("[levels.everything]", "[level.everything]"), "unknown .*level"),
    (("title =", "title"), "valid TOML"),
    (("[levels.everything]\npj_per_64bit = 64", "[levels]\neverything = 3\n[nothing]"), "must be a table"),
])  # fmt: skip
def test_a_bad_memory_is_one_clear_error(tmp_path, change, says):
    (tmp_path / "sram.toml").write_text(MEMORY.replace(*change))
    with pytest.raises(ValueError, match=says):
        energy.load_memory(tmp_path / "sram.toml")


def test_a_memory_needs_widths():
    with pytest.raises(ValueError, match="word_bits"):
        energy.with_memory(energy.load_profile("neuromc28"), "jouppi2021_7nm")
    with pytest.raises(TypeError, match="a Memory, a name or a path"):
        energy.load_memory(3)


@pytest.mark.parametrize("name", list_models("*_tiny"))
def test_every_family_can_be_charged_for_memory(name):
    """Whatever it runs, its words are known, and its total is whole under every reuse model."""
    torch.manual_seed(0)
    model = create_model(name)
    ledger = trace(model, torch.rand(1, model.config.in_channels, *model.config.image_size))
    for reuse in REUSE:
        bill = energy.price(ledger, FP32, reuse=reuse)
        assert not bill.lower_bound and bill.by_part["memory"] > 0 and bill.ann_mj > 0


def test_foreign_networks_can_be_charged_for_memory():
    """Fused attention, and a transposed convolution, whose results are not the pixels that it reads."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2).eval()
    bill = energy.price(trace(encoder, torch.rand(2, 16, 32)), FP32, reuse="ideal")
    assert bill.by_class["READ_ATTENTION"] > 0 and not bill.lower_bound
    wider = energy.price(trace(nn.ConvTranspose2d(3, 4, 4, 2, 1, bias=False), torch.rand(1, 3, 8, 8)), FP32,
                         reuse="ideal")
    assert {line.operation: line.count for line in wider.lines if line.part == "memory"} == {
        "READ_INPUT": 3 * 64, "READ_WEIGHT": 3 * 4 * 16, "WRITE_OUTPUT": 4 * 256,
    }  # fmt: skip


@pytest.mark.parametrize("reuse", REUSE)
def test_batches_of_other_pictures_add_up(reuse):
    """Where the kinds of their values are the same: those are decided by the whole data set."""
    torch.manual_seed(0)
    model = create_model("spikingformer_digits_2_64", attention="bsa")
    parts = [trace(model, torch.rand(n, 1, 8, 8)) for n in (1, 3)]
    kinds = [[row.left and row.left.kind for row in part.rows] for part in (*parts, parts[0] + parts[1])]
    assert kinds[0] == kinds[1] == kinds[2]
    found = [{(m.layer, m.op, m.data): m.reads + m.writes for m in energy.traffic(part, FP32, Rule(reuse=reuse))
              if m.level != "register"} for part in (*parts, parts[0] + parts[1])]  # fmt: skip
    one_sided = {row.scope for row in parts[0].rows if row.op == "matmul"}  # the cheaper side may differ by batch
    for key, n in found[2].items():
        if key[0] not in one_sided:
            assert n == found[0].get(key, 0) + found[1].get(key, 0)
