"""A report made by hand: small numbers that can be checked on paper, and names that can be hostile."""

import pytest

from neuromorphic.energy.bill import Bill, Line, Price, Profile, Rule
from neuromorphic.ledger import Coverage, Emission, Ledger, ModelInfo, Operand, Row, Touch
from neuromorphic.report import Entry, Report

SAMPLES, STEPS = 10, 4
FP32 = {"MAC": 4.6, "AC": 0.9, "ADD": 0.9, "MUL": 3.7, "SHIFT": 0.13, "CMP": 0.9, "EXP": 22.0, "DIV": 26.3,
        "BUTTERFLY": 20.2, "LOD": 0.1, "AND": 0.1}
INT8 = {"MAC": 0.3, "AC": 0.1, "ADD": 0.1, "MUL": 0.2, "SHIFT": 0.13, "CMP": 0.1, "EXP": 1.7, "DIV": 1.4,
        "BUTTERFLY": 1.4, "LOD": 0.1, "AND": 0.1}


def make_profile(name: str, title: str, prices: dict[str, float]) -> Profile:
    table = {operation: Price(pj, "Horowitz, ISSCC 2014", operation not in ("SHIFT", "EXP"),
                              "range reduction and polynomial" if operation == "EXP" else None)
             for operation, pj in prices.items()}
    return Profile(name, title, 45, "2014", "M. Horowitz, Computing's energy problem, ISSCC 2014", True, table)


PROFILES = (make_profile("horowitz45_fp32", "45 nm, fp32", FP32),
            make_profile("horowitz45_int8_acc32", "45 nm, int8 with int32 accumulator", INT8))


def make_emission(scope: str, order: int, rates, negative=(), alphabet="binary", units=1024) -> Emission:
    """Rates are given in percent of units at each step."""
    at = [round(units * SAMPLES * rate / 100) for rate in rates]
    below = [round(units * SAMPLES * rate / 100) for rate in negative] or [0] * len(at)
    return Emission(scope, "TernaryLIF" if negative else "LIF", alphabet, units, units * SAMPLES * len(at), tuple(at),
                    tuple(below), tuple(a + b for a, b in zip(at, below, strict=True)), (1 << units - 30) - 1, 3,
                    order=order)


