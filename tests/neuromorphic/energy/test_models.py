"""Energy models by hand: two memory-aware variants of Lemaire et al., the chip, and memory at one price per word."""

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.ledger import Emission, Ledger, ModelInfo, Operand, Row

MODEL = ModelInfo("net", "Net", 10, 2, (8,))
REAL = {"integers": False, "powers_of_two": False}


def conv(spikes=7, **operand) -> Row:
    """2 -> 3 channels, 3 x 3, padded, on 5 x 5 pictures, biases, T = 2, one sample: |in| 50, |out| 75, K 9."""
    seen = Operand(100, spikes, 0, smallest=1.0, **({"largest": 1.0} | operand))
    geometry = (("groups", 1), ("in", 2), ("out", 3), ("overlap", 9), ("pixels", 25), ("taps", 9))
    return Row("conv", "conv", steps=2, geometry=geometry, left=seen, dense=2 * 1014, padding=2 * 336, bias=150,
               left_events=9 * spikes * 3, coincidence=9 * spikes * 3)  # fmt: skip


def linear(spikes=5, **operand) -> Row:
    """8 -> 4, no biases, T = 2, one sample."""
    seen = Operand(16, spikes, 0, smallest=1.0, **({"largest": 1.0} | operand))
    return Row("fc", "linear", steps=2, geometry=(("in", 8), ("out", 4)), left=seen, dense=64, left_events=4 * spikes,
               order=2)  # fmt: skip


def neuron(scope: str, units: int, spikes: tuple[int, int], leak: bool = True) -> tuple[Row, Emission]:
    updates = 2 * units
    counts = {"ADD": updates, "CMP": updates} | ({"SHIFT": updates} if leak else {})
    words = {"membrane_read": updates, "membrane_write": updates}
    return (Row(scope, "neuron", steps=2, counts=counts, words=words, order=1),
            Emission(scope, "LIF", "binary", units, updates, spikes, (0, 0), spikes, 0, 0, order=1))  # fmt: skip


def priced(row: Row, profile: str, *neurons, samples: int = 1):
    rows, emissions = zip(*neurons, strict=True) if neurons else ((), ())
    return energy.price(Ledger(MODEL, samples, (row, *rows), emissions), profile)


def lines(bill, layer: str) -> dict[tuple[str, str], tuple[float, float]]:
    """(part, class): count and pJ each."""
    return {(line.op, line.operation): (line.count, line.pj) for line in bill.lines if line.layer == layer}


def fit(words: float) -> float:
    return 1.09e-5 * words * 32 + 13.2


