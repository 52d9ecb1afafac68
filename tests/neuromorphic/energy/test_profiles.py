"""Every built-in profile: its numbers as published, its sources, what it leaves without a price."""

from dataclasses import replace

import pytest
import torch

from neuromorphic import energy, trace
from neuromorphic.energy.bill import CLASSES
from neuromorphic.energy.models import MODELS
from neuromorphic.ledger import Row
from neuromorphic.report import as_report, read, write
from spikeattn import create_model

ALL = {name: energy.load_profile(name) for name in energy.profiles()}


def test_the_profiles_are_these():
    assert set(ALL) == {
        "horowitz45_fp32", "horowitz45_fp16", "horowitz45_int8_acc32", "horowitz45_int8", "horowitz45_int32",
        "jouppi2021_7nm", "neuromc28", "seneca22", "loihi1_presilicon", "lemaire2022_qualia", "lemaire2022_sj",
        "step_mem",
    }  # fmt: skip
    assert {name for name, profile in ALL.items() if not profile.verified} == {"jouppi2021_7nm", "step_mem"}
    assert {name for name, profile in ALL.items() if not profile.physical} == {"horowitz45_int8"}
    assert "overflow" in ALL["horowitz45_int8"].source
    assert "unphysical" in ALL["horowitz45_int8"].title and "pre-silicon" in ALL["loihi1_presilicon"].title


@pytest.mark.parametrize("profile", ALL.values(), ids=list(ALL))
def test_each_number_has_a_source(profile):
    assert profile.node_nm in (7, 14, 22, 28, 45) and profile.source and profile.title
    assert profile.date[:2] == "20" or profile.date == "unknown"
    assert all(price.source for price in profile.prices.values())
    assert all(price.strategy for name, price in profile.prices.items() if name in ("EXP", "ERF"))
    assert all(constant.source and constant.unit for constant in profile.constants.values())
    if profile.pj("MUL") is not None:
        assert profile.pj("MAC") == pytest.approx(profile.pj("MUL") + profile.pj("ADD"))
        assert profile.pj("BUTTERFLY") == pytest.approx(4 * profile.pj("MUL") + 6 * profile.pj("ADD"))
        assert profile.pj("EXP") == pytest.approx(4 * profile.pj("MUL") + 10 * profile.pj("ADD"))


@pytest.mark.parametrize("name, prices", [
    ("jouppi2021_7nm", {"ADD": 0.38, "MUL": 1.31, "MAC": 1.69, "SHIFT": None}),
    ("neuromc28", {"ADD": 0.548, "MUL": 0.812, "CMP": 0.056, "SQRT": 0.514, "AND": 0.548 / 16, "SHIFT": None}),
    ("seneca22", {"AC": 1.4, "MAC": 2.8, "SHIFT": 1.2, "CMP": 1.2, "AND": 1.1, "DIV": None, "LOD": None}),
    ("loihi1_presilicon", {"SYNOP": 23.6, "NEURON_UPDATE": 81.0, "AC": None, "MAC": None}),
    ("lemaire2022_qualia", {"MAC": 3.2, "AC": 0.1, "ADD": None}),
    ("lemaire2022_sj", {"MAC": 3.2, "AC": 0.1, "ADD": None}),
    ("step_mem", {"MAC": 4.6, "AC": 0.9, "READ_WEIGHT": 4 * 24.96, "WRITE_MEMBRANE": 32 * 3.12}),
])  # fmt: skip
def test_published_numbers(name, prices):
    assert {operation: ALL[name].pj(operation) for operation in prices} == pytest.approx(prices)


def test_a_shift_is_cheap_on_some_tables_only():
    """energy per shift over that of a multiplication: 86 % on a programmable core, 1 to 12 % in ASIC tables."""
    share = {name: p.pj("SHIFT") / p.pj("MUL") for name, p in ALL.items() if p.pj("SHIFT") and p.pj("MUL")}
    assert share["seneca22"] == pytest.approx(1.2 / 1.4)
    assert all(value <= 0.12 for name, value in share.items() if name != "seneca22")


@pytest.fixture(scope="module")
def ledgers():
    torch.manual_seed(0)
    return [trace(create_model(name), torch.rand(2, 1, 8, 8)) for name in
            ("spikingformer_digits_2_64", "vit_digits_2_64")]


@pytest.mark.parametrize("name", ALL)
def test_what_has_no_price_shows(ledgers, name, tmp_path):
    """Every class that ran is in the total or named as unpriced, in every view."""
    for ledger in ledgers:
        bill = energy.price(ledger, name)
        missing = {line.operation for line in bill.lines if line.pj is None}
        assert set(bill.unpriced) == missing and bill.lower_bound == bool(missing) and bill.total_mj >= 0
        if ALL[name].model == "operations":
            assert missing == set(bill.counts) - set(ALL[name].prices)
        write({"model": bill}, tmp_path)
        assert read((tmp_path / "report.json").read_text(encoding="utf-8")) == as_report({"model": bill})


PRICED = [(name, operation) for name, profile in ALL.items() for operation in profile.prices]


@pytest.mark.parametrize("name, operation", PRICED, ids=lambda value: value)
def test_deleting_any_price_makes_its_class_unpriced(ledgers, name, operation):
    """Over what a spiking and a softmax network run, and one operation of every class there is."""
    every = Row("x", "elementwise", order=9999, counts=dict.fromkeys(CLASSES, 7))
    ledger = replace(ledgers[0], rows=(*ledgers[0].rows, *ledgers[1].rows, every))
    poorer = replace(ALL[name], prices={key: price for key, price in ALL[name].prices.items() if key != operation})
    before, after = energy.price(ledger, name), energy.price(ledger, poorer)
    assert after.unpriced[operation] > before.unpriced.get(operation, 0) and after.lower_bound
    assert after.total_mj < before.total_mj or not ALL[name].pj(operation)


TOML = """
name = "mine"
title = "mine"
node_nm = 28
date = "2025-01"
source = "data sheet"
verified = false
model = "lemaire_qualia"
[prices.MAC]
pj = 2
source = "table 3"
verified = true
"""
CONSTANT = '[constants.{}]\nvalue = {}\nunit = "x"\nsource = "y"\nverified = false\n'


def test_a_profile_of_the_user_with_a_memory(tmp_path):
    names = MODELS["lemaire_qualia"].constants
    (tmp_path / "mine.toml").write_text(TOML + "".join(CONSTANT.format(name, 8) for name in names))
    assert energy.load_profile(tmp_path / "mine.toml").constants["bits"].value == 8


@pytest.mark.parametrize("text, says", [
    (TOML, "missing .*bits"),
    (TOML.replace("lemaire_qualia", "operations") + CONSTANT.format("bits", 8), "unknown .*bits"),
    (TOML.replace("lemaire_qualia", "memory"), "model must be one of operations"),
    (TOML + CONSTANT.format("bits", -8), "not negative"),
    (TOML + CONSTANT.format("bits", "nan"), "finite"),
    (TOML + CONSTANT.format("bits", 8).replace('unit = "x"\n', ""), "missing .*unit"),
    (TOML + "[constants]\nbits = 8\n", "must be a table"),
    (TOML.replace("verified = false\nmodel", "verified = false\nconstants = 3\nmodel"), "must be tables"),
])  # fmt: skip
def test_bad_constants_are_one_clear_error(tmp_path, text, says):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError, match=says):
        energy.load_profile(tmp_path / "mine.toml")
