"""Laws of counting and of pricing: counting more never costs less; samples, batches and rows add up."""

from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.count.measure import Seen, measure, measure_steps
from neuromorphic.energy import CONVENTIONS, LayerRate
from neuromorphic.energy.conventions import KINDS
from neuromorphic.energy.rule import classify
from neuromorphic.ledger import KINDS as LATTICE
from neuromorphic.ledger import Emission, Ledger, ModelInfo, Operand, Row
from spikeattn import create_model
from spikeattn.ops import OPS

PROFILES = energy.profiles()
SUMMED = ("dense", "bias", "left_events", "right_events", "left_units", "right_units", "coincidence")


@cache
def traced() -> Ledger:
    """Convolutions, linear layers, Shiftmax, ternary and graded operands, neurons."""
    torch.manual_seed(0)
    return trace(create_model("spikingformer_digits_2_64", attention="bsa"), torch.rand(2, 1, 8, 8))


def grown(row: Row, factor: int) -> Row:
    """The same operation with every count multiplied; what was seen of its values stays."""
    counts = {name: n * factor for name, n in row.counts.items()}
    words = {name: n * factor for name, n in row.words.items()}
    sides = {side: operand and replace(operand, positive=operand.positive * factor, negative=operand.negative * factor,
                                       numel=operand.numel * factor)
             for side, operand in (("left", row.left), ("right", row.right))}
    return replace(row, counts=counts, words=words, **sides, **{name: getattr(row, name) * factor for name in SUMMED})


def busier(emission: Emission, factor: int) -> Emission:
    spikes = tuple(n * factor for n in emission.positive)
    return replace(emission, positive=spikes, numel=emission.numel * factor)


@pytest.mark.parametrize("profile", PROFILES)
@settings(deadline=None, max_examples=10)
@given(place=st.integers(0, 10_000), factor=st.integers(2, 50))
def test_more_counts_never_cost_less(profile, place, factor):
    ledger = traced()
    index, layer = place % len(ledger.rows), place % len(ledger.emissions)
    rows = tuple(grown(row, factor) if i == index else row for i, row in enumerate(ledger.rows))
    emissions = tuple(busier(e, factor) if i == layer else e for i, e in enumerate(ledger.emissions))
    before = energy.price(ledger, profile)
    for more in (replace(ledger, rows=rows), replace(ledger, emissions=emissions)):
        after = energy.price(more, profile)
        assert after.total_mj >= before.total_mj * (1 - 1e-12)
        assert all(n >= before.unpriced.get(name, 0) for name, n in after.unpriced.items())


@pytest.mark.parametrize("profile", PROFILES)
def test_one_more_spike_never_costs_less(profile):
    """A spike more into each layer of weights, all else equal; some models take ternary spikes for real values."""
    ledger = traced()
    before = energy.price(ledger, profile).total_mj
    for index, row in enumerate(ledger.rows):
        if not row.dense or row.right is not None or row.left.kind not in ("binary", "ternary"):
            continue
        more = replace(row, left=replace(row.left, positive=row.left.positive + 1), left_events=row.left_events + 1)
        rows = (*ledger.rows[:index], more, *ledger.rows[index + 1:])
        after = energy.price(replace(ledger, rows=rows), profile).total_mj
        assert after > before if row.left.kind == "binary" else after >= before


@pytest.mark.parametrize("profile", PROFILES)
def test_a_bill_is_the_sum_of_the_bills_of_its_rows(profile):
    ledger = traced()
    parts = [energy.price(replace(ledger, rows=(row,)), profile).total_mj for row in ledger.rows]
    assert sum(parts) == pytest.approx(energy.price(ledger, profile).total_mj, rel=1e-12)


@pytest.mark.parametrize("profile", PROFILES)
def test_samples_twice_over_cost_the_same_per_sample(profile):
    ledger = traced()
    assert energy.price(ledger + ledger, profile).total_mj == pytest.approx(energy.price(ledger, profile).total_mj)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(list(CONVENTIONS)), st.sampled_from(KINDS), st.integers(0, 10**12), st.integers(0, 10**9),
       st.floats(0, 0.99), st.floats(0, 4))  # fmt: skip
def test_more_flops_or_spikes_never_cost_less_by_any_convention(convention, kind, flops, more, rate, extra):
    def total(flops, rate):
        return energy.published(convention, [LayerRate("x", flops, rate, kind)]).total_mj

    assert total(flops, rate) <= total(flops + more, rate) * (1 + 1e-12)
    higher = min(rate + extra, 0.99)  # at a rate of 1 a strict convention changes its mind
    assert total(flops, rate) <= total(flops, higher) * (1 + 1e-12)


def test_a_ledger_without_rows_costs_nothing():
    empty = Ledger(ModelInfo("net", "Net", 0, 1, ()), samples=1)
    assert all(energy.price(empty, profile).total_mj == 0 for profile in PROFILES)


