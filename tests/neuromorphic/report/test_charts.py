"""The charts: what is drawn is what was counted, and the numbers beside it say the same."""

import math
import re
from dataclasses import replace

import pytest
from markupsafe import Markup

from neuromorphic import energy
from neuromorphic.energy.bill import Line, Rule
from neuromorphic.ledger import Ledger, ModelInfo, Operand, Row
from neuromorphic.report import Entry, Report, charts, facts, table, text
from neuromorphic.report.charts import parts, plane, span
from neuromorphic.report.json import plain
from neuromorphic.report.svg import Bar, Part, stacked_bars

FP32 = "horowitz45_fp32"


def widths(drawing: Markup) -> list[float]:
    return [float(width) for width in re.findall(r'<rect x="[0-9.]+%" [^>]*?width="([0-9.]+)%"', drawing)]


def titles(drawing: Markup) -> list[str]:
    return re.findall(r"<title>(.*?)</title>", drawing)


@pytest.fixture
def profile():
    return energy.load_profile(FP32)


@pytest.fixture
def small() -> Ledger:
    """Spikes at rate 1/4 into 32 x 8 weights at T = 4, everything that a profile or a reuse model asks for."""
    from neuromorphic.ledger import Emission

    spikes = Operand(128, 32, 0, smallest=1.0, largest=1.0)
    row = Row("fc", "linear", steps=4, geometry=(("in", 32), ("out", 8)), left=spikes, dense=1024, left_events=256)
    fired = Emission("n", "LIF", "binary", 32, 128, (8, 8, 8, 8), (0, 0, 0, 0), (8, 8, 8, 8), 0, 0)
    return Ledger(ModelInfo("net", "Net", 256, 4, (32,)), 1, (row,), (fired,))


class TestBars:
    def test_lengths_are_shares_of_the_longest(self):
        bars = [Bar("a", (Part(3.0, "x", "3"), Part(1.0, "y", "1")), "4"), Bar("b", (Part(2.0, "x", "2"),), "2")]
        assert widths(stacked_bars(bars, "caption")) == [75.0, 25.0, 50.0]

    def test_what_cannot_be_seen_is_not_drawn(self):
        bars = [Bar("a", (Part(1e4, "x", ""), Part(1.0, "y", "")), "")]
        assert len(widths(stacked_bars(bars, ""))) == 1

    def test_parts_add_up_to_the_bill(self, report):
        for entry in report.entries:
            for bill in entry.bills:
                found = parts.energies(bill.lines, bill.samples)
                assert math.isclose(math.fsum(found.values()), facts.total_pj(bill), rel_tol=1e-12)
                assert math.isclose(math.fsum(parts.grouped(found).values()), facts.total_pj(bill), rel_tol=1e-12)

    def test_a_neuron_is_one_part_whatever_it_does_and_memory_another(self):
        assert parts.style_of(Line("n", "neuron", "CMP", 1, 1.0)) == "op-neuron"
        assert parts.style_of(Line("fc", "linear", "READ_WEIGHT", 1, 1.0, "dram")) == "op-memory"
        assert parts.style_of(Line("fc", "linear", "AC", 1, 1.0)) == "op-ac"

    def test_every_class_of_operation_has_a_colour_and_a_name(self):
        for name in energy.CLASSES:
            for family in ("linear", "neuron"):
                assert parts.style_of(Line("x", family, name, 1, 1.0)) in parts.LEGEND


class TestComparison:
    def test_accuracy_stands_beside_every_energy(self, report):
        entries = (report.entries[0], Entry("unknown", replace_accuracy(report.entries[1])))
        drawing = charts.comparison.draw(Report(entries), report.profiles[0])
        assert "90.0 % accuracy" in drawing and "accuracy not given" in drawing

    def test_twins_say_that_they_are(self, report):
        twin = replace(report.entries[2], role="softmax twin", twin_of="BSA")
        drawing = charts.comparison.draw(Report((report.entries[0], twin)), report.profiles[0])
        assert "softmax twin" in drawing and drawing.count("row strong") == 1

    def test_numbers_add_up(self, report):
        for row in charts.comparison.numbers(report, report.profiles[0]).rows:
            assert math.isclose(row[2].value, math.fsum(cell.value for cell in row[3:]), rel_tol=1e-9)