def make_bills(ledger: Ledger, counts, profiles=PROFILES) -> tuple[Bill, ...]:
    """counts: (layer, family, class, operations per sample)."""
    bills = []
    for profile in profiles:
        lines = tuple(Line(layer, op, name, n * SAMPLES, profile.pj(name)) for layer, op, name, n in counts)
        ann = tuple(Line(row.scope, row.op, "MAC", row.dense // row.steps, profile.pj("MAC"))
                    for row in ledger.rows if row.dense)
        bill = Bill(ledger, profile, Rule(), lines, ann)
        added = sum(line.total_pj for line in lines if (line.op, line.operation) == ("score_value", "ADD"))
        changed = {"shift_accounting=shift_only": bill.total_mj - added / SAMPLES * 1e-9}
        bills.append(Bill(ledger, profile, Rule(), lines, ann, changed))
    return tuple(bills)


def make_spiking(label: str, *, bipolar: bool, blocks: int = 2, prefix: str = "", uncovered: bool = False) -> Entry:
    counts = [(f"{prefix}stem.conv", "conv", "MAC", 65_536), (f"{prefix}stem.neuron", "neuron", "ADD", 4096)]
    emissions = [make_emission(f"{prefix}stem.neuron", 0, (18, 24, 22, 23))]
    rows = [Row(f"{prefix}stem.conv", "conv", steps=STEPS, dense=65_536 * SAMPLES,
                geometry=(("in", 1), ("out", 64), ("overlap", 9), ("pixels", 64), ("taps", 9)),
                left=Operand(2560, 2000, 0, smallest=0.1, largest=1.0, integers=False, powers_of_two=False))]
    for block in range(blocks):
        at = f"{prefix}blocks.{block}"
        for index, name in enumerate(("attn.q", "attn.k", "attn.v", "attn.o", "mlp.fc1", "mlp.fc2")):
            dense = 262_144 * (4 if "mlp" in name else 1)
            events = int(dense * (0.08 + 0.03 * index))
            counts.append((f"{at}.{name}.linear", "linear", "AC", events))
            rows.append(Row(f"{at}.{name}.linear", "linear", order=10 * block + index, steps=STEPS,
                            geometry=(("in", 64), ("out", 64)),
                            dense=dense * SAMPLES, left_events=events * SAMPLES, coincidence=events * SAMPLES,
                            left=Operand(40_960, 6_000, 0, smallest=1.0, largest=1.0)))
            counts.append((f"{at}.{name}.neuron", "neuron", "ADD", 4096))
            counts.append((f"{at}.{name}.neuron", "neuron", "CMP", 4096))
            signed = bipolar and name in ("attn.q", "attn.k")
            emissions.append(make_emission(
                f"{at}.{name}.neuron", 10 * block + index + 1, (4.1 + index, 9.7, 8.4 + 3 * block, 11.2),
                (6.0, 12.5, 14.1, 9.9) if signed else (), "ternary" if signed else "binary"))
        counts.append((f"{at}.attn", "matmul", "AC", 18_000))
        if bipolar:
            counts += [(f"{at}.attn", "shiftmax", "SHIFT", 2048), (f"{at}.attn", "shiftmax", "ADD", 4096),
                       (f"{at}.attn", "shiftmax", "LOD", 256), (f"{at}.attn", "score_value", "SHIFT", 65_536),
                       (f"{at}.attn", "score_value", "ADD", 65_536)]
        else:
            counts.append((f"{at}.attn", "matmul", "AC", 31_000))
    counts.append((f"{prefix}head", "linear", "MAC", 640))
    coverage = Coverage((Touch("aten.addmm", f"{prefix}head", 10, 100_000), Touch("spikeattn.lif", "stem", 40, 90_000)),
                        (Touch("aten.view", "", 80, 1_000_000), Touch("aten.native_batch_norm", "stem", 3, 9_000)),
                        (Touch("aten.erfinv", f"{prefix}blocks.0", 1, 640),) if uncovered else ())
    model = ModelInfo("spikingformer_digits_2_64", "Spikingformer", 80_394, STEPS, (1, 8, 8),
                      "bsa" if bipolar else "ssa", labelled=SAMPLES, correct=9)
    ledger = Ledger(model, SAMPLES, tuple(rows), tuple(emissions), coverage)
    return Entry(label, make_bills(ledger, counts), training="trained for 30 epochs on digits, seed 0")


def make_ann(label: str, attention: str) -> Entry:
    counts = [("stem.conv", "conv", "MAC", 16_384)]
    for block in range(2):
        at = f"blocks.{block}"
        counts += [(f"{at}.{name}", "linear", "MAC", 65_536 * (4 if "mlp" in name else 1))
                   for name in ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.fc1", "mlp.fc2")]
        if attention == "softmax":
            counts += [(f"{at}.attn", "matmul", "MAC", 32_768), (f"{at}.attn", "softmax", "EXP", 512),
                       (f"{at}.attn", "softmax", "DIV", 32)]
        else:
            counts += [(f"{at}.attn", "fft", "BUTTERFLY", 4352), (f"{at}.attn", "softmax", "EXP", 32)]
        counts += [(f"{at}.mlp.act", "gelu", "ERF", 4096)]
    model = ModelInfo(f"{attention}_digits_2_64", "VisionTransformer", 79_000, 1, (1, 8, 8), attention, SAMPLES, 9)
    ledger = Ledger(model, SAMPLES, coverage=Coverage((Touch("aten.addmm", "head", 10, 100_000),)))
    return Entry(label, make_bills(ledger, counts), training="trained for 30 epochs on digits, seed 0")


@pytest.fixture
def report() -> Report:
    return Report((make_spiking("BSA", bipolar=True), make_spiking("SSA", bipolar=False),
                   make_ann("softmax ANN", "softmax"), make_ann("CAT ANN", "cat")),
                  "Digits: four attentions, one skeleton", ("One seed (0): differences of a point are noise.",))


@pytest.fixture
def hostile():
    """A report whose label, layers, title, notes and operations are the payload."""
    def build(payload: str) -> Report:
        entry = make_spiking(payload, bipolar=True, prefix=payload + ".", uncovered=True)
        entries = Entry(payload, entry.bills, training=payload), make_ann("softmax ANN", "softmax")
        return Report(entries, payload, (payload,))
    return build
