"""A real browser opens the page from a file: nothing complains, nothing is fetched, every control does its work."""

import pytest

from neuromorphic.report import Entry, Report, write

pytestmark = pytest.mark.browser

SIZES = {"desk": 1280, "phone": 390}
WIDE = """[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length
  && !e.closest('.scroll, pre, svg, #tip') && e.getBoundingClientRect().right > innerWidth + 1
  ).map(e => e.tagName + '.' + e.className)"""
SHOWN = "[...document.querySelectorAll('{}')].filter(e => e.getClientRects().length).length"


@pytest.fixture
def page(report, many, tmp_path):
    """The report with statistics, as a file."""
    first = report.entries[0]
    entries = (Entry(first.label, first.bills, training=first.training, spreads=(many,)), *report.entries[1:])
    full = Report(entries, report.title, report.notes)
    return write(full, tmp_path / "report")["report.html"]


def at_peace(browser, page) -> bool:
    """No message on the console, no request but the page itself."""
    return browser.complaints == [] and set(browser.requests) == {page.as_uri()}


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_opens_and_fits(browser, page, width, dark):
    browser.open(page, width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width and browser.run(WIDE) == []
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run("document.documentElement.scrollWidth") <= width and browser.run(WIDE) == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(21, 24, 27)" if dark else "rgb(252, 251, 248)")
    assert browser.run("document.querySelector('.tools').getClientRects().length") == 1
    assert at_peace(browser, page)


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_clicking_through_every_control(browser, page, width):
    browser.open(page, width)
    # theme
    for theme, paper in (("dark", "rgb(21, 24, 27)"), ("light", "rgb(252, 251, 248)"), ("", "rgb(252, 251, 248)")):
        browser.run(f"theme.value = '{theme}'; theme.dispatchEvent(new Event('change'))")
        assert browser.run("getComputedStyle(document.body).backgroundColor") == paper
    # prices: every figure changes with the one choice, and none stayed packed
    assert browser.run("document.querySelectorAll('template').length") == 0
    panels = browser.run(SHOWN.format(".by-profile"))
    for value in ("1", "0"):
        browser.run(f"profile.value = '{value}'; profile.dispatchEvent(new Event('change'))")
        assert browser.run(SHOWN.format(f".by-profile[data-profile=\"{value}\"]")) == panels > 4
        assert browser.run(SHOWN.format(".by-profile")) == panels
    # models
    assert browser.run("document.querySelectorAll('[role=tab]').length") == 4
    for index in (3, 1, 0):
        browser.run(f"document.querySelectorAll('[role=tab]')[{index}].click()")
        assert browser.run(SHOWN.format("article.model")) == 1
        assert browser.run("document.querySelector('[role=tab][aria-selected=true]').textContent") == browser.run(
            f"document.querySelectorAll('article.model')[{index}].dataset.label")
    # every fold opens and closes
    folds = browser.run("document.querySelectorAll('summary').length")
    before = browser.run("document.querySelectorAll('details[open]').length")
    browser.run("document.querySelectorAll('summary').forEach(s => s.click())")
    assert browser.run("document.querySelectorAll('details[open]').length") == folds - before
    # every heading sorts both ways
    assert sorted_by(browser, 6) == list(reversed(sorted_by(browser, 6)))  # energy, down and up
    assert browser.run("document.querySelector('table.summary th:nth-child(7)').ariaSort") == "ascending"
    assert sorted_by(browser, 0) == ["SSA", "softmax ANN", "CAT ANN", "BSA"]
    browser.run("document.querySelectorAll('th button').forEach(b => b.click())")
    assert at_peace(browser, page)


def sorted_by(browser, column: int) -> list[str]:
    """The models in the order that a click on this heading gives."""
    browser.run(f"document.querySelectorAll('table.summary th button')[{column}].click()")
    return browser.run("[...document.querySelector('table.summary').tBodies[0].rows].map(r => r.cells[0].textContent)")


def test_a_table_is_sorted_by_the_numbers_in_it(browser, page):
    browser.open(page, 1280)
    for text, value in {"1,234.5": 1234.5, "≥ 5.09 M": 5.09e6, "23.4 µJ": 23.4e6, "9.80 nJ": 9.8e3, "7 pJ": 7.0,
                        "0.482 ×": 0.482, "96.5 %": 96.5, "−0.31 points": -0.31, "–": 0, "not given": 0}.items():
        assert browser.run(f"number('{text}')") == pytest.approx(value), text


def test_exact_values_by_pointer(browser, page):
    browser.open(page, 1280)
    browser.run("document.querySelector('.bars rect').scrollIntoView({block: 'center'})")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")  # scrolled
    x, y = browser.run("""(() => { const box = document.querySelector('.bars rect').getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2]; })()""")
    assert browser.run("tip.hidden")
    browser.hover(x, y)
    assert not browser.run("tip.hidden")
    assert browser.run("tip.textContent").startswith("BSA · multiply-accumulate: ")
    browser.hover(2, 300)
    assert browser.run("tip.hidden") and at_peace(browser, page)


def test_exact_values_by_keyboard(browser, page):
    """A chart is one stop; the arrow keys walk over its marks, left and right and from row to row."""
    browser.open(page, 1280)
    browser.run("document.querySelector('.by-profile:not([hidden]) .chart').focus()")
    browser.press("ArrowRight")
    first = browser.run("tip.textContent")
    assert not browser.run("tip.hidden") and first.startswith("BSA · ")
    browser.press("ArrowRight")
    assert browser.run("tip.textContent") != first
    browser.press("ArrowDown")
    assert browser.run("tip.textContent").startswith("SSA · ")
    browser.press("ArrowUp")
    assert browser.run("tip.textContent").startswith("BSA · ")
    assert browser.run("document.querySelectorAll('.here').length") == 1
    browser.press("Escape")
    assert browser.run("tip.hidden") and browser.run("document.querySelectorAll('.here').length") == 0
    assert at_peace(browser, page)


def test_without_a_script_the_first_prices_are_there(browser, page, tmp_path):
    """No choice and no tabs: all models under each other, marks with their native titles; a word on other prices."""
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page, 1280)
    tree = browser.send("DOM.getDocument", depth=1)["root"]["nodeId"]

    def count(selector: str) -> int:
        return len(browser.send("DOM.querySelectorAll", nodeId=tree, selector=selector)["nodeIds"])

    assert count(".by-profile") > 8 and count(".by-profile[hidden]") == 0 and count("article.model[hidden]") == 0
    assert count(".tools[hidden]") == 1 and count("svg title") > 200 and count("noscript p") == 1


