"""Which rate multiplies which operation, what has no price, and how sure a mean is: the tables of a paper."""

import pytest

from neuromorphic import energy
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row
from neuromorphic.report import Entry, Report, html, markdown, rates, table


def products(*rows: Row, T: int = 4) -> list[list[str]]:
    ledger = Ledger(ModelInfo("net", "Net", 256, T, (32,)), 2, rows)
    entry = Entry("net", (energy.price(ledger, "horowitz45_fp32"),))
    return [[cell.text for cell in row] for row in rates.rates(entry, entry.bills[0]).rows]


def test_spikes_times_weights_by_hand():
    """Rate 1/4: 2048 terms of two samples, 512 of them carried out and 64 biases added; 0.9 pJ each."""
    row = Row("fc", "linear", steps=4, left=Operand(256, 64, 0, smallest=1.0, largest=1.0), dense=2048, bias=64,
              left_events=512)
    assert products(row) == [["fc (linear)", "input: binary 25.0 % × weights", "1,024", "25.0 %", "256 AC, 32 ADD",
                              "0.9, 0.9", "259 pJ"]]


def test_the_models_input_is_named_and_a_real_tensor_has_no_rate():
    row = Row("stem", "conv", left=Operand(8, 8, 0, integers=False, powers_of_two=False, largest=1.0), dense=64,
              reads_input=True, steps=4)
    assert products(row)[0][1] == "the model's input: real × weights"
    assert products(row)[0][3] == "100.0 %"


def test_both_sides_of_a_product_of_spikes_and_its_number():
    left, right = (Operand(16, n, 0, smallest=1.0, largest=1.0) for n in (4, 8))
    row = Row("attn", "matmul", left=left, right=right, dense=64, left_events=16, right_events=32, coincidence=8)
    again = Row("attn", "matmul", call=1, left=left, right=right, dense=64, left_events=16, right_events=32)
    found = products(row, again)
    assert [one[0] for one in found] == ["attn (matmul 1)", "attn (matmul 2)"]
    assert found[0][1] == "left: binary 25.0 % × right: binary 50.0 %"
    assert found[0][3] == "25.0 %" and found[0][4] == "8 AC"  # the smaller one-sided count, over two samples


def test_none_for_a_paper_table(report):
    assert rates.rates(report.entries[2], report.entries[2].bills[0]) is None


def test_energies_add_up_to_the_products_of_the_bill(spiking):
    entry = spiking("net", bipolar=True)
    bill = energy.price(entry.ledger, "horowitz45_fp32")
    found = rates.rates(Entry("net", (bill,)), bill)
    assert sum(row[6].value for row in found.rows) == pytest.approx(bill.total_mj * 1e9)


def test_unpriced_classes_are_listed_with_their_counts(report):
    found = table.unpriced(report.entries[2])
    assert [cell.text for cell in found.rows[0]] == ["ERF: error function (GELU)", "horowitz45_fp32", "8,192", "2"]
    assert table.unpriced(report.entries[0]) is None
    assert "Without a price: totals are lower bounds" in html.render(report)
    assert "without a price, so that totals are lower bounds" in markdown.render(report)


def test_statistics_of_single_samples(report, many):
    first = report.entries[0]
    sure = Report((Entry(first.label, first.bills, spreads=(many,)), *report.entries[1:]))
    row = [cell.text for cell in table.statistics(sure).rows[0]]
    assert row[:4] == ["BSA", "horowitz45_fp32", "40", "1.04 µJ"] and row[7] == "yes" and row[8] == "–"
    assert table.statistics(report) is None
    assert "How sure the means are" in html.render(sure) and "How sure the means are" not in html.render(report)
    assert "How sure the means are" in markdown.render(sure)
