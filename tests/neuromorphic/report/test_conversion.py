"""Views of a conversion: one record by hand, read back whole, said in words, drawn, and deaf to hostile names."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from neuromorphic import report as reports
from neuromorphic.convert.record import (
    ConversionReport,
    Energy,
    Fidelity,
    Purity,
    PurityRow,
    Score,
    Site,
    Trial,
    Warning,
)
from neuromorphic.report import conversion
from neuromorphic.report.conversion import charts, facts, html, markdown, table

SETTINGS = {"timesteps": 4, "coding": "ternary", "weights": "int12", "normaliser": "row5", "floor": 0.1,
            "ranges": "mse", "norm": "mantissa", "activation": "table"}
PARTS = ("query", "key", "value", "context")


def make_site(path: str, role: str = "input", error: float = 0.02, saturation: float = 0.0004, **changes) -> Site:
    site = Site(path, role, "channel", 3.5, 0.35, 0.125, 40, 0.0875, 0.5, 0.499, 0.008, saturation, saturation, 1.9,
                error, 19)
    return replace(site, **changes)


def make_trial(T: int, value: float, low: float, high: float) -> Trial:
    return Trial(f"T = {T}", {"timesteps": T}, Score("spearman", value, 1379),
                 Score("spearman", value - 0.8203, 1379, low, high), Fidelity("cosine", 1 - 0.1 / T**2, 1379), 0.5 * T,
                 7 * T + 1, 1.0, (Energy("horowitz45_fp32", 0.1 * T, 2.0, 0.2, False),))


def make_report(payload: str = "", **changes) -> ConversionReport:
    sites = tuple(make_site(f"{payload}encoder.layer.{layer}.attention.self.{part}", part, 0.01 * (layer + 1))
                  for layer in (0, 1, 10) for part in PARTS)
    rows = (PurityRow("S1", f"unit spike × weight{payload}", True, 900_000, (f"{payload}encoder.layer.0",)),
            PurityRow("X3", "integer multiplication", False, 60_000, ("norm",)),
            PurityRow("X4", "table read", False, 40_000, ("gelu",), per_step=False))
    report = ConversionReport(
        f"{payload}MiniLM", f"{payload}bert", dict(SETTINGS), 4, 25, 29, sites,
        Purity(1.0, 0.9, "spike-driven, integer norms", rows, (), (f"{payload}embeddings",), (f"{payload}pooler",)),
        Score("spearman", 0.8203, 1379), Score("spearman", 0.8183, 1379, 0.80, 0.83),
        Score("spearman", -0.0020, 1379, -0.0041, -0.0003), Fidelity("cosine", 0.9871, 1379, 0.9012, 0.95), 1.88,
        (Energy("horowitz45_fp32", 0.4, 2.0, 0.2, False), Energy("horowitz45_int8_acc32", 0.08, 2.0, 0.16, True)),
        tuple(make_trial(T, value, value - 0.8203 - 0.002, value - 0.8203 + 0.002)
              for T, value in ((2, 0.79), (3, 0.8153), (4, 0.8183), (5, 0.8202))),
        (Trial("code alone", {"norm": "exact", "activation": "exact"}, Score("spearman", 0.8194, 1379),
               Score("spearman", -0.0009, 1379, -0.002, 0.0005), None, 1.9, 29, 0.7),),
        {"samples": 250, "sha256": "ab" * 32, "source": f"{payload}dev.tsv"},
        {"samples": 1379, "sha256": "cd" * 32, "source": "test.tsv"}, 2e-7, 64,
        {"snn": 91_000_000, "ann": 90_900_000}, 1_200_000_000, {"calibrate": 61.0, "convert": 20.5}, "training-free",
        (Warning(f"{payload}encoder.layer.1", f"Outlier channel 7{payload}.", "Raise --floor."),))  # fmt: skip
    return replace(report, **changes)


WIDE = """[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length
  && !e.closest('.scroll, pre, svg, #tip') && e.getBoundingClientRect().right > innerWidth + 1
  ).map(e => e.tagName + '.' + e.className)"""
BARE = ConversionReport("x", "vit", {}, 1, 1, 1, ())


class Page(HTMLParser):
    """Elements with their attributes, the open ones, and the text."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in {"meta", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