def test_on_paper(browser, page):
    """Print shows every model and profile, no control, and dark letters on white even from a dark screen."""
    browser.open(page, 1280, dark=True)
    browser.media("print", dark=True)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)"
    assert browser.run(SHOWN.format("article.model")) == 4 and browser.run(SHOWN.format(".tools, .tabs")) == 0
    browser.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert browser.run(SHOWN.format(".by-profile")) == browser.run("document.querySelectorAll('.by-profile').length")


def test_hostile_names_do_nothing(browser, hostile, tmp_path):
    for index, payload in enumerate(["</script><script>document.title='x'</script>", "<img src=x onerror=alert(1)>",
                                     "\" onmouseover=\"alert(1)", "</style><style>*{display:none}</style>",
                                     "<svg onload=alert(1)>", "\u202egpj.exe", "javascript:alert(1)", "a" * 3000]):
        page = write(hostile(payload), tmp_path / str(index))["report.html"]
        browser.requests.clear()
        browser.open(page, 390)
        assert browser.run("document.documentElement.scrollWidth") <= 390 and browser.run(WIDE) == [], payload
        assert browser.run("document.querySelectorAll('img, iframe, [onerror], [onload], a').length") == 0
        assert browser.run("document.title") != "x" and at_peace(browser, page), payload
