"""The report as JSON: all of it comes back, and nothing else is taken for one."""

import json
import math
from dataclasses import replace

import pytest

from neuromorphic import energy
from neuromorphic.measured import Measured
from neuromorphic.report import Checkpoint, Data, Provenance, Report, Spread, read
from neuromorphic.report import json as json_view


class TestJson:
    def test_round_trip_is_exact(self, report):
        text = json_view.render(report)
        again = read(text)
        assert again == report and json_view.render(again) == text

    def test_schema_is_versioned(self, report):
        assert json.loads(json_view.render(report))["schema"] == "neuromorphic.report/2"

    @pytest.mark.parametrize("name", ["\udcff", "\ud800", "a\x00b", '"}]', "\\\\", "\u2028", "\x1b[2J"], ids=range(7))
    def test_any_name_comes_back(self, hostile, name):
        text = json_view.render(hostile(name))
        assert read(text.encode("utf-8").decode("utf-8")) == hostile(name)

    def test_same_report_gives_the_same_bytes(self, report):
        assert json_view.render(report) == json_view.render(replace(report))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"a"', "[" * 100_000,
                                      '{"schema": "neuromorphic.report/1"}', '{"schema": "neuromorphic.report/2"}',
                                      '{"schema": "neuromorphic.ledger/1", "rows": []}', '{"nodes": [], "edges": []}'],
                             ids=range(11))
    def test_anything_else_is_one_clear_error(self, text):
        with pytest.raises(ValueError, match=r"report\.read: text must be a report") as error:
            read(text)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
    def test_cut_short(self, report, share):
        text = json_view.render(report)
        with pytest.raises(ValueError, match=r"report\.read"):
            read(text[: int(share * len(text))])

    @pytest.mark.parametrize(("place", "value"), [
        (("title",), 3), (("title",), None), (("notes",), [1]), (("reference",), "nobody"), (("entries",), []),
        (("entries",), {}), (("provenance",), None), (("provenance", "formulas"), "2"), (("provenance", "at"), "noon"),
        (("seeds",), [{"labels": ["BSA"]}]), (("profiles",), {}), (("entries", 0, "label"), 7),
        (("entries", 0, "role"), "king"), (("entries", 0, "twin_of"), "nobody"), (("entries", 0, "accuracy"), "high"),
        (("entries", 0, "accuracy"), 97.2), (("entries", 0, "bills"), []),
        (("entries", 0, "ledger", "model", "unfed_norms"), [1]),
        (("entries", 0, "data"), {"name": "digits"}), (("entries", 0, "variations"), [{"what": "T"}]),
        (("entries", 0, "bills", 0, "total_mj"), 1.0), (("entries", 0, "bills", 0, "rule", "taps"), "some"),
        (("entries", 0, "bills", 0, "lines", 0), ["only"]), (("entries", 0, "bills", 0, "lines", 0, 3), "many"),
        (("entries", 0, "bills", 0, "lines", 0, 4), True), (("entries", 0, "ledger", "samples"), 0),
        (("entries", 0, "ledger", "samples"), "10"), (("entries", 0, "ledger", "rows", 0, "dense"), 1.5),
        (("entries", 0, "ledger", "rows", 0, "left"), []), (("entries", 0, "ledger", "emissions", 0, "positive"), []),
        (("entries", 0, "ledger", "model", "timesteps"), None), (("entries", 0, "ledger", "coverage"), None),
        (("profiles", "horowitz45_fp32", "prices", "MAC", "pj"), "4.6"), (("profiles", "horowitz45_fp32", "prices"), 1),
    ], ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "")
    def test_a_wrong_value_is_one_clear_error(self, report, place, value):
        plain = json.loads(json_view.render(report))
        inside = plain
        for step in place[:-1]:
            inside = inside[step]
        inside[place[-1]] = value
        with pytest.raises(ValueError, match=r"report\.read: text must be a report") as error:
            read(json.dumps(plain))
        assert "\n" not in str(error.value) and len(str(error.value)) < 600

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_every_number_is_finite(self, report, number):
        text = json_view.render(report).replace('"accuracy": 0.9,', f'"accuracy": {number},', 1)
        assert number in text
        with pytest.raises(ValueError, match=r"report\.read"):
            read(text)

    def test_everything_that_is_known_comes_back(self, report):
        entry = report.entries[0]
        data = Data("digits", "test", 3, "ab" * 32)
        entries = (
            replace(entry, variations=energy.vary_rate(entry.ledger, "horowitz45_fp32"), data=data,
                    spreads=(Spread("horowitz45_fp32", (1e-3, 2e-3, 4e-3)),), checkpoint=Checkpoint("bsa", "cd" * 32),
                    measured=Measured("measured", "", "card", "energy counter", (0.5, 0.25), 64, 2.0, 31.5)),
            replace(report.entries[1], measured=Measured("no driver", "none")),
            replace(report.entries[2], role="softmax twin", twin_of="BSA", data=data,
                    spreads=(Spread("horowitz45_fp32", (2e-3, 2e-3)),)),
        )
        whole = Report(entries, provenance=Provenance("spikeattn energy x"), seeds=(("BSA", "SSA"),))
        text = json_view.render(whole)
        assert read(text) == whole and json_view.render(read(text)) == text
        shown = json.loads(text)["entries"][0]
        assert shown["spreads"][0]["ratio_to_baseline"]["n"] == 3  # a dense rival costs the same for every sample
        assert math.isclose(shown["spreads"][0]["ratio_to_baseline"]["ratio"], 7 / 6)
        assert shown["measured"]["joules_per_sample"] == 0.375 and shown["spreads"][0]["settled"] is False