class TestQualia:
    def test_a_convolution_of_spikes(self):
        bill = priced(conv(), "lemaire2022_qualia", neuron("lif", 75, (4, 2)))
        touched, updates = 7 * 3 * 9, 2 * 75
        assert lines(bill, "conv") == {
            ("conv", "AC"): (7 * 9 * 3 + updates, 0.1),
            ("addressing", "AC"): (7 * 9, 0.1),
            ("addressing", "MAC"): (14, 3.2),
            ("conv", "READ_INPUT"): (7, 13.2),
            ("conv", "READ_WEIGHT"): (touched, fit(54)),
            ("conv", "READ_BIAS"): (updates, fit(3)),
            ("conv", "READ_MEMBRANE"): (touched + updates, fit(75)),
            ("conv", "WRITE_MEMBRANE"): (touched + updates, fit(75)),
        }
        assert lines(bill, "lif") == {
            ("neuron", "MAC"): (updates, 3.2), ("neuron", "AC"): (6, 0.1), ("neuron", "WRITE_OUTPUT"): (6, 13.2),
        }  # fmt: skip
        assert not bill.unpriced

    def test_a_linear_layer_of_spikes_before_a_neuron_without_leak(self):
        bill = priced(linear(), "lemaire2022_qualia", neuron("if", 4, (1, 0), leak=False))
        assert lines(bill, "fc") == {
            ("linear", "AC"): (5 * 4 + 2 * 4, 0.1),
            ("addressing", "AC"): (5 / 8 * 4, 0.1),
            ("linear", "READ_INPUT"): (5, 13.2),
            ("linear", "READ_WEIGHT"): (5 * 4, fit(32)),
            ("linear", "READ_MEMBRANE"): (5 * 4 + 2 * 4, fit(4)),
            ("linear", "WRITE_MEMBRANE"): (5 * 4 + 2 * 4, fit(4)),
        }
        assert ("neuron", "MAC") not in lines(bill, "if")

    def test_a_formal_network(self):
        """Without neurons: one pass over the sample, and the same lines as an ANN of a spiking network has."""
        uses = 75 * 2 * 9
        expected = {
            ("conv", "MAC"): (uses, 3.2), ("conv", "AC"): (75, 0.1), ("addressing", "AC"): (50 + 75 + 27, 0.1),
            ("conv", "READ_INPUT"): (uses, fit(50)), ("conv", "READ_WEIGHT"): (uses, fit(54)),
            ("conv", "READ_BIAS"): (75, fit(3)), ("conv", "WRITE_OUTPUT"): (75, fit(75)),
        }  # fmt: skip
        assert lines(priced(conv(**REAL, largest=2.0), "lemaire2022_qualia"), "conv") == expected
        spiking = priced(conv(), "lemaire2022_qualia", neuron("lif", 75, (4, 2)))
        assert {(x.op, x.operation): (x.count, x.pj) for x in spiking.ann_lines} == expected
        fc = lines(priced(linear(**REAL, largest=2.0), "lemaire2022_qualia"), "fc")
        assert fc == {
            ("linear", "MAC"): (32, 3.2), ("linear", "AC"): (4, 0.1), ("addressing", "AC"): (32, 0.1),
            ("linear", "READ_INPUT"): (8, fit(8)), ("linear", "READ_WEIGHT"): (32, fit(32)),
            ("linear", "WRITE_OUTPUT"): (4, fit(4)),
        }  # fmt: skip

    @pytest.mark.parametrize("operand", [{"largest": 2.0, **REAL}, {"largest": 3.0}])
    def test_values_that_are_no_spikes_are_read_and_multiplied_once(self, operand):
        found = lines(priced(conv(**operand), "lemaire2022_qualia", neuron("lif", 75, (4, 2))), "conv")
        assert found["conv", "MAC"] == (75 * 18, 3.2) and found["conv", "READ_INPUT"] == (75 * 18, fit(50))
        assert found["conv", "READ_WEIGHT"] == (7 * 27, fit(54)) and ("addressing", "MAC") not in found


def curve(words: float) -> float:
    """4-byte words on the first piece: 2.5 pJ per byte at 8 KiB."""
    return 4 * 2.5 / 8192 * 4 * words


