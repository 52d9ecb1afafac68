"""Every view says the same: sums, columns, sentences, units."""

import csv
import io
import json
import math
import unicodedata
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest
from rich.console import Console

from neuromorphic import energy
from neuromorphic.energy.bill import Rule
from neuromorphic.measured import Measured
from neuromorphic.report import (
    Checkpoint,
    Entry,
    Provenance,
    Report,
    Spread,
    as_report,
    facts,
    print_report,
    table,
)
from neuromorphic.report import csv as csv_view
from neuromorphic.report import html as html_view
from neuromorphic.report import json as json_view
from neuromorphic.report import markdown as markdown_view


def markdown_rows(text: str) -> list[list[str]]:
    """The cells of a pipe table; an escaped pipe does not end a cell."""
    return [[cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")] for line in text.splitlines()]


class TestTotals:
    def test_lines_of_the_csv_add_up_to_each_bill(self, report):
        rows = list(csv.DictReader(io.StringIO(csv_view.render(report))))
        for entry in report.entries:
            for bill in entry.bills:
                parts = [float(row["energy_pj_per_sample"] or 0) for row in rows
                         if (row["model"], row["profile"]) == (entry.label, bill.profile.name)]
                assert math.isclose(math.fsum(parts), bill.total_mj * 1e9, rel_tol=1e-12) and bill.total_mj > 0

    def test_layers_and_classes_of_the_json_add_up(self, report):
        for entry in json.loads(json_view.render(report))["entries"]:
            for bill in entry["bills"]:
                assert math.isclose(math.fsum(bill["by_layer_mj"].values()), bill["total_mj"], rel_tol=1e-12)
                assert math.isclose(math.fsum(bill["by_class_mj"].values()), bill["total_mj"], rel_tol=1e-12)

    def test_layer_table_adds_up(self, report):
        for entry in report.entries:
            rows = table.layers(entry).rows
            for column, bill in enumerate(reversed(entry.bills), start=1):
                unit = facts.text.energy_unit(mj * 1e9 for mj in bill.by_layer.values())
                total = math.fsum(row[-column].value for row in rows) * unit[1]
                assert math.isclose(total, bill.total_mj * 1e9, rel_tol=1e-9)

    def test_one_number_by_hand(self, report):
        """softmax ANN at fp32: its MACs, exponentials and divisions; the error functions have no price."""
        bill = next(e for e in report.entries if e.label == "softmax ANN").bills[0]
        macs = 16_384 + 2 * (4 * 65_536 + 2 * 262_144 + 32_768)
        assert math.isclose(bill.total_mj * 1e9, macs * 4.6 + 2 * (512 * 22.0 + 32 * 26.3), rel_tol=1e-12)


class TestCsv:
    def test_columns(self, report):
        assert csv_view.render(report).splitlines()[0] == (
            "model,profile,layer,family,operation,count_per_sample,price_pj,energy_pj_per_sample,part,level,verified,"
            "source,input_kind,input_rate,other_kind,other_rate,steps,dense_per_sample")

    def test_the_rate_that_multiplies_an_operation_stands_beside_it(self, report):
        """stem.conv: 2000 of 2560 values are not zero; blocks.0.attn.q: 6,000 of 40,960, in 4 steps."""
        rows = {row["layer"]: row for row in csv.DictReader(io.StringIO(csv_view.render(report)))
                if row["model"] == "BSA" and row["family"] in ("conv", "linear")}
        assert (rows["stem.conv"]["input_kind"], rows["stem.conv"]["input_rate"]) == ("real", "0.78125")
        assert rows["blocks.0.attn.q.linear"]["input_rate"] == "0.146484"
        assert rows["blocks.0.attn.q.linear"]["steps"] == "4"
        assert rows["blocks.0.attn.q.linear"]["source"] == "Horowitz, ISSCC 2014"

    def test_an_operation_without_price_leaves_the_energy_empty(self, report):
        rows = [row for row in csv.DictReader(io.StringIO(csv_view.render(report))) if row["operation"] == "ERF"]
        assert rows and all(row["price_pj"] == row["energy_pj_per_sample"] == "" for row in rows)

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n=1", "\uff1d1", "=a\x00b"])
    def test_no_name_is_a_formula(self, hostile, name):
        rows = list(csv.reader(io.StringIO(csv_view.render(hostile(name)))))
        assert all(cell.strip()[:1] not in "=+-@\uff1d" for row in rows for cell in row[:5] if cell)
        assert {len(row) for row in rows} == {len(csv_view.COLUMNS)}


class TestMarkdown:
    def test_the_table_has_a_cell_for_every_column(self, report):
        data = table.summary(report)
        rows = markdown_rows(markdown_view.markdown_table(data))
        assert len(rows) == 2 + len(report.entries)
        assert {len(row) for row in rows} == {len(data.columns)}
        assert set(rows[1]) == {"---:", ":---"}

    def test_pipes_and_markup_in_names_stay_text(self, hostile):
        text = markdown_view.render(hostile("a|b](javascript:x)<img src=x>`*_"))
        assert "<img" not in text and "](javascript" not in text
        lines = markdown_view.markdown_table(table.summary(hostile("a|b")))
        assert {len(row) for row in markdown_rows(lines)} == {len(table.summary(hostile("a|b")).columns)}

    def test_definitions_come_before_the_table(self, report):
        text = markdown_view.render(report)
        assert text.index("## Columns") < text.index("## Models side by side")

    def test_constants_stand_below_the_table(self, report):
        text = markdown_view.summary_markdown(report)
        assert "MAC 4.6 pJ, AC 0.9 pJ" in text.replace("\\", "") and facts.DISCLAIMER in text


class TestTerminal:
    def show(self, report, width):
        out = io.StringIO()
        print_report(report, Console(file=out, width=width))
        return out.getvalue()

    @pytest.mark.parametrize("width", [60, 84, 160])
    def test_every_number_is_whole_at_any_width(self, report, width):
        text = self.show(report, width)
        for row in table.summary(report).rows:
            assert all(cell.text in text for cell in row)

    def test_no_control_characters_reach_the_terminal(self, hostile):
        text = self.show(hostile("\x1b[31mred\x07\u202e[bold]x[/bold]"), 160)
        assert not set(text) & {"\x1b", "\x07", "\u202e"} and "[bold]x[/bold]" in text

    @pytest.mark.parametrize("payload", [
        "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "\x9b31m", "a\rb", "a\nWarning: all is well", "\x08\x08\x08",
        "\x1b[2J", "\u202egnp.exe", "\u2028", "\x00", "[/]", "[link=http://evil]x[/link]", "\ud800", "\x1bP1;1|\x1b\\",
        "x" * 9000,
    ], ids=range(14))
    def test_names_that_a_terminal_would_obey(self, hostile, payload):
        text = self.show(hostile(payload), 200)
        assert all(letter == "\n" or unicodedata.category(letter)[0] != "C" for letter in text)
        assert "\u2028" not in text and not any(line.startswith("Warning: all is well") for line in text.split("\n"))

    def test_statistics_provenance_and_joules_are_said(self, report):
        entry = replace(report.entries[0], spreads=(Spread("horowitz45_fp32", (1e-3, 2e-3)),),
                        checkpoint=Checkpoint("bsa", "cd" * 32), measured=Measured("no package", "none"))
        text = self.show(Report((entry,), provenance=Provenance("spikeattn energy x")), 4000)
        assert "mean and standard deviation of 2 samples" in text and "the samples ran out" in text
        assert "Command: spikeattn energy x" in text and "sha256 cdcd" in text
        assert "BSA: joules not measured (no package): none" in text


class TestFacts:
    def test_ratio_and_headline(self, report):
        bsa, ann = report.entries[0], report.entries[2]
        assert report.baseline is ann
        factor = bsa.bills[0].total_mj / ann.bills[0].total_mj
        assert facts.ratio_to_baseline(report, bsa, "horowitz45_fp32") == factor
        sentence = facts.headline(report)
        assert f"{factor:.3f} times the arithmetic energy of softmax ANN" in sentence
        assert "45 nm, fp32" in sentence and "int8" in sentence
        assert "90.0 % accuracy on 10 samples against 90.0 %" in sentence

    def test_the_spread_over_seeds_is_said_once_for_each_profile(self, report):
        report = replace(report, seeds=(("BSA", "SSA"),))
        out = io.StringIO()
        print_report(report, Console(file=out, width=4000))
        for view in (out.getvalue(), markdown_view.render(report)):
            assert view.count("Over 2 checkpoints of one configuration under") == 2
        page = html_view.render(report)  # the other profile's is packed
        assert page.count("Over 2 checkpoints of one configuration under horowitz45_fp32") == 1

    def test_what_skips_zeros_is_no_yardstick(self, report):
        skipping = replace(report.entries[2], role="zero-skipping ann", twin_of="BSA")
        assert Report((report.entries[0], skipping)).baseline is None

    def test_of_many_profiles_the_headline_names_the_lowest_the_highest_and_how_many(self, report):
        ledger = report.entries[0].ledger
        bills = tuple(energy.price(ledger, name) for name in energy.profiles())
        sound = [bill for bill in bills if bill.profile.verified and bill.profile.physical]
        sentence = facts.headline(Report((Entry("BSA", bills),)))
        assert f"the lowest and the highest of {len(sound)} verified profiles" in sentence and len(sound) < len(bills)
        assert facts.text.energy(min(bill.total_mj for bill in sound if not bill.lower_bound) * 1e9) in sentence
        assert facts.text.energy(max(bill.total_mj for bill in sound) * 1e9) in sentence
        assert sentence.count("per sample") == 2 and "unphysical" not in sentence

    def test_a_lower_bound_of_the_baseline_makes_the_ratio_an_upper_bound(self, report):
        bsa, ann, cat = report.entries[0], report.entries[2], report.entries[3]
        assert ann.bills[0].unpriced == {"ERF": 81_920} and not bsa.bills[0].unpriced
        signs = [facts.ratio_sign(report, entry.bills[0]) for entry in (bsa, ann, cat)]
        assert signs == ["≤ ", "", "≈ "]

    def test_shiftmax_by_both_accountings(self, report):
        cost = facts.shiftmax_cost(report.entries[0].bills[0])
        assert math.isclose(cost.shiftmax, 2 * (2048 * 0.13 + 4096 * 0.9 + 256 * 0.1))
        assert math.isclose(cost.score_value_shift_only, 2 * 65_536 * 0.13)
        assert math.isclose(cost.score_value_shift_add, 2 * 65_536 * (0.13 + 0.9))
        assert facts.shiftmax_cost(report.entries[1].bills[0]) is None

    def test_break_even(self, report):
        assert [round(facts.break_even(profile), 2) for profile in report.profiles] == [5.11, 3.0]

    def test_rate_times_steps_by_hand(self, report):
        """Two blocks, four widths of 1 and two of 4, rates .08, .11, ... .23, at T = 4."""
        weights, rates = (1, 1, 1, 1, 4, 4), (0.08, 0.11, 0.14, 0.17, 0.20, 0.23)
        mean = sum(w * r for w, r in zip(weights, rates, strict=True)) / sum(weights)
        assert math.isclose(facts.rate_times_steps(report.entries[0].ledger), 4 * mean, rel_tol=1e-4)

    def test_every_rule_has_words(self):
        for name, hint in get_type_hints(Rule).items():
            if hint is not float:
                choices = {value for one in get_args(hint) or (False, True)
                           for value in get_args(one) or ((None,) if one is type(None) else (one,))}
                assert set(facts.RULES[name][1]) == choices


class TestInterval:
    def test_the_fixed_headline_and_both_ends(self, report):
        """Over the first model's own rows; against its products as a dense ANN, for the softmax ANN has no rows."""
        found = {one.profile.name: one for one in facts.under_verified(report)}
        known = map(energy.load_profile, energy.profiles())
        assert set(found) == {profile.name for profile in known if profile.verified and profile.physical}
        assert {one.profile.model for one in found.values()} == {"operations", "chip", "lemaire_qualia", "lemaire_sj"}
        ledger = report.entries[0].ledger
        for name, one in found.items():
            assert math.isclose(one.total_pj, energy.price(ledger, name).total_mj * 1e9, rel_tol=1e-12)
        totals = sorted(setting.total_mj * 1e9 for one in found.values() for setting in one.settings)
        sentence = facts.interval(report)
        assert sentence.startswith(f"BSA at 45 nm, fp32: {facts.text.energy(found[facts.FIXED].total_pj)}, ")
        assert facts.text.energy(totals[0]) in sentence and facts.text.energy(totals[-1]) in sentence
        assert f"over all {len(found)} verified profiles, memory-aware ones included" in sentence
        assert {setting.reuse for one in found.values() for setting in one.settings} == {None, *energy.REUSE}
        assert sentence.endswith("lower bounds under loihi1_presilicon.") and f"({report.span.high.name})" in sentence

    def test_against_the_baseline_where_it_was_counted(self, report):
        bsa, ssa = report.entries[:2]
        both = Report((bsa, ssa), reference="SSA")
        one = next(one for one in facts.under_verified(both) if one.profile.name == facts.FIXED)
        expected = energy.price(bsa.ledger, facts.FIXED).total_mj / energy.price(ssa.ledger, facts.FIXED).total_mj
        assert math.isclose(one.ratio, expected) and "times SSA" in facts.interval(both)

    def test_a_chip_without_multiplications_gives_no_ratio(self, report):
        found = {one.profile.name: one for one in facts.under_verified(report)}
        assert found["loihi1_presilicon"].ratio is None and found["loihi1_presilicon"].lower_bound
        assert found["lemaire2022_qualia"].ratio > 0

    def test_in_every_view(self, report):
        out = io.StringIO()
        print_report(report, Console(file=out, width=4000))
        shown = json.loads(json_view.render(report))
        assert shown["interval"] == facts.interval(report) and len(shown["verified_profiles"]) > 5
        for view in (out.getvalue(), markdown_view.render(report).replace("\\", ""), html_view.render(report)):
            assert "memory-aware ones included" in view

    def test_nothing_to_say_of_a_table_or_an_old_ledger(self, report):
        assert facts.interval(Report(report.entries[2:])) is None  # no rows at all
        printed = energy.published("spikformer", [("stem", 1e6, 1.0, "stem"), ("fc", 1e7, 0.25, "linear")])
        assert facts.interval(Report((Entry("paper", (printed,)),))) is None  # a table has one price in mind
        entry = report.entries[0]
        rows = tuple(replace(row, geometry=()) for row in entry.ledger.rows)
        old = replace(entry, bills=tuple(replace(b, ledger=replace(b.ledger, rows=rows)) for b in entry.bills))
        names = {one.profile.name for one in facts.under_verified(Report((old,)))}
        assert facts.FIXED in names and not {"lemaire2022_sj", "lemaire2022_qualia"} & names


class TestDisclaimer:
    def test_arithmetic_is_said_only_where_it_is_all(self):
        fp32, step, sj = map(energy.load_profile, ("horowitz45_fp32", "step_mem", "lemaire2022_sj"))
        assert facts.disclaimer([fp32]) == facts.DISCLAIMER
        assert facts.disclaimer([step, sj]) == "Theoretical energy of arithmetic and memory, not measured joules."
        assert facts.disclaimer([fp32, step]).endswith("arithmetic alone, but with memory under step_mem.")
        assert facts.left_out([fp32]).startswith("Memory traffic")
        assert facts.left_out([fp32, sj]).endswith("only under lemaire2022_sj.")
        assert facts.left_out([sj]) == "Leakage and control are not in it."

    def test_the_headline_does_not_call_memory_arithmetic(self, report):
        bsa, ssa = report.entries[:2]
        for names in (["step_mem"], [facts.FIXED, "step_mem"]):
            entries = tuple(Entry(e.label, tuple(energy.price(e.ledger, n) for n in names)) for e in (bsa, ssa))
            sentence = facts.headline(Report(entries, reference="SSA"))
            assert "times the energy of SSA" in sentence and "arithmetic" not in sentence


class TestBaselines:
    def test_every_spiking_model_stands_beside_its_layers_as_an_ann(self, report):
        names = [(row[0].text, row[1].text.split(", ")[1].split(" ")[0]) for row in table.dense_baselines(report).rows]
        assert names == [(label, name) for label in ("BSA", "SSA") for name in ("fp32", "fp16", "int8", "3-bit")]

    def test_by_hand(self, report):
        """At fp32 the baseline is the dense self of the bill; the ratio at int8 takes the int8 bill of the model."""
        bsa = report.entries[0]
        first, _, int8, quantised = table.dense_baselines(report).rows[:4]
        assert math.isclose(first[3].value, bsa.bills[0].ann_mj * 1e9)
        assert math.isclose(first[4].value, bsa.bills[0].ratio) and first[2].text == "4.6"
        assert math.isclose(int8[5].value, bsa.bills[1].total_mj / (int8[3].value / 1e9))
        assert first[5].value is None and first[5].text == "–"  # int8 spikes against an fp32 ANN
        assert "3-bit (prices ours, not verified)" in quantised[1].text and quantised[2].text == "0.128"

    def test_in_every_view(self, report):
        out = io.StringIO()
        print_report(report, Console(file=out, width=200))
        shown = json.loads(json_view.render(report))["entries"]
        assert [b["name"] for b in shown[0]["baselines"]] == ["fp32", "fp16", "int8", "3-bit"]
        assert [b["verified"] for b in shown[0]["baselines"]] == [True, True, True, False]
        assert shown[2]["baselines"] == []
        for view in (out.getvalue(), markdown_view.render(report), html_view.render(report)):
            assert "same layers as a dense ANN, int8" in view

    def test_none_without_spikes(self, report):
        assert table.dense_baselines(Report(report.entries[2:])) is None
        assert "The same layers as a dense ANN" not in html_view.render(Report(report.entries[2:]))


class TestWarnings:
    def test_missing_price_is_named_once_for_all_profiles(self, report):
        found = [w for w in facts.warnings(report) if "no price for ERF" in w and w.startswith("softmax ANN")]
        assert len(found) == 1 and "horowitz45_fp32 and horowitz45_int8_acc32" in found[0]

    def test_each_profile_is_named_with_what_it_lacks(self, report):
        """The one lacks ERF, the other EXP too: 2 * 4096 error functions and 2 * 512 exponentials per sample."""
        ann = report.entries[2]
        lines = tuple(replace(line, pj=None) if line.operation == "EXP" else line for line in ann.bills[1].lines)
        entry = Entry("net", (ann.bills[0], replace(ann.bills[1], lines=lines)), training="trained")
        found = [warning for warning in facts.warnings(Report((entry,))) if "no price for" in warning]
        assert found == ["net: no price for ERF (8,192) per sample in horowitz45_fp32; totals are lower bounds.",
                         "net: no price for EXP (1,024), ERF (8,192) per sample in horowitz45_int8_acc32; totals are "
                         "lower bounds."]

    def test_accuracy_and_training(self, report):
        entry = report.entries[0]
        model = replace(entry.model, labelled=0, correct=0)
        ledger = replace(entry.ledger, model=model)
        bare = Entry("bare", tuple(replace(bill, ledger=ledger) for bill in entry.bills))
        found = facts.warnings(Report((bare,)))
        assert "bare: accuracy not given." in found and any("training unknown" in warning for warning in found)
        assert "accuracy not given" in facts.headline(Report((bare,)))

    @pytest.mark.parametrize(("rate", "word"), [(0, "silent"), (95, "saturated")])
    def test_silent_and_saturated_layers_are_named(self, report, rate, word):
        entry = report.entries[0]
        odd = replace(entry.ledger.emissions[3], scope="blocks.0.odd", positive=(rate * 102,) * 4, negative=(0,) * 4)
        ledger = replace(entry.ledger, emissions=(odd,))
        changed = replace(entry, bills=tuple(replace(bill, ledger=ledger) for bill in entry.bills))
        found = [warning for warning in facts.warnings(Report((changed,))) if word in warning]
        assert len(found) == 1 and "blocks.0.odd" in found[0]

    def test_uncovered_operations_make_totals_lower_bounds(self, hostile):
        report = hostile("net")
        assert any("aten.erfinv" in warning and "lower bounds" in warning for warning in facts.warnings(report))
        energies = [cell.text for cell in table.summary(report).rows[0][6:8]]
        assert all(text.startswith("≥ ") for text in energies)


class TestRecords:
    def test_a_mapping_is_a_report(self, report):
        bills = report.entries[0].bills
        assert as_report({"a": bills[0], "b": bills}).entries[1].bills == bills

    @pytest.mark.parametrize(("bills", "error"), [({}, ValueError), ({"a": ()}, ValueError), ([], TypeError)])
    def test_what_is_no_report(self, bills, error):
        with pytest.raises(error, match="must"):
            as_report(bills)

    def test_bills_of_different_ledgers_do_not_make_an_entry(self, report):
        with pytest.raises(ValueError, match="same ledger"):
            Entry("x", (report.entries[0].bills[0], report.entries[2].bills[0]))

    def test_accuracy_in_percent_is_refused(self, report):
        with pytest.raises(ValueError, match="fraction"):
            Entry("x", report.entries[0].bills, accuracy=97.2)

    def test_labels_must_differ(self, report):
        with pytest.raises(ValueError, match="differ"):
            Report((report.entries[0], report.entries[0]))