# Counting. Values and weights are dyadic, so that every sum is exact in whatever order a batch is worked through.

VALUES = st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0, 0.5, 0.25, 2.0, 3.0, 0.3])
DATA = st.lists(st.lists(VALUES, min_size=1, max_size=6), min_size=1, max_size=5)
SETTINGS = settings(deadline=None, max_examples=25)


def loop_kind(values: list[float]) -> str:
    """The kind by its words: none, ones, signed ones, one magnitude, integers, powers of two, anything."""
    sizes = {abs(v) for v in values if v}
    if not sizes:
        return "silent"
    if sizes == {1.0}:
        return "ternary" if min(values) < 0 else "binary"
    if len(sizes) == 1:
        return "scaled"
    if all(size == int(size) for size in sizes):
        return "graded"
    return "pow2" if sizes <= {0.25, 0.5, 1.0, 2.0} else "real"


@SETTINGS
@given(DATA, st.randoms(use_true_random=False))
def test_the_kind_of_a_data_set_is_that_of_all_its_values(data, random):
    """Whatever the order and the split: joining evidence is associative, commutative and idempotent in kind."""
    parts = [measure(torch.tensor(values)) for values in data]
    random.shuffle(parts)
    whole = Operand.total(parts)
    assert whole.kind == loop_kind(sum(data, []))
    assert whole == Operand.total(parts[::-1]) == measure(torch.tensor(sum(data, [])))
    assert (whole + whole).kind == whole.kind
    assert all(LATTICE.index(part.kind) <= LATTICE.index(whole.kind) for part in parts)
    assert whole == (parts[0] + Operand.total(parts[1:]) if len(parts) > 1 else parts[0])


@SETTINGS
@given(DATA, st.sampled_from([None, "pow2", "real"]), st.sampled_from([None, "pow2", "real"]))
def test_a_declaration_never_lowers_a_kind(data, first, second):
    a, b = measure(torch.tensor(data[0])), measure(torch.tensor(data[-1]))
    both = replace(a, declared=first) + replace(b, declared=second)
    least = max((a + b).kind, first or "silent", second or "silent", key=LATTICE.index)
    assert both.kind == least


@SETTINGS
@given(st.lists(VALUES, min_size=12, max_size=12), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_evidence_does_not_depend_on_layout_or_type(values, dtype):
    x = torch.tensor(values).view(3, 2, 2).to(dtype)
    seen = measure_steps(x, 3)
    turned = x.permute(0, 2, 1)
    assert measure_steps(turned, 3) == measure_steps(turned.contiguous(), 3) == seen
    assert measure_steps(x.permute(1, 2, 0).contiguous().permute(2, 0, 1), 3) == seen
    rounded = [float(value) for value in x.flatten()]
    assert seen.whole.kind == (loop_kind(rounded) if dtype != torch.bfloat16 else seen.whole.kind)
    steps = [measure(step) for step in x]
    counts = tuple(step.nonzero for step in steps)
    assert seen.whole == replace(Operand.total(steps), nonzero_per_step=counts)
    assert (seen.positive, seen.negative) == tuple(zip(*((s.positive, s.negative) for s in steps), strict=True))
    assert seen.levels == tuple(step.magnitude if seen.whole.integers else 0 for step in steps)
    assert sum(seen.positive) == sum(value > 0 for value in rounded)
    shown, once = measure_steps(x[:1].expand(3, 2, 2), 3), measure_steps(x[:1], 1)
    assert shown == Seen(replace(Operand.total([once.whole] * 3), nonzero_per_step=3 * (once.whole.nonzero,)),
                         3 * once.positive, 3 * once.negative, 3 * once.levels)  # fmt: skip


class Net(nn.Module):
    """Patches, a neuron, attention over tokens, a head; dyadic weights."""

    def __init__(self, ternary: bool = False):
        super().__init__()
        from spikeattn.neurons import LIF, TernaryLIF

        self.patches, self.neuron = nn.Conv2d(1, 4, 2, stride=2), TernaryLIF() if ternary else LIF()
        self.head = nn.Linear(4, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randint(-4, 5, parameter.shape, generator=generator) / 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT  # (B, N, D)
        spikes, _ = self.neuron(x.unsqueeze(0).expand(2, *x.shape))
        scores = spikes @ spikes.mT
        return self.head((scores @ spikes).mean(0).sum(1))


def pictures(samples: int) -> torch.Tensor:
    return torch.randint(-2, 5, (samples, 1, 4, 4), generator=torch.Generator().manual_seed(1)) / 2


def layers(ledger: Ledger, rule: energy.Rule = energy.Rule()) -> dict:  # noqa: B008 - a frozen record
    return {row.key: classify(row, rule, ledger.model.timesteps) for row in ledger.rows}


@settings(SETTINGS, max_examples=10)
@given(st.permutations(range(6)), st.integers(1, 6), st.booleans())
def test_order_and_size_of_batches_do_not_matter(order, size, ternary):
    model, x = Net(ternary), pictures(6)
    whole = trace(model, x, timesteps=2)
    assert 0 < sum(whole.emissions[0].positive) < whole.emissions[0].numel
    split = trace(model, list(x[list(order)].split(size)), timesteps=2)
    assert replace(split, coverage=whole.coverage, passes=1) == whole
    assert split.coverage.fraction == 1.0 and split.passes == -(-6 // size)


@pytest.mark.parametrize("ternary", [False, True])
def test_autocast_does_not_change_a_count(ternary):
    model, x = Net(ternary), pictures(6)  # every sum fits the 8 bits of a bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        here = trace(model, x, timesteps=2)
    plain = trace(model, x, timesteps=2)
    assert layers(here) == layers(plain) and here.emissions == plain.emissions and not here.coverage.uncovered


@SETTINGS
@given(st.integers(1, 5), st.integers(0, 2))
def test_evidence_adds_up_over_batches_and_counts_over_layers(cut, which):
    rule = (energy.Rule(), energy.Rule(spike_spike="coincidence"), energy.Rule(spike_spike="dense"))[which]
    model, x = Net(), pictures(6)
    parts, whole = [trace(model, part, timesteps=2) for part in (x[:cut], x[cut:])], trace(model, x, timesteps=2)
    assert (parts[0] + parts[1]).rows == whole.rows == (parts[1] + parts[0]).rows
    by_row = [energy.operation_counts(replace(whole, rows=(row,)), rule) for row in whole.rows]
    names = {name for counts in by_row for name in counts}
    assert energy.operation_counts(whole, rule) == {n: sum(c.get(n, 0) for c in by_row) for n in names}


BITS = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 1.0]), min_size=12, max_size=12)


