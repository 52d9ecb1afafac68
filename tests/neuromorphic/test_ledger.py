"""The ledger is a frozen record with an addition that does not care about order, and an exact JSON form."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromorphic.ledger import Coverage, Emission, Ledger, ModelInfo, Operand, Row, Touch

counts = st.integers(0, 2**70)  # beyond int64: sums are Python integers
magnitudes = st.sampled_from([0.5, 1.0, 2.0, 3.0, 0.3])
MODEL = ModelInfo("net", "Net", 10, 2, (1, 8, 8), "bsa")


@st.composite
def operands(draw):
    positive, negative = draw(counts), draw(counts)
    extremes = sorted([draw(magnitudes), draw(magnitudes)]) if positive + negative else [0.0, 0.0]
    return Operand(
        numel=positive + negative + draw(counts), positive=positive, negative=negative,
        nonzero_per_step=tuple(draw(st.lists(counts, max_size=2))), smallest=extremes[0], largest=extremes[1],
        integers=draw(st.booleans()), powers_of_two=draw(st.booleans()), repeats=draw(st.booleans()),
        declared=draw(st.sampled_from([None, None, "pow2", "real"])),
    )  # fmt: skip


@st.composite
def ledgers(draw):
    rows = {}
    for _ in range(draw(st.integers(0, 3))):
        row = Row(
            scope=draw(st.sampled_from(["a", "b.c"])), op=draw(st.sampled_from(["linear", "neuron"])),
            order=draw(st.integers(0, 3)), geometry=(("in", draw(st.integers(1, 2))),), left=draw(operands()),
            dense=draw(counts), left_events=draw(counts), counts={"ADD": draw(counts)}, reads_input=draw(st.booleans()),
        )  # fmt: skip
        rows[row.key] = row
    emission = Emission("n", "LIF", "binary", 4, draw(counts), (draw(counts),), (draw(counts),), (draw(counts),),
                        fired=draw(st.integers(0, 15)), always=draw(st.integers(0, 15)))  # fmt: skip
    coverage = Coverage(uncovered=(Touch("aten::erfinv", "a", draw(counts), draw(counts)),))
    info = dataclasses.replace(MODEL, labelled=draw(counts), correct=draw(counts))
    base = Ledger(MODEL, 1)  # rows of one ledger are in order of execution, as `+` leaves them
    return base + Ledger(info, draw(counts), tuple(rows.values()), (emission,), coverage)


@given(ledgers(), ledgers())
def test_addition_commutes(a, b):
    assert a + b == b + a


@given(ledgers(), ledgers(), ledgers())
def test_addition_is_associative(a, b, c):
    assert (a + b) + c == a + (b + c)


@given(ledgers())
def test_json_round_trip_is_exact(ledger):
    assert Ledger.from_json(ledger.to_json()) == ledger


@given(ledgers(), ledgers())
def test_per_sample_parts_commute(a, b):
    a, b = (dataclasses.replace(x, per_sample=(dataclasses.replace(x, samples=1),)) for x in (a, b))
    assert a + b == b + a
    assert len((a + b).per_sample) == 2
    assert Ledger.from_json((a + b).to_json()) == a + b


KINDS = {
    "silent": Operand(8, 0, 0),
    "binary": Operand(8, 2, 0, smallest=1.0, largest=1.0),
    "ternary": Operand(8, 2, 1, smallest=1.0, largest=1.0),
    "scaled": Operand(8, 2, 0, smallest=0.5, largest=0.5, integers=False),
    "graded": Operand(8, 2, 0, smallest=1.0, largest=3.0, powers_of_two=False),
    "pow2": Operand(8, 2, 0, smallest=0.25, largest=0.5, integers=False),
    "real": Operand(8, 2, 0, smallest=0.3, largest=0.5, integers=False, powers_of_two=False),
}
ORDER = list(KINDS)


@pytest.mark.parametrize("name", ORDER)
def test_kind_of_evidence(name):
    assert KINDS[name].kind == name


@pytest.mark.parametrize("low", ORDER)
@pytest.mark.parametrize("high", ORDER)
def test_kinds_join_upwards(low, high):
    joined = (KINDS[low] + KINDS[high]).kind
    assert ORDER.index(joined) >= max(ORDER.index(low), ORDER.index(high))


def test_two_scales_are_no_longer_one_magnitude():
    half, third = KINDS["scaled"], Operand(8, 1, 0, smallest=0.3, largest=0.3, integers=False, powers_of_two=False)
    assert (half + third).kind == "real"


def test_a_declaration_wins_over_what_was_seen():
    uniform = dataclasses.replace(KINDS["scaled"], declared="real")
    assert uniform.kind == "real"
    assert (uniform + dataclasses.replace(KINDS["pow2"], declared="pow2")).kind == "real"


def test_firing_rates_by_sign_and_step():
    emission = Emission("n", "TernaryLIF", "ternary", 4, 16, (2, 0), (1, 4), (3, 4), fired=0b0111, always=0b0001)
    assert emission.rate == 7 / 16
    assert emission.positive_rates == (0.25, 0.0)
    assert emission.negative_rates == (0.125, 0.5)
    assert (emission.silent_units, emission.saturated_units) == (1, 1)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Ledger(MODEL, 1).samples = 2


def test_ledgers_of_two_models_do_not_add():
    with pytest.raises(ValueError, match="same model"):
        Ledger(MODEL, 1) + Ledger(dataclasses.replace(MODEL, name="other"), 1)


def test_coverage_fraction():
    assert Coverage().fraction == 1.0
    one, three = Touch("aten::mm", "", 1, 1), Touch("aten::erfinv", "", 1, 3)
    assert Coverage(counted=(one,), uncovered=(three,)).fraction == 0.25


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "other/9"}', "null"])
def test_corrupt_json_is_one_clear_error(text):
    with pytest.raises(ValueError, match="Ledger.from_json"):
        Ledger.from_json(text)


def test_an_unknown_key_in_json_is_an_error():
    plain = json.loads(Ledger(MODEL, 1).to_json())
    plain["model"]["joules"] = 3
    with pytest.raises(ValueError, match="joules"):
        Ledger.from_json(json.dumps(plain))


def test_sums_of_integers_hold_only_while_all_are_integers():
    ones = Operand(8, 3, 1, smallest=1.0, largest=1.0, sum=2, magnitude=4)
    threes = Operand(8, 2, 0, smallest=3.0, largest=3.0, powers_of_two=False, sum=6, magnitude=6)
    halves = Operand(8, 2, 0, smallest=0.5, largest=0.5, integers=False)
    assert ((ones + threes).sum, (ones + threes).magnitude) == (8, 10)
    for a, b, c in ((ones, halves, threes), (halves, threes, ones), (threes, ones, halves)):
        assert ((a + b) + c).magnitude == (a + (b + c)).magnitude == 0
    row = Row("a", "linear", left=ones, left_units=16)
    assert (row + Row("a", "linear", left=threes, left_units=24)).left_units == 40
    assert (row + Row("a", "linear", left=halves)).left_units == 0


def test_levels_of_emissions_hold_only_while_all_are_integers():
    whole = Emission("n", "ILIF", "graded", 4, 8, (2, 0), (0, 0), (5, 0), 1, 0)
    parts = dataclasses.replace(whole, levels=(0, 0), integers=False)
    assert (whole + whole).levels == (10, 0) and (whole + parts).levels == (0, 0)


def test_layers_that_changed_shape_are_named():
    narrow, wide = (Row("a", "linear", geometry=(("in", n),)) for n in (4, 8))
    other = Row("b", "linear", order=1)
    same, changed = Ledger(MODEL, 1, (narrow, other)), Ledger(MODEL, 1, (wide, other))
    assert (same + same).changed_shapes == () and (same + changed).changed_shapes == ("a",)
    assert (same + changed).passes == 2 and Ledger.from_json((same + changed).to_json()).passes == 2


def test_the_error_names_what_differs():
    with pytest.raises(ValueError, match=r"got timesteps 2 and 4\. Trace"):
        Ledger(MODEL, 1) + Ledger(dataclasses.replace(MODEL, timesteps=4), 1)