class TestSpikingJelly:
    def test_a_convolution_of_spikes(self):
        bill = priced(conv(), "lemaire2022_sj", neuron("lif", 75, (4, 2)))
        touched, updates = 7 * 3 * 9, 2 * 75
        expected = {
            ("conv", "AC"): (7 * 3 * 9 + updates, 0.1),
            ("addressing", "AC"): (touched, 0.1),
            ("addressing", "MAC"): (14, 3.2),
            ("conv", "READ_INPUT"): (7, curve(1000)),
            ("conv", "READ_WEIGHT"): (touched, curve(57)),
            ("conv", "READ_BIAS"): (updates, curve(57)),
            ("conv", "READ_MEMBRANE"): (touched, curve(75)),
            ("conv", "WRITE_MEMBRANE"): (touched, curve(75)),
        }
        assert lines(bill, "conv") == {key: (n, pytest.approx(pj)) for key, (n, pj) in expected.items()}
        assert lines(bill, "lif") == {
            ("neuron", "MAC"): (updates, 3.2), ("neuron", "AC"): (6, 0.1),
            ("neuron", "READ_MEMBRANE"): (updates, pytest.approx(curve(75))),
            ("neuron", "WRITE_MEMBRANE"): (updates, pytest.approx(curve(75))),
            ("neuron", "WRITE_OUTPUT"): (6, pytest.approx(curve(1000))),
        }  # fmt: skip

    def test_the_curve_of_a_memory(self):
        from neuromorphic.energy.models.formulas import numbers
        from neuromorphic.energy.models.lemaire_sj import access_pj

        given = numbers(energy.load_profile("lemaire2022_sj"))
        kib = 1024 / 4
        found = [access_pj(words, given) for words in (0, 8 * kib, 20 * kib, 32 * kib, 528 * kib, 1024 * kib, 1e9)]
        assert found == pytest.approx([0, 10, 15, 20, 60, 100, 100])

    def test_the_same_as_the_tool(self):
        """SpikingJelly's own figure for a small network, on spikes and on real values."""
        pytest.importorskip("spikingjelly")
        from spikingjelly.activation_based import functional, neuron, op_counter

        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), neuron.LIFNode(v_threshold=0.1),
                            nn.Conv2d(3, 4, 2, bias=False), neuron.IFNode(v_threshold=0.1), nn.Linear(2, 5))
        for x in ((torch.rand(1, 2, 5, 5) > 0.5).float(), 3 * torch.rand(1, 2, 5, 5)):
            functional.reset_net(net)
            theirs = op_counter.estimate_lemaire_energy(net, x)
            functional.reset_net(net)
            ledger = trace(net, x)
            assert 0 < sum(sum(e.positive) for e in ledger.emissions) < sum(e.numel for e in ledger.emissions)
            assert energy.price(ledger, "lemaire2022_sj").total_mj * 1e9 == pytest.approx(theirs.total_pj, rel=1e-12)
        functional.reset_net(net)


def test_rows_without_a_formula_stay_unpriced():
    product = Row("qk", "matmul", left=Operand(16, 5, 0, smallest=1.0, largest=1.0),
                  right=Operand(16, 4, 0, smallest=1.0, largest=1.0), dense=64, left_events=20, right_events=16)
    for profile in ("lemaire2022_qualia", "lemaire2022_sj"):
        bill = priced(product, profile)
        assert bill.unpriced == {"AC": 16} and bill.lower_bound and bill.total_mj == 0


def test_how_taps_overlap_is_traced():
    for stride, overlap in ((1, 9), (2, 4), (3, 1)):
        (row,) = trace(nn.Conv2d(2, 3, 3, stride=stride, padding=1), torch.ones(1, 2, 6, 6)).rows
        assert dict(row.geometry)["overlap"] == overlap
    old = Row("c", "conv", geometry=(("in", 1), ("out", 1), ("pixels", 1), ("taps", 1)), dense=1,
              left=Operand(1, 1, 0, smallest=1.0, largest=1.0))
    with pytest.raises(ValueError, match="Trace the model again"):
        priced(old, "lemaire2022_sj")


def test_a_chip_is_priced_by_synapses_and_updates():
    bill = priced(linear(), "loihi1_presilicon", neuron("lif", 4, (1, 0)))
    assert bill.counts == {"SYNOP": 20, "NEURON_UPDATE": 8} and not bill.lower_bound
    assert bill.total_mj * 1e9 == pytest.approx(20 * 23.6 + 8 * 81)
    real = priced(linear(**REAL, largest=2.0), "loihi1_presilicon", neuron("lif", 4, (1, 0)))
    assert real.unpriced == {"MAC": 64} and real.ratio is None


def test_memory_at_one_price_per_word():
    bill = priced(conv(), "step_mem", neuron("lif", 75, (4, 2)), samples=2)
    word, arithmetic = 99.84, (189 + 150) * 0.9 + 150 * (0.9 + 0.9 + 0.045)
    assert bill.counts["READ_WEIGHT"] == 189 and bill.counts["READ_BIAS"] == bill.counts["READ_MEMBRANE"] == 150
    assert bill.total_mj * 1e9 == pytest.approx((arithmetic + word * (189 + 3 * 150)) / 2)
    assert bill.ann_mj * 1e9 == pytest.approx((1014 * 4.6 + 75 * 0.9 + word * (1014 + 75)) / 2)
