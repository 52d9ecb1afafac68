"""The page: whole, self-contained, readable by a parser, and deaf to hostile names."""

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from neuromorphic.report import html, svg, write

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
    "a" * 5000 + "<b>",
]
VOID = {"meta", "wbr", "br", "link", "img", "input", "source", "embed", "base", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, and the open ones: what a browser would build."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
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


@pytest.fixture
def page(report) -> Page:
    return Page(html.render(report))


class TestPage:
    def test_every_element_is_closed(self, page):
        assert page.open == []

    def test_policy_forbids_everything_but_this_script(self, page, report):
        text = html.render(report)
        script = re.search(r"<script>(.*?)</script>", text, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
        assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
        assert [tag for tag, _ in page.elements].count("script") == 1

    def test_nothing_is_loaded(self, page, report):
        names = {name for _, attributes in page.elements for name in attributes}
        assert not names & {"src", "href", "srcset", "data", "action", "xlink:href"}
        assert not re.search(r"https?://|//[a-z]|url\(|@import", html.render(report))

    def test_size(self, report):
        assert len(html.render(report).encode()) < 300_000

    def test_what_must_be_said(self, page, report):
        text = " ".join(" ".join(page.text).split())
        for sentence in ("Theoretical arithmetic energy, not measured joules", "What every column means",
                         "When spikes pay", "The price of Shiftmax", "shift + add", "no price for ERF",
                         "One seed (0)", "Coverage 100.00 %: no uncovered operations", "Horowitz, ISSCC 2014"):
            assert sentence in text
        assert text.index("What every column means") < text.index("80,394")

    def test_rates_of_both_signs_are_drawn_apart(self, page):
        cells = [a["class"] for tag, a in page.elements if tag == "rect" and a.get("class", "").startswith("cell")]
        assert cells.count("cell negative") == 4 * 4 and cells.count("cell positive") == 2 * 13 * 4

    def test_the_break_even_points_are_measured_ones(self, page):
        points = [a for tag, a in page.elements if tag == "circle"]
        assert len(points) == 4  # two spiking networks under two profiles

    def test_many_layers_are_drawn_block_by_block(self, report):
        from neuromorphic.report import charts

        assert [charts.grouped(entry) for entry in report.entries] == [False] * 4
        assert charts.block_of("blocks.11.mlp.fc1") == "blocks.11"

    def test_entries_without_a_baseline_or_spikes(self, report):
        from neuromorphic.report import Report

        assert "vs dense self" in html.render(Report(report.entries[:1]))
        alone = html.render(Report(report.entries[3:]))
        assert "No spiking neuron" in alone and "When spikes pay" not in alone


class TestHostileNames:
    def test_there_are_enough(self):
        assert len(set(PAYLOADS)) >= 30

    @pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
    def test_a_name_is_text_wherever_it_stands(self, hostile, payload):
        """The page has the same elements and attributes as with a harmless name."""
        harmless, page = Page(html.render(hostile("net"))), Page(html.render(hostile(payload)))
        # A break opportunity after an underscore and an extra row of a shortened prefix are the only freedom.
        drop = {"wbr", "code"}
        assert [s for s in shape(page) if s[0] not in drop] == [s for s in shape(harmless) if s[0] not in drop]
        assert page.open == []
        events = {name for _, attributes in page.elements for name in attributes if name.startswith("on")}
        assert not events

    def test_tag_escapes_attributes_and_text(self):
        element = svg.tag("rect", "<b>", class_="\"><script>")
        assert str(element) == '<rect class="&#34;&gt;&lt;script&gt;">&lt;b&gt;</rect>'


@pytest.mark.browser
def test_a_browser_runs_the_page(report, tmp_path):
    """Headless Chromium opens it from a file, sorts nothing by itself, and shows one model at a time."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    page = write(report, tmp_path)["report.html"]
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
               f"--user-data-dir={tmp_path}/profile", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert 'role="tablist"' in done.stdout and done.stdout.count('role="tab"') == 4
    assert done.stdout.count("<title>") == 1 and "data-tip=" in done.stdout  # the marks' titles became tooltips
    assert "CONSOLE" not in done.stderr