def replace_accuracy(entry: Entry) -> tuple:
    """The bills of an entry whose ledger saw no label."""
    model = replace(entry.ledger.model, labelled=0, correct=0)
    ledger = replace(entry.ledger, model=model)
    return tuple(replace(bill, ledger=ledger) for bill in entry.bills)


class TestLayers:
    def test_few_layers_one_by_one_many_block_by_block(self, spiking):
        few, many = spiking("few", bipolar=True), spiking("many", bipolar=True, blocks=5)
        assert not charts.layers.grouped(few) and charts.layers.grouped(many)
        assert "blocks.0.attn.q.linear" in charts.layers.draw(few, few.bills[0])
        blocks = charts.layers.draw(many, many.bills[0])
        assert "blocks.4" in blocks and "attn" not in blocks
        assert charts.layers.block_of("blocks.11.mlp.fc1") == "blocks.11"

    def test_numbers_add_up(self, spiking):
        entry = spiking("deep", bipolar=True, blocks=5)
        for bill in entry.bills:
            rows = charts.layers.numbers(entry, bill).rows
            unit = facts.text.energy_unit(row[1].value for row in rows)
            assert unit and all(math.isclose(r[1].value, math.fsum(c.value for c in r[2:])) for r in rows)


class TestFiring:
    def test_both_signs_of_every_step(self, report):
        drawing = charts.firing.draw(report.entries[0])
        assert len(re.findall("<rect", drawing)) == 13 * 4 + 4 * 4
        assert "step 0: 4.10 % +1" in titles(drawing) and "step 0: 6.00 % −1" in titles(drawing)

    def test_the_scale_ends_above_every_rate(self, report):
        assert charts.firing.brightest(report.entries[0]) == 0.3
        opacities = [float(o) for o in re.findall('fill-opacity="([0-9.]+)"', charts.firing.draw(report.entries[0]))]
        assert max(opacities) == pytest.approx(0.24 / 0.3, abs=0.01)

    def test_many_layers_become_blocks_with_the_mean_of_their_neurons(self, spiking):
        entry = spiking("deep", bipolar=True, blocks=20)
        assert charts.firing.grouped(entry)
        drawing = charts.firing.draw(entry)
        assert drawing.count('class="row"') == 1 + 2 * 20  # stem; signed and unsigned neurons of each block
        assert len(charts.firing.numbers(entry).rows) == 1 + 20 * (4 + 2 * 2)


class TestPlane:
    def test_a_point_lies_where_its_numbers_say(self):
        x, y = plane.Axis("x", 4.0, ()), plane.Axis("y", 100.0, (), begin=1.0, logarithmic=True)
        drawing = plane.draw(x, y, [], [plane.Point(1.0, 10.0, "a", "series-0", "tip")], height=200)
        assert '<circle cx="25%" cy="100.0"' in drawing

    def test_labels_of_neighbours_do_not_cover_each_other(self):
        axis = plane.Axis("", 1.0, ())
        points = [plane.Point(0.5, 0.5 + 0.001 * index, str(index), "", "") for index in range(4)]
        shifts = plane._label_shifts(axis, axis, points, 100)
        bottoms = sorted(100 * (1 - point.y) + dy for point, dy in zip(points, shifts, strict=True))
        assert all(b - a >= plane.LABEL_HEIGHT - 1e-9 for a, b in zip(bottoms, bottoms[1:], strict=False))


