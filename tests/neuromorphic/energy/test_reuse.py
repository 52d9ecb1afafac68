"""Reuse models against loops that really fetch and write words, one at a time."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromorphic import energy, trace
from neuromorphic.energy import Rule
from neuromorphic.energy.reuse import REUSE
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row

FP32 = "horowitz45_fp32"
T, N, I, O = 2, 3, 4, 2  # steps, tokens, inputs, outputs


def layer(x: list[list[list[float]]], bias: bool = False) -> Ledger:
    """A linear layer on x (T, N, I), one sample, as a tracer would count it."""
    values = [v for step in x for token in step for v in token]
    nonzero = [abs(v) for v in values if v]
    real = any(v not in (-1, 0, 1) for v in values)
    left = Operand(len(values), sum(v > 0 for v in values), sum(v < 0 for v in values),
                   smallest=min(nonzero, default=0.0), largest=max(nonzero, default=0.0), integers=not real,
                   powers_of_two=not real)
    events = left.nonzero * O
    row = Row("fc", "linear", steps=T, geometry=(("in", I), ("out", O)), left=left, dense=len(values) * O,
              bias=T * N * O if bias else 0, left_events=events, right_events=len(values) * O, coincidence=events)
    return Ledger(ModelInfo("net", "Net", I * O, T, (I,)), 1, (row,))


def words(ledger: Ledger, reuse: str) -> dict[str, tuple[int, int]]:
    """(reads, writes) of each kind of data at memories, registers apart."""
    found: Counter = Counter()
    for moved in energy.traffic(ledger, FP32, Rule(reuse=reuse)):
        if moved.level != "register":
            found[moved.data, "r"] += moved.reads
            found[moved.data, "w"] += moved.writes
    return {name: n for name, n in found.items() if n}


def loops(x, reuse: str, skips: bool, bias: bool) -> dict:
    """The words that a machine moves which does one thing after another."""
    moved: Counter = Counter()
    everywhere = [(t, n) for t in range(T) for n in range(N)]
    if reuse in ("none", "weight_stationary"):  # driven by inputs
        for t, n in everywhere:
            for _ in range(O):
                moved["partial_sum", "w"] += 1  # cleared
                if bias:
                    moved["bias", "r"] += 1 if reuse == "none" or n == 0 else 0
                    moved["partial_sum", "r"] += 1
                    moved["partial_sum", "w"] += 1
            for i in range(I):
                if skips and not x[t][n][i]:
                    moved["input", "r"] += 1
                    continue
                for _ in range(O):
                    moved["input", "r"] += 1
                    moved["weight", "r"] += reuse == "none"
                    moved["partial_sum", "r"] += 1
                    moved["partial_sum", "w"] += 1
        if reuse == "weight_stationary":
            moved["weight", "r"] = T * I * O
    elif reuse == "output_stationary":
        for t, n in everywhere:
            for _ in range(O):
                moved["bias", "r"] += bias
                for i in range(I):
                    moved["input", "r"] += 1
                    moved["weight", "r"] += not skips or x[t][n][i] != 0
                moved["output", "w"] += 1
    elif reuse == "T_parallel":
        for _ in range(N * O):
            moved["bias", "r"] += bias
            moved["output", "w"] += T
            for _ in range(I):
                moved["input", "r"] += T
                moved["weight", "r"] += 1  # for all steps, fired or not
    else:
        moved |= {("input", "r"): T * N * I, ("weight", "r"): I * O, ("bias", "r"): bias * O,
                  ("output", "w"): T * N * O}
    return {name: n for name, n in moved.items() if n}


VALUES = {"binary": [0, 1], "ternary": [-1, 0, 1], "real": [0.0, 0.3, -1.7]}


def cubes(kind: str):
    flat = st.lists(st.sampled_from(VALUES[kind]), min_size=T * N * I, max_size=T * N * I)
    return flat.map(lambda v: [[v[(t * N + n) * I:][:I] for n in range(N)] for t in range(T)])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("reuse", REUSE)
@pytest.mark.parametrize("kind", VALUES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_linear_layer_moves_what_the_loops_move(kind, reuse, bias, data):
    x = data.draw(cubes(kind))
    ledger = layer(x, bias)
    skips = ledger.rows[0].left.kind != "real"
    assert words(ledger, reuse) == loops(x, reuse, skips, bias)


@pytest.mark.parametrize("reuse", REUSE)
def test_every_use_is_served_somewhere(reuse):
    """Three of four inputs fire: that many weights and sums are used, from a register where they are kept there."""
    moved = energy.traffic(layer([[[1, 0, 1, 1]] * N] * T), FP32, Rule(reuse=reuse))
    for data, kept in (("weight", reuse in ("weight_stationary", "T_parallel", "ideal")),
                       ("partial_sum", reuse not in ("none", "weight_stationary"))):
        places = [m for m in moved if m.data == data and (m.level == "register") == kept]
        assert sum(m.reads for m in places) == 3 * N * T * O
    assert {m.bits for m in moved if m.data == "input"} == {1}


def test_spikes_are_packed_and_widths_follow_the_values():
    bits = {m.data: m.bits for m in energy.traffic(layer([[[1, -1, 0, 0]] * N] * T), "horowitz45_int8_acc32",
                                                   Rule(reuse="none"))}  # fmt: skip
    assert bits == {"input": 2, "weight": 8, "partial_sum": 32}
    real = {m.data: m.bits for m in energy.traffic(layer([[[0.5, 2.5, 0, 0]] * N] * T), "horowitz45_fp16",
                                                   Rule(reuse="none"))}  # fmt: skip
    assert real == {"input": 16, "weight": 16, "partial_sum": 16}


def test_a_convolution_by_hand():
    """2 -> 3 channels, 3 x 3 on 5 x 5, padding 1: a spike in a corner meets 4 taps, one in the centre 9; 39 pairs."""
    x = torch.zeros(1, 2, 5, 5)
    x[0, 0, 0, 0] = x[0, 1, 2, 2] = 1
    torch.manual_seed(0)
    ledger = trace(torch.nn.Conv2d(2, 3, 3, padding=1, bias=False), x)
    assert words(ledger, "none") == {
        ("input", "r"): 39 + 48, ("weight", "r"): 39, ("partial_sum", "r"): 39, ("partial_sum", "w"): 39 + 75,
    }  # fmt: skip
    assert words(ledger, "ideal") == {("input", "r"): 50, ("weight", "r"): 54, ("output", "w"): 75}
    assert words(ledger, "output_stationary") == {("input", "r"): 1014, ("weight", "r"): 39, ("output", "w"): 75}


class Scores(torch.nn.Module):
    def forward(self, q, k=None):
        q, k = q[..., :4], q[..., 4:]
        return (q @ k.mT).softmax(-1) @ k


def test_an_attention_by_hand():
    """Real values, one head: 3 tokens of 4 channels; 9 scores of 4 terms, 12 results of 3 terms."""
    torch.manual_seed(0)
    ledger = trace(Scores(), torch.rand(1, 3, 8))
    found = words(ledger, "none")
    assert found["input", "r"] == 36 + 36 + 36 and found["attention", "r"] == 9 + 36 and found["attention", "w"] == 9
    assert found["partial_sum", "r"] == 72 and found["partial_sum", "w"] == 72 + 9 + 12
    assert words(ledger, "ideal") == {
        ("input", "r"): 12 + 12 + 12, ("attention", "r"): 9 + 9, ("attention", "w"): 9, ("output", "w"): 9 + 12,
    }  # fmt: skip


def test_membranes_stay_only_where_steps_are_worked_together():
    neuron = Row("n", "neuron", steps=T, counts={"ADD": 12}, words={"membrane_read": 12, "membrane_write": 12})
    ledger = replace(layer([[[1, 0, 0, 0]] * N] * T), rows=(neuron,))
    for reuse in REUSE:
        stay = reuse in ("T_parallel", "ideal")
        found = words(ledger, reuse)
        assert found.get(("membrane", "r"), 0) == found.get(("membrane", "w"), 0) == (0 if stay else 12)
        assert found["input", "r"] == found["output", "w"] == 12


def test_the_first_layer_moves_as_often_as_it_is_charged():
    real = layer([[[0.5, 2.5, 0.1, 0.2]] * N] * T)
    (row,) = real.rows
    still = replace(real, rows=(replace(row, reads_input=True, left=replace(row.left, repeats=True)),))
    for reuse in REUSE:
        every, once = (energy.traffic(still, FP32, Rule(reuse=reuse, first_conv=how)) for how in ("times_T", "once"))
        assert sum(m.reads for m in once if m.data == "input") * T == sum(m.reads for m in every if m.data == "input")
    shown = replace(real, rows=(replace(row, steps=1, reads_input=True),))  # run once by the model
    (twice, once) = (sum(m.reads for m in energy.traffic(shown, FP32, Rule(reuse="none", first_conv=how))
                         if m.data == "weight") for how in ("times_T", "once"))
    assert twice == T * once


def test_a_ledger_without_sizes_is_refused():
    table = energy.published("spikformer", [("fc", 100, 0.5, "linear")])
    with pytest.raises(ValueError, match="table of rates"):
        energy.price(table.ledger, FP32, reuse="ideal")
    bare = layer([[[1, 0, 0, 0]] * N] * T)
    bare = replace(bare, rows=(replace(bare.rows[0], geometry=()),))
    with pytest.raises(ValueError, match="must say its sizes"):
        energy.price(bare, FP32, reuse="ideal")


@pytest.mark.parametrize("profile, says", [("neuromc28", "has no memory"), ("step_mem", "own model 'words'")])
def test_a_profile_without_memory_is_refused(profile, says):
    with pytest.raises(ValueError, match=says):
        energy.price(layer([[[1, 0, 0, 0]] * N] * T), profile, reuse="ideal")
    with pytest.raises(ValueError, match="Did you mean ideal"):
        energy.price(layer([[[1, 0, 0, 0]] * N] * T), FP32, reuse="idea")