class TestJson:
    @pytest.mark.parametrize("report", [make_report(), BARE, make_report(purity=None, energy=(), difference=None)],
                             ids=["whole", "bare", "partly"])
    def test_reads_what_it_wrote(self, report):
        assert conversion.read(conversion.json.render(report)) == report

    def test_it_is_versioned_and_says_the_headline(self):
        plain = json.loads(conversion.json.render(make_report()))
        assert plain["schema"] == "neuromorphic.conversion/1"
        assert plain["headline"].startswith("Spearman 0.8203 → 0.8183 (−0.0020, 95 % interval −0.0041 to −0.0003")
        assert plain["conversion"]["layers"][0]["path"] == "encoder.layer.0.attention.self.query"

    @pytest.mark.parametrize(("change", "reason"), [
        (lambda plain: plain.update(schema="neuromorphic.report/2"), "schema 'neuromorphic.report/2'"),
        (lambda plain: plain["conversion"].pop("purity"), "purity"),
        (lambda plain: plain["conversion"].update(extra=1), "extra"),
        (lambda plain: plain["conversion"].update(timesteps="4"), "timesteps must be int"),
        (lambda plain: plain["conversion"]["layers"][0].update(step=None), "step must be a finite number"),
        (lambda plain: plain["conversion"].update(layers={}), "layers must be a list"),
        (lambda plain: plain["conversion"]["metric_snn"].update(value=True), "value must be a finite number"),
        (lambda plain: plain["conversion"].update(layers=[3]), "Site with other fields"),
        (lambda plain: plain.pop("conversion"), "no 'conversion'"),
    ])
    def test_what_does_not_fit_is_one_clear_line(self, change, reason):
        plain = json.loads(conversion.json.render(make_report()))
        change(plain)
        with pytest.raises(ValueError, match=re.escape(reason)) as caught:
            conversion.read(json.dumps(plain))
        assert "\n" not in str(caught.value) and str(caught.value).startswith("conversion.read: ")

    @pytest.mark.parametrize("text", ["", "[]", "3", '{"schema": NaN}', "[" * 100_000])
    def test_other_text(self, text):
        with pytest.raises(ValueError, match=r"conversion\.read: text must be a report"):
            conversion.read(text)

    def test_a_number_that_is_none_is_named(self):
        wrong = make_report(layers=(make_site("encoder.0", error=float("nan")),))
        with pytest.raises(ValueError, match=r"layers\[0\]\.block_error must be a finite number, got nan"):
            conversion.json.render(wrong)