class Pair(nn.Module):
    def forward(self, a, b):
        return a @ b


@SETTINGS
@given(BITS, BITS, st.integers(0, 11))
def test_one_more_spike_never_counts_less(left, right, place):
    """And coincidence <= one-sided <= dense, before and after."""
    rules = [energy.Rule(spike_spike=name) for name in ("coincidence", "one_sided", "dense")]

    def counts(values):
        a, b = torch.tensor(values).view(1, 3, 4), torch.tensor(right).view(1, 4, 3)
        ledger = trace(Pair(), (a, b), positional=True)
        (row,) = ledger.rows
        assert row.coincidence <= min(row.left_events, row.right_events) <= max(
            row.left_events, row.right_events) <= row.dense  # fmt: skip
        return [energy.operation_counts(ledger, rule).get("AC", 0) for rule in rules]

    before, after = counts(left), counts([*left[:place], left[place] or 1.0, *left[place + 1:]])
    assert before == sorted(before) and after == sorted(after)
    assert all(b <= a for b, a in zip(before, after, strict=True))


@SETTINGS
@given(st.lists(st.sampled_from([0.0, 0.0, 1.0]), min_size=32, max_size=32), st.integers(0, 31))
def test_one_more_pixel_never_counts_less(values, place):
    layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)

    def events(values):
        (row,) = trace(layer, torch.tensor(values).view(1, 2, 4, 4)).rows
        assert row.coincidence == row.left_events <= row.dense
        return row.left_events

    assert events(values) <= events([*values[:place], 1.0, *values[place + 1:]])


FAMILIES = ["spikformer_tiny", "sdt_tiny", "qkformer_tiny", "vit_tiny", "cat_tiny"]


def tiny(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = create_model(name)
    size = model.config.image_size
    size = size if isinstance(size, tuple) else (size, size)
    return model.eval(), torch.rand(2, model.config.in_channels, *size)


@contextmanager
def on_references():
    """Every op of ours runs its reference."""
    kept = {op: op.faster for op in OPS}
    try:
        for op in OPS:
            object.__setattr__(op, "faster", ())
        yield
    finally:
        for op, faster in kept.items():
            object.__setattr__(op, "faster", faster)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_and_implementations_do_not_change_a_count(name):
    model, x = tiny(name)
    plain = trace(model, x)
    assert not plain.coverage.uncovered
    for mode in (torch.no_grad, torch.inference_mode, on_references):
        with mode():
            here = trace(model, x)
        assert layers(here) == layers(plain) and here.emissions == plain.emissions


def test_bipolar_attention_counts_the_same_on_its_reference():
    torch.manual_seed(0)
    model, x = create_model("spikingformer_digits_2_64", attention="bsa").eval(), torch.rand(2, 1, 8, 8)
    plain = trace(model, x)
    with on_references():
        assert layers(trace(model, x)) == layers(plain)
