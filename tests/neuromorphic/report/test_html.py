"""The page: whole, self-contained, readable by a parser, and deaf to hostile names."""

import base64
import hashlib
import re
import zlib
from html.parser import HTMLParser

import pytest
import torch

from neuromorphic import energy
from neuromorphic.report import Entry, Report, examine, html, svg
from neuromorphic.report.twins import twins as twins_of
from spikeattn import create_model

PAYLOADS = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>",
    "\"><script>alert(1)</script>", "'><script>alert(1)</script>", "\" onmouseover=\"alert(1)",
    "' onfocus='alert(1)' '",
    "<iframe src=javascript:alert(1)>", "<a href=\"javascript:alert(1)\">x</a>", "<body onload=alert(1)>",
    "<meta http-equiv=refresh content=\"0;url=http://evil.example\">",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>", "<form action=//evil.example><input name=x>", "<object data=x></object>",
    "<embed src=x>", "<details open ontoggle=alert(1)>", "<video><source onerror=alert(1)>",
    "<math><mi//xlink:href=\"x\">",
    "<svg><animate onbegin=alert(1) attributeName=x>", "<svg><title><script>alert(1)</script></title>",
    "--><script>alert(1)</script><!--", "<![CDATA[<script>alert(1)</script>]]>", "{{ 7*7 }}{% raw %}", "${7*7}`",
    "&lt;script&gt;alert(1)&lt;/script&gt;", "&#x3c;img src=x&#x3e;", "<\x00script>alert(1)</script>",
    "<scr\nipt>alert(1)",
    "javascript:alert(1)", "\u202e<b>gpj.exe", "\x1b]0;title\x07<i>", "<style>*{display:none}</style>",
    "<plaintext>", "</textarea><xmp><noscript><p title=\"</noscript><img src=x>\">", "<portal src=x>",
    "\\3c/style\\3e *{display:none}", "@import url(//evil.example/x)", "\" style=\"position:fixed",
    "\u2066\u202dlab\u2069el\u200b", "vbscript:msgbox(1)", "data:text/html,<script>alert(1)</script>",
    "a" * 5000 + "<b>",
]
VOID = {"meta", "wbr", "br", "link", "img", "input", "source", "embed", "base", "hr"}


def unpacked(text: str) -> str:
    """The page with its packed figures where they belong, as its script puts them."""
    return re.sub(r'<template class="packed">([A-Za-z0-9+/=]*)</template>',
                  lambda found: zlib.decompress(base64.b64decode(found[1])).decode(), text)