class TestWords:
    def test_the_headline(self):
        assert facts.headline(make_report()) == (
            "Spearman 0.8203 → 0.8183 (−0.0020, 95 % interval −0.0041 to −0.0003, 1,379 samples); mean cosine 0.9871, "
            "smallest 0.9012, first percentile 0.9500 against the ANN; 1.88 spikes per value; T = 4, logits after 29 "
            "steps; spike-driven, integer norms, training-free.")
        assert facts.headline(BARE) == "T = 1, logits after 1 steps; purity not counted, training-free."

    def test_accuracy_is_in_percent_and_points(self):
        report = make_report(metric_ann=Score("accuracy", 0.763, 10_000), metric_snn=Score("accuracy", 0.7551, 10_000),
                             difference=Score("accuracy", -0.0079, 10_000, -0.012, -0.004))
        assert facts.headline(report).startswith(
            "Accuracy 76.30 % → 75.51 % (−0.79 points, 95 % interval −1.20 to −0.40 points, 10,000 samples)")

    def test_perplexity_is_better_when_lower(self):
        worse = Score("perplexity", 36.2, 40, higher_is_better=False)
        report = make_report(metric_ann=replace(worse, value=35.2), metric_snn=worse,
                             difference=replace(worse, value=1.0, low=0.4, high=1.6))
        assert facts.headline(report).startswith(
            "Perplexity (lower is better) 35.20 → 36.20 (+1.0000, 95 % interval +0.4000 to +1.6000, 40 samples)")

    def test_radix_words_have_separate_conversions_and_anytime_words_an_early_reading(self):
        assert "means nothing before its last step" in facts.trials_title(make_report())
        rate = make_report(settings=SETTINGS | {"coding": "rate"})
        assert "can also be read out early" in facts.trials_title(rate)
        assert all("Separate conversions" in facts.trials_title(one) for one in (make_report(), rate))

    def test_a_code_that_was_read_early_is_one_conversion(self):
        rows = tuple(replace(make_trial(T, 0.7, -0.2, 0.0), settings=SETTINGS | {"timesteps": 8, "read_after": T})
                     for T in (2, 4, 8))
        report = make_report(sweep=rows, settings=SETTINGS | {"coding": "rate"})
        assert facts.trials_title(report).startswith("One conversion with T = 8, read out after fewer spikes")
        text = Page(html.render(report)).text
        assert "spikes read of one conversion" in text and "Separate conversions" not in text

    def test_training_free_rows_are_not_the_fine_tuned_model(self):
        tuned = make_report(settings=SETTINGS | {"finetune": {"steps": 300, "losses": {"hidden": [2.0, 1.0]}}},
                            provenance="fine-tuned: 300 steps")
        assert table.sweep(tuned).highlight is None and table.sweep(make_report()).highlight == 2
        assert ("Setting finetune steps", "300") in table.circumstances(tuned)

    def test_fine_tuned_artefacts_are_marked_everywhere(self):
        tuned = make_report(provenance="distilled for 300 steps on train.txt")
        assert facts.headline(tuned).endswith("fine-tuned.")
        assert "fine-tuned" in Page(html.render(tuned)).text and "fine-tuned" in markdown.render(tuned)
        assert any("never put its numbers" in one.what_to_do.lower() for one in facts.doubts(tuned))
        assert "training-free" in facts.headline(make_report())

    def test_a_float_network_is_never_called_bit_exact(self):
        assert "the same bits" in facts.simulation(make_report())
        assert "same bits" not in facts.simulation(make_report(settings=SETTINGS | {"weights": "float"}))

    @pytest.mark.parametrize(("changes", "where", "what"), [
        ({"metric_snn": None}, "evaluation", "No task metric"),
        ({"evaluation": {"sha256": "ab" * 32}}, "calibration", "are the evaluation data"),
        ({"layers": (make_site("a.b", max_error=0.51),)}, "a.b", "exceeds the promised bound"),
        ({"layers": (make_site("a.b", saturation=0.03),)}, "a.b", "outside of the range: a.b (3.00 %)"),
        ({"difference": Score("spearman", -0.001, 9, -0.002, 0.001)}, "evaluation", "the difference holds 0"),
        ({"settings": SETTINGS | {"weights": "float"}}, "weights", "differ by rounding"),
        ({"purity": Purity(0.9, 0.5, "hybrid", (), ("float softmax at encoder.0",))}, "purity", "float softmax at"),
    ], ids=["no metric", "same data", "bound", "saturated", "equal", "float", "hybrid"])
    def test_what_to_be_careful_about(self, changes, where, what):
        before = facts.doubts(make_report())
        found = [one for one in facts.doubts(make_report(**changes)) if one not in before]
        assert len(found) == 1 and found[0].where == where and what in found[0].what and found[0].what_to_do

    def test_the_same_advice_is_given_once(self):
        found = tuple(Warning(f"layer.{index}", "Outlier.", "Raise --floor.") for index in range(5))
        report = make_report(warnings=found)
        assert [len(group) for group in facts.gathered(report)][0] == 5
        text = html.render(report)
        assert "3 more such places" in text and text.count("Raise --floor.") == 1

    def test_a_share_is_whole_only_where_nothing_is_missing(self):
        assert [facts.share(value) for value in (1.0, 0.9999999, 0.5)] == ["100 %", "99.99 %", "50.00 %"]

    def test_spikes_that_pay(self):
        assert "below 5.1 against fp32 and 3.0 against int8" in facts.pays(make_report())


class TestTables:
    def test_sites_by_path_and_worst_first(self):
        report = make_report()
        paths = [row[0].text for row in table.sites(report).rows]
        assert paths[0] == "encoder.layer.0.attention.self.context"
        assert paths[-1] == "encoder.layer.10.attention.self.value"
        worst = [site.path for site in charts.worst_first(report.layers)]
        assert worst[0] == "encoder.layer.10.attention.self.context" and "layer.0." in worst[-1]

    def test_many_sites_show_the_worst(self):
        sites = tuple(make_site(f"h.{index}", error=index / 1000) for index in range(200))
        drawing = charts.sites(make_report(layers=sites))
        assert drawing.count('role="listitem"') == charts.MOST_SITES
        assert "h.199" in drawing and ">h.119<" not in drawing

    def test_the_sweep_has_its_figures_and_marks_this_conversion(self):
        found = table.sweep(make_report())
        assert [row[0].text for row in found.rows] == ["T = 2", "T = 3", "T = 4", "T = 5"] and found.highlight == 2
        assert [row[1].text for row in found.rows] == ["0.7900", "0.8153", "0.8183", "0.8202"]
        headings = [column.heading for column in found.columns]
        assert {"spearman", "to the ANN", "95 % interval", "spikes per value", "latency"} <= set(headings)

    def test_the_ablation_says_what_was_kept_exact(self):
        found = table.ablation(make_report())
        assert found.rows[0][1].text == "norm, activation exact"

    def test_csv_has_one_line_for_each_site_and_no_formula(self):
        lines = list(csv.DictReader(io.StringIO(conversion.csv.render(make_report("=1+")))))
        assert len(lines) == 12 and lines[0]["path"].startswith("'=1+") and lines[0]["levels"] == "40"


