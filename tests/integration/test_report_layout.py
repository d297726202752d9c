"""The page on paper and on a narrow screen, in a browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvtbatch.validation.evaluate import evaluate
from cvtbatch.validation.report import write_report
from tests.support.browser import Page, find_chromium, open_browser
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_slice, make_training

CASES = 50


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    validation = evaluate(make_cohort(1, CASES), make_bundle(), make_training(1), make_provenance(), seed=1)
    return write_report(validation, make_slice, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with open_browser(program) as page:
        yield page


def test_the_first_column_stays_while_a_narrow_screen_scrolls_a_table(browser: Page, report: Path) -> None:
    browser.open(report, 390)
    tables = browser.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 60).map(e => { "
        "e.scrollLeft = 60; const cells = [e.querySelector('th'), e.querySelector('td')]; "
        "const left = e.getBoundingClientRect().left; "
        "return cells.map(c => [c.getBoundingClientRect().left - left, c.getBoundingClientRect().width]) })"
    )
    assert len(tables) > 5
    for cells in tables:
        for left, width in cells:
            assert left == pytest.approx(1, abs=1)
            assert width < 200
    # A key stands on one line.
    heights = browser.evaluate(
        "[...document.querySelectorAll('table[data-name=cases] td.key a')].map(e => e.getClientRects().length)"
    )
    assert heights == [1] * CASES


def test_page_prints(browser: Page, report: Path, tmp_path: Path) -> None:
    browser.open(report, 1280)
    pdf = browser.print_pdf(tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 10 <= pages <= 45
    # As paper has it: nothing wider than a page, navigation gone, checklists open.
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.resize(703, 1000)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 703
    assert browser.evaluate("getComputedStyle(document.querySelector('nav.sections')).display") == "none"
    cut = browser.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1)"
        ".map(e => e.getAttribute('aria-label'))"
    )
    assert cut == []
    # Chromium repeats a table's header on the next page without what stands in a box of its own.
    heads = "[...new Set([...document.querySelectorAll('th button')].map(e => getComputedStyle(e).display))]"
    assert browser.evaluate(heads) == ["contents"]
    summaries = "[...document.querySelectorAll('article.case summary')].filter(e => e.checkVisibility()).length"
    assert browser.evaluate(summaries) == 0
    assert browser.evaluate("document.querySelector('.glossary dd').checkVisibility()")
    assert browser.evaluate("getComputedStyle(document.querySelector('.verdict-line')).breakInside") == "avoid"
    browser.call("Emulation.setEmulatedMedia", media="")