class TestBreakEven:
    def test_points_are_measured_ones(self, report):
        drawing = charts.break_even.draw(report)
        assert drawing.count("<circle") == 4  # two spiking networks under two profiles
        assert "ρT = 5.11" in charts.break_even.key(report)

    def test_numbers(self, report):
        row = charts.break_even.numbers(report).rows[0]
        assert row[3].value == pytest.approx(4.6 / 0.9) and row[4].text == "above 100 %"
        assert row[6].value == report.entries[0].bills[0].ratio

    def test_a_colour_is_one_profile(self, report):
        """Of all profiles only as many are drawn as there are colours; the numbers have every one."""
        ledger = report.entries[0].ledger
        many = Report((Entry("net", tuple(energy.price(ledger, name) for name in energy.profiles())),))
        styles = re.findall(r'class="curve (series-\d)"', charts.break_even.draw(many))
        assert len(styles) == len(set(styles)) == 4 == charts.break_even.key(many).count("<li>")
        assert len(charts.break_even.numbers(many).rows) > 4

    def test_none_without_spikes(self, report):
        assert charts.break_even.draw(Report(report.entries[2:])) is None


    def test_with_memory_by_the_closed_form(self, small, profile):
        """fp32 from 8 KiB of SRAM: 5 pJ a word, two operands, one weight, a membrane read and written."""
        table = charts.break_even.with_memory(Report((Entry("net", (energy.price(small, profile),)),)))
        found = {row[1].text: row[2].value for row in table.rows}
        assert found["arithmetic only"] == pytest.approx(4.6 / 0.9)
        assert found["no reuse"] == pytest.approx((4.6 + 10) / (0.9 + 5 + 10))
        assert {row[5].text for row in table.rows} == {"spikes are cheaper", "the ANN is cheaper"}


class TestPareto:
    def test_frontier(self, report):
        """Equal accuracy: the cheapest is not beaten, the others are."""
        best = charts.pareto.frontier(report, report.profiles[0])
        cheapest = min(report.entries, key=lambda entry: entry.bills[0].total_mj)
        assert best == [cheapest]
        drawing = charts.pareto.draw(report, report.profiles[0])
        assert drawing.count("hollow") == 3 and drawing.count("<circle") == 4

    def test_one_model_has_no_plot_and_no_accuracy_no_place(self, report):
        assert charts.pareto.draw(Report(report.entries[:1]), report.profiles[0]) is None
        unknown = Entry("unknown", replace_accuracy(report.entries[1]))
        both = Report((*report.entries[2:], unknown))
        assert charts.pareto.draw(both, report.profiles[0]).count("<circle") == 2
        assert charts.pareto.numbers(both, report.profiles[0]).rows[-1][3].text == "not placed"


class TestShiftmax:
    def test_with_and_without_the_additions(self, report):
        """By hand, two blocks: Shiftmax 2048 shifts, 4096 additions, 256 leading ones; 65 536 weighted values."""
        profile = report.profiles[0]
        row = charts.shiftmax.numbers(report, profile).rows[0]
        shiftmax, bare = 2 * (2048 * 0.13 + 4096 * 0.9 + 256 * 0.1), 2 * (2048 * 0.13 + 256 * 0.1)
        both, only = 2 * 65_536 * (0.13 + 0.9), 2 * 65_536 * 0.13
        expected = [shiftmax, bare, both, only, shiftmax + both, bare + only]
        assert [cell.value for cell in row[1:7]] == pytest.approx(expected)
        drawing = charts.shiftmax.draw(report, profile)
        assert "with the additions" in drawing and "without the additions" in drawing

    def test_none_where_none_ran(self, report):
        assert charts.shiftmax.draw(Report(report.entries[1:]), report.profiles[0]) is None


class TestMarks:
    def test_a_mark_says_its_energy_to_six_digits(self, small, profile):
        """1.234567 µJ stands as 1.23 µJ beside a bar, and in full where it is pointed at; so do the settings."""
        assert parts.drawn({"op-mac": 1_234_567.0})[0].tip == "multiply-accumulate: 1.23457 µJ, 100.0 %"
        found = energy.interval(small)
        seen = titles(charts.interval.draw(found))
        assert any(text.exact(found.high.total_mj * 1e9) in tip for tip in seen)
        bill = energy.price(small, profile)
        entry = Entry("net", (bill,))
        variations = charts.sensitivity.variations(entry, bill)
        seen = titles(charts.sensitivity.draw(bill, variations))
        assert any(text.exact(variations[0].total_mj * 1e9) in tip for tip in seen)