class TestPage:
    def test_what_must_be_said(self):
        page = Page(html.render(make_report()))
        assert page.open == []
        for words in ("Spearman 0.8203 → 0.8183", "simulates the T = 4 passes", "latency_steps = 29",
                      "spike-driven, integer norms", "declared stem (embeddings) and the declared read-out (pooler)",
                      "float_free = 100 %", "Separate conversions", "int12", "floor 0.1", "row5", "ab" * 32, "cd" * 32,
                      "ANN fp32", "ANN int8", "not measured joules", "91.0 MB", "1.20 GB", "Raise --floor.",
                      "1.88 spikes per value", "Outlier channel 7.", "training-free"):
            assert words in page.text or words in " ".join(page.words), words

    def test_it_loads_nothing_and_stays_small(self):
        sites = tuple(make_site(f"encoder.layer.{index}.attention.query", error=index / 1000) for index in range(600))
        for report in (make_report(), make_report(layers=sites)):
            text = html.render(report)
            names = {name for _, attributes in Page(text).elements for name in attributes}
            assert not names & {"src", "href", "srcset", "action", "style"}
            assert not re.search(r"https?://|url\((?!#)|@import", text)
            assert len(text.encode()) < 400_000
        assert "leaves out 200 sites" in html.render(make_report(layers=sites))

    def test_nothing_to_show_is_left_out(self):
        text = Page(html.render(BARE)).text
        assert "Score over T" not in text and "Site by site" not in text and "Energy was not counted" in text
        assert "Purity was not counted" in text

    @pytest.mark.parametrize("payload", [
        "<script>alert(1)</script>", "</style><script>alert(1)</script>", "\" onmouseover=\"alert(1)",
        "' onfocus='alert(1)' '", "<img src=x onerror=alert(1)>", "{{ 7*7 }}", "--><b>", "\u202e<b>", "\x1b]0;t\x07<i>",
        "<svg><title><script>alert(1)</script></title>", "</title><script>", "a" * 5000 + "<b>",
    ], ids=range(12))
    def test_a_name_is_text_wherever_it_stands(self, payload):
        def shape(report):
            return [(tag, sorted(attributes)) for tag, attributes in Page(html.render(report)).elements
                    if tag not in ("wbr", "code")]

        assert shape(make_report(payload)) == shape(make_report("net"))

    def test_hostile_names_in_markdown(self):
        text = markdown.render(make_report("|<b>`"))
        assert "<b>" not in text and "\\|&lt;b&gt;\\`MiniLM" in text


@pytest.mark.browser
class TestInABrowser:
    @pytest.fixture
    def page(self, tmp_path):
        return reports.write(make_report(), tmp_path / "report")["report.html"]

    @pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_it_opens_and_fits(self, browser, page, width, dark):
        browser.open(page, width, dark=dark)
        for _ in range(2):
            assert browser.run("document.documentElement.scrollWidth") <= width and browser.run(WIDE) == []
            browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        paper = browser.run("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(21, 24, 27)" if dark else "rgb(252, 251, 248)")
        assert browser.complaints == [] and set(browser.requests) == {page.as_uri()}

    def test_worst_first_and_back(self, browser, page):
        browser.open(page, 1280)
        rows = "[...document.querySelectorAll('.sites .row.site:not(.head)')].map(r => r.dataset.row)"
        by_path = browser.run(rows)
        assert browser.run("document.querySelector('.order').getClientRects().length") == 1
        browser.run("order.value = 'worst'; order.dispatchEvent(new Event('change'))")
        assert browser.run(rows) == [site.path for site in charts.worst_first(make_report().layers)] != by_path
        browser.run("order.value = 'path'; order.dispatchEvent(new Event('change'))")
        assert browser.run(rows) == by_path
        assert browser.run("document.querySelector('.sites').firstElementChild.classList.contains('head')")
        assert browser.complaints == []


class TestFiles:
    def test_write_makes_four_files(self, tmp_path):
        found = reports.write(make_report(), tmp_path / "report")
        assert sorted(found) == ["layers.csv", "report.html", "report.json", "report.md"]
        assert sorted(path.name for path in (tmp_path / "report").iterdir()) == sorted(found)
        assert conversion.read(found["report.json"].read_text(encoding="utf-8")) == make_report()

    def test_a_record_that_is_wrong_writes_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="timesteps"):
            reports.write(make_report(timesteps=4.5), tmp_path / "report")
        assert not (tmp_path / "report").exists()

    def test_equal_records_give_equal_bytes(self):
        assert [view(make_report()) for view in conversion.VIEWS.values()] == [
            view(make_report()) for view in conversion.VIEWS.values()]