class Page(HTMLParser):
    """Elements with their attributes, and the open ones: what a browser would build."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(unpacked(text))
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def shape(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and the names of their attributes, without what was written into them."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in page.elements]


def outline(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """A break opportunity after an underscore and the element of a shortened prefix are the only freedom."""
    return [one for one in shape(page) if one[0] not in ("wbr", "code")]


@pytest.fixture(scope="module")
def harmless() -> list:
    """The outline of a page with a harmless name, once it has been made."""
    return []


@pytest.fixture
def page(report) -> Page:
    return Page(html.render(report))


class TestPage:
    def test_every_element_is_closed(self, page):
        assert page.open == []

    @pytest.mark.parametrize("name", ["script", "style"])
    def test_policy_forbids_everything_but_this_script_and_this_style(self, page, report, name):
        inside = re.search(rf"<{name}>(.*?)</{name}>", html.render(report), re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'; ") and f"{name}-src 'sha256-{digest}'" in policy
        assert "unsafe" not in policy
        assert [tag for tag, _ in page.elements].count(name) == 1

    def test_nothing_is_loaded(self, page, report):
        names = {name for _, attributes in page.elements for name in attributes}
        assert not names & {"src", "href", "srcset", "data", "action", "xlink:href", "style"}
        assert not re.search(r"https?://|//[a-z]|url\((?!#)|@import", unpacked(html.render(report)))

    def test_size(self, report):
        assert len(html.render(report).encode()) < 300_000

    @pytest.mark.parametrize("blocks", [8, pytest.param(50, marks=pytest.mark.slow)])
    def test_size_of_a_deep_model(self, spiking, blocks):
        """8 blocks are 50 layers; 50 blocks are 300."""
        entry = spiking("deep", bipolar=True, blocks=blocks)
        layers = {line.layer for line in entry.bills[0].lines}
        assert len(layers) > 6 * blocks
        assert len(html.render(Report((entry,))).encode()) < (400_000 if blocks < 50 else 1_000_000)

    @pytest.mark.slow
    def test_size_of_a_counted_model_with_its_twins(self):
        """Eight blocks again, as the command line counts them: every profile, every variation, three twins."""
        small = create_model("spikingformer_tiny", attention="ssa")
        model, pictures = type(small)(small.config.resized(depth=8)).eval(), torch.rand(4, 1, 8, 8)
        prices = energy.profiles()
        twins = (examine(twin.model, pictures, label=twin.role, role=twin.role, twin_of="net", sensitivity=False,
                         profiles=prices) for twin in twins_of(model))
        report = Report((examine(model, pictures, label="net", profiles=prices), *twins))
        assert len(report.entries) == 4 and len({row.scope for row in report.lead.ledger.rows if row.dense}) >= 50
        text = html.render(report)
        assert len(report.profiles) == len(prices) >= 12 and len(text.encode()) < 400_000 < len(unpacked(text))

    def test_figures_under_other_prices_are_packed_whole(self, report):
        """Nothing is lost: each figure once for each profile, the first of them as it stands."""
        text = html.render(report)
        assert text.count('<template class="packed">') == text.count('data-profile="0"') > 8
        assert 'data-profile="1"' not in text and 'class="by-profile"' in text
        assert unpacked(text).count('data-profile="1"') == text.count('data-profile="0"')

    def test_one_profile_has_nothing_to_pack(self, report):
        first = report.lead
        text = html.render(Report((Entry(first.label, first.bills[:1]),)))
        assert "<template" not in text and "<noscript" not in text

    def test_every_chart_has_its_numbers(self, page):
        """In its figure, or in the table of layers that follows it."""
        charts = [a for tag, a in page.elements if a.get("class") == "chart"]
        tables = [a for tag, a in page.elements if tag == "details" and a.get("class") == "numbers"]
        by_layer = [a for a in charts if a["aria-label"] == "Energy by layer"]
        assert all(a["aria-label"] for a in charts) and len(charts) - len(by_layer) == len(tables) > 10
        assert len(by_layer) == 4 * 2  # models and profiles

    def test_every_mark_says_what_it_is(self, report):
        """Every part of a bar, cell, dot and measured point holds a title; only pictures of keys have none."""
        text = unpacked(html.render(report))
        marks = re.findall(r"<(rect|circle)((?: [^>]*)?)>(<title>)?", text)
        nameless = [attributes for _, attributes, title in marks if not title]
        assert len(marks) > 300 and all('rx="2"' in one or "ground" in one or "stripe" in one for one in nameless)

    def test_what_must_be_said(self, page, report):
        text = " ".join(" ".join(page.text).split())
        for sentence in ("Theoretical arithmetic energy, not measured joules", "What every column means",
                         "When spikes pay", "The price of Shiftmax", "shift + add", "no price for ERF",
                         "One seed (0)", "Coverage 100.00 %: no uncovered operations", "Horowitz, ISSCC 2014"):
            assert sentence in text

    def test_rates_of_both_signs_are_drawn_apart(self, page):
        rows = [a["class"] for tag, a in page.elements if tag == "svg" and a.get("class", "").startswith("cells")]
        assert rows.count("cells negative") == 4 and rows.count("cells positive") == 2 * 13

    def test_entries_without_a_baseline_or_spikes(self, report):
        assert "vs dense self" in html.render(Report(report.entries[:1]))
        alone = html.render(Report(report.entries[3:]))
        assert "No spiking neuron" in alone and "When spikes pay" not in alone


    def test_a_table_of_a_paper_is_not_said_to_have_run(self):
        rows = [energy.LayerRate("stem", 1e9, 1.0, "stem"), energy.LayerRate("conv", 1e9, 0.2, "conv")]
        text = html.render(Report((Entry("paper", (energy.published("spikformer", rows),)),)))
        assert "a table of layers, not traced" in text and "No neuron was" in text and "No spiking neuron" not in text


class TestHostileNames:
    def test_there_are_enough(self):
        assert len(set(PAYLOADS)) >= 30

    @pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
    def test_a_name_is_text_wherever_it_stands(self, hostile, harmless, payload):
        """The page has the same elements and attributes as with a harmless name."""
        if not harmless:
            harmless.extend(outline(Page(html.render(hostile("net")))))
        page = Page(html.render(hostile(payload)))
        assert outline(page) == harmless and page.open == []
        events = {name for _, attributes in page.elements for name in attributes if name.startswith("on")}
        assert not events

    def test_tag_escapes_attributes_and_text(self):
        element = svg.tag("rect", "<b>", class_="\"><script>")
        assert str(element) == '<rect class="&#34;&gt;&lt;script&gt;">&lt;b&gt;</rect>'