class TestDenseBaselines:
    def test_the_reuse_model_of_the_bill_is_that_of_every_baseline(self, small, profile):
        """fp32 beside fp32: the ratio is the one to the dense self, memory on both sides."""
        for reuse in (None, *energy.REUSE):
            bill = energy.price(small, profile, reuse=reuse)
            report = Report((Entry("net", (bill,)),))
            fp32 = table.dense_baselines(report).rows[0]
            assert fp32[-1].value == pytest.approx(bill.ratio) and fp32[3].value == pytest.approx(bill.ann_mj * 1e9)
            assert plain(report)["entries"][0]["baselines"][0]["total_mj"] == pytest.approx(bill.ann_mj)


class TestZeroSkipping:
    def test_where_the_ann_costs_as_much(self, small, profile):
        """256 AC * 0.9 pJ against (1 - z) * 256 MAC * 4.6 pJ: even at z = 1 - 0.9 / 4.6."""
        report = Report((Entry("net", (energy.price(small, profile),)),))
        row = charts.zero_skipping.numbers(report, profile).rows[0]
        assert row[5].text == f"{100 * (1 - 0.9 / 4.6):.1f} %"
        assert "fp32 ANN costs as much as net at 80.4 % zeros" in titles(charts.zero_skipping.draw(report, profile))
        assert "was not measured" in charts.zero_skipping.words(report)

    def test_memory_is_left_out_on_both_sides(self, small, profile):
        plain, stored = (charts.zero_skipping.numbers(Report((Entry("net", (bill,)),)), profile).rows[0] for bill in
                         (energy.price(small, profile), energy.price(small, profile, reuse="none")))
        assert plain[4].text == stored[4].text and plain[5].text == stored[5].text

    def test_a_measured_ann_is_a_point(self, small, profile):
        relu = Operand(32, 8, 0, smallest=0.2, largest=1.3, integers=False, powers_of_two=False)
        row = Row("fc", "linear", geometry=(("in", 32), ("out", 8)), left=relu, dense=256, left_events=64,
                  coincidence=64)
        other = Ledger(ModelInfo("ann", "Ann", 256, 1, (32,)), 1, (row,))
        report = Report((Entry("net", (energy.price(small, profile),)),
                         Entry("relu", (energy.price(other, profile),), role="zero-skipping ann", twin_of="net")))
        assert charts.zero_skipping.words(report) == "In relu, 75.0 % of the products had a zero activation."
        assert any("relu: 75.0 % of its products skipped" in tip
                   for tip in titles(charts.zero_skipping.draw(report, profile)))


class TestSensitivity:
    def test_longest_on_top_and_extrapolations_hatched(self, small, profile):
        entry = Entry("net", (energy.price(small, profile),))
        found = charts.sensitivity.variations(entry, entry.bills[0])
        drawing = charts.sensitivity.draw(entry.bills[0], found)
        order = re.findall(r'row-label">([^<]+)<', drawing)
        assert {"firing rate", "time steps", "memory reuse", "price profile"} <= set(order)
        lengths = [sum(widths(row)) for row in drawing.split('class="row"')[1:-1]]
        assert lengths == sorted(lengths, reverse=True) and lengths[0] > lengths[-1]
        rate, reuse = (drawing.split(f'">{name}<')[1].split("row-label")[0] for name in ("firing rate", "memory reuse"))
        assert "lower hatched" in rate and "extrapolated" in rate
        assert 'class="higher"' in reuse and "hatched" not in reuse and "extrapolated" not in reuse

    def test_rows_that_move_nothing_are_left_to_the_table(self, small, profile):
        entry = Entry("net", (energy.price(small, profile),))
        found = charts.sensitivity.variations(entry, entry.bills[0])
        rule = facts.RULES["shift_accounting"][0]
        assert rule not in charts.sensitivity.draw(entry.bills[0], found)
        assert rule in {row[0].text for row in charts.sensitivity.numbers(entry.bills[0], found).rows}

    def test_recorded_variations_win_and_T_is_taken_relative(self, small, profile):
        """T was run again on other samples: what counts is the ratio to the run at the model's own T."""
        bill = energy.price(small, profile)
        runs = tuple(energy.Variation("T", T, T * 10.0, 1.0, False) for T in (2, 4))
        entry = Entry("net", (bill,), variations=runs)
        found = charts.sensitivity.variations(entry, bill)
        assert [one.total_mj for one in found] == pytest.approx([bill.total_mj / 2, bill.total_mj])
        assert "hatched" not in charts.sensitivity.draw(bill, found)

    def test_profiles_that_must_not_be_trusted_say_so_and_lower_bounds_are_no_low_end(self, small, profile):
        bill = energy.price(small, profile)
        found = charts.sensitivity.variations(Entry("net", (bill,)), bill)
        settings = {charts.sensitivity.setting(one) for one in found if one.what == "profile"}
        assert {"horowitz45_fp32", "jouppi2021_7nm (not verified)", "horowitz45_int8 (unphysical)"} <= settings
        ends = (energy.Variation("profile", "a", bill.total_mj / 8, 1.0, lower_bound=True),
                energy.Variation("profile", "b", bill.total_mj / 2, 1.0, lower_bound=False))
        drawing = charts.sensitivity.draw(bill, ends)
        assert f"{text.energy(bill.total_mj * 5e8)} to {text.energy(bill.total_mj * 1e9)}" in drawing

    def test_a_table_of_rates_has_none(self, report):
        entry = report.entries[2]
        assert charts.sensitivity.variations(entry, entry.bills[0]) == ()


class TestInterval:
    def test_a_row_for_each_profile_and_a_dot_for_each_setting(self, small):
        found = energy.interval(small)
        drawing = charts.interval.draw(found)
        profiles = {one.profile for one in found.settings}
        assert drawing.count("<circle") == len(found.settings) > len(profiles)
        assert set(re.findall(r'row-label">([^<]+)<', drawing)) == profiles
        assert drawing.count('class="point fixed"') == 1

    def test_numbers_and_sources(self, small):
        found = energy.interval(small)
        assert len(charts.interval.numbers(found).rows) == len(found.settings)
        words = charts.interval.sources(found)
        for name in {one.profile for one in found.settings}:
            assert name in words and words.count(energy.load_profile(name).source) == 1


class TestMemory:
    def test_the_same_reuse_model_for_both(self, small, profile):
        entry = Entry("net", (energy.price(small, profile),))
        rows = charts.memory.rows(entry, profile, Rule())
        assert [row.reuse for row in rows[::2]] == [row.reuse for row in rows[1::2]] == list(energy.REUSE)
        for row in rows[::2]:
            expected = energy.price(small, profile, reuse=row.reuse).total_mj * facts.PJ_PER_MJ
            assert row.total == pytest.approx(expected)
        drawing = charts.memory.draw(rows, profile)
        assert drawing.count(charts.memory.DENSE) == 3 * len(energy.REUSE) - len(energy.REUSE)
        assert "Source: " in charts.memory.memories(profile)

    def test_none_without_memories(self, report):
        assert charts.memory.rows(report.entries[0], report.profiles[0], Rule()) == []


def test_a_span_is_drawn_between_its_ends():
    axis = plane.Axis("", 100.0, (), begin=1.0, logarithmic=True)
    row = span.Row("a", (span.Reach(10.0, 1.0, "lower", "tip"),), (span.Dot(100.0, "tick", "dot"),), "1 to 10")
    drawing = span.draw(axis, [row], 10.0, "caption")
    assert '<rect x="0%" y="11" height="12" width="50%" class="lower">' in drawing and 'cx="100%"' in drawing
