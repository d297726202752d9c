"""The report: its numbers, its files, odd cohorts, and the page in a browser."""

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.report import gallery, write_report
from cvtbatch.validation.report.cohort_tables import cohort_tables
from cvtbatch.validation.report.drawing import standalone
from cvtbatch.validation.report.model_figures import draw_model
from cvtbatch.validation.report.performance_figures import draw_performance
from cvtbatch.validation.report.reader_tables import reader_tables
from cvtbatch.validation.values import NotComputable
from tests.support.browser import Page, find_chromium, open_browser
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_slice, make_training

CASES = 70
FIGURES = {
    "flow",
    "nomogram",
    "importances",
    "shift",
    "shift_scores",
    "readers_1",
    "roc",
    "precision_recall",
    "auc",
    "scores",
    "calibration_Rad",
    "calibration_DL",
    "calibration_DLR",
    "calibration_DLRN",
    "decision_curve",
    "decision_curves",
    "subgroups",
}
ODD_NAME = "Ö <b>&\"Z'{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, CASES), make_bundle(), make_training(1), make_provenance(), seed=1)


@pytest.fixture(scope="module")
def report(validation: Validation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report whose gallery takes two pages."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "MORE", 30)
        return write_report(validation, make_slice, folder)


def _strictly(file: Path) -> dict[str, object]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {file.name}")

    return dict(json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse))


def _text(page: Path) -> str:
    """Return what a page says, without pictures, styles and scripts."""
    return re.sub(
        r"<svg.*?</svg>|data:[^\"]*|<style>.*?</style>|<script>.*?</script>",
        "",
        page.read_text("utf-8"),
        flags=re.DOTALL,
    )


def test_report_json_keeps_its_contract_and_holds_the_numbers(report: Path, validation: Validation) -> None:
    document = _strictly(report.parent / "report.json")
    assert contracts.problems_of(document, "report.json") == []
    known = [case for case in document["cases"] if case["outcome"] is not None]
    assert len(known) < len(document["cases"]) == CASES
    for model in document["models"]:
        expected = roc_auc_score([case["outcome"] for case in known], [case["scores"][model["name"]] for case in known])
        assert model["auc"]["value"] == pytest.approx(expected)
        assert f"{expected:.3f}" in _text(report)
    first = document["models"][-1]["points"][0]["decisions"]
    called = [case["scores"]["DLRN"] >= 0.33 for case in known]
    assert first["true_positive"] == sum(case["outcome"] and yes for case, yes in zip(known, called, strict=True))
    assert sum(case["wrong"] is True for case in document["cases"]) == first["false_positive"] + first["false_negative"]


def test_tables_are_csv_with_numbers_in_full(report: Path, validation: Validation) -> None:
    with (report.parent / "tables" / "discrimination.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, model in zip(rows, validation.models, strict=True):
        assert row["model"] == model.name
        assert float(row["AUC (95 % CI)"]) == model.auc.value  # type: ignore[union-attr]
        assert float(row["AUC (95 % CI), low"]) == model.auc.interval.low  # type: ignore[union-attr]
    for file in (report.parent / "tables").glob("*.csv"):
        assert not re.search(
            r"(^|,)-?(nan|inf)(,|$)", file.read_text(encoding="utf-8"), re.IGNORECASE | re.MULTILINE
        ), file


@pytest.mark.parametrize(("sign", "said"), [(1, False), (-1, True)])
def test_a_negative_signature_is_said_aloud(validation: Validation, sign: int, said: bool) -> None:
    found = validation.nomogram
    assert not isinstance(found, NotComputable)
    terms = tuple(
        term if term.levels else replace(term, coefficient=sign * abs(term.coefficient)) for term in found.terms
    )
    tables = {table.name: table for table in cohort_tables(replace(validation, nomogram=replace(found, terms=terms)))}
    assert any("is negative" in note for note in tables["terms"].notes) == said


@pytest.mark.parametrize("dice", [(0.9, 0.5, 0.7), (0.9, 0.5, 0.7, 0.8)])
def test_the_median_of_the_readers_dice_is_numpys(validation: Validation, dice: tuple[float, ...]) -> None:
    changed = replace(validation, readers=(replace(validation.readers[0], dice=dice),))
    *_, outlines = reader_tables(changed)
    assert outlines.rows[0][1] == f"{np.median(dice):.2f} (0.50 to 0.90)"


def test_every_table_is_a_file_and_stands_once_in_the_page(report: Path) -> None:
    files = sorted(file.stem for file in (report.parent / "tables").glob("*.csv"))
    shown = re.findall(r'<figure class="table" id="table-([^"]+)">', report.read_text(encoding="utf-8"))
    assert sorted(shown) == files


def test_every_figure_is_a_file_and_stands_in_the_page(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    for kind, head in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        files = {file.stem: file for file in (report.parent / "figures").glob(f"*.{kind}")}
        assert set(files) == FIGURES
        assert all(file.read_bytes().startswith(head) for file in files.values())
    for name in FIGURES:
        assert f'id="figure-{name}"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "://" not in _text(report)


def test_a_figure_that_is_drawn_again_has_the_same_bytes(report: Path, validation: Validation) -> None:
    for drawing in (next(draw_performance(validation)), next(draw_model(validation))):
        assert standalone(drawing).encode() == (report.parent / "figures" / f"{drawing.name}.svg").read_bytes()
        assert drawing.png == (report.parent / "figures" / f"{drawing.name}.png").read_bytes()


def test_first_screen_says_what_it_is_for(report: Path) -> None:
    top = _text(report).split('<nav class="sections"')[0]
    for words in (
        "not a medical device",
        "Not for inference",
        "random:0",
        "4f4f4f4f",
        "a1a1a1a1",
        "intended use",
        "Caution",
    ):
        assert words in top


def test_every_case_has_an_anchor_on_one_page(report: Path, validation: Validation) -> None:
    pages = sorted(report.parent.glob("*.html"))
    assert [page.name for page in pages] == ["cases-2.html", "report.html"]
    found = [
        number
        for page in pages
        for number in re.findall(r'<article class="case \w+" id="case-(\d+)"', page.read_text("utf-8"))
    ]
    assert sorted(map(int, found)) == [result.number for result in validation.cases]
    links = re.findall(r'<td[^>]*><a href="([^"]*)#case-(\d+)"', report.read_text("utf-8"))
    assert len(links) == CASES
    for file, number in links:
        assert f'id="case-{number}"' in (report.parent / (file or "report.html")).read_text("utf-8")
    wrong = [result.number for result in validation.cases if result.wrong]
    assert all(f'id="case-{number}"' in report.read_text("utf-8") for number in wrong)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("three cases", ["2 are needed", "far too few"]),
        ("one class", ["one class only", "discrimination and calibration cannot be judged"]),
        ("no epilepsy", ["no case has both an outcome and a score", "the bundle has no nomogram", "epilepsy unknown"]),
        ("no outcomes", ["no case has both an outcome and a score", "not in this store", "not judged"]),
    ],
)
def test_odd_cohorts_get_a_report_that_says_why(name: str, says: list[str], tmp_path: Path) -> None:
    cohort, bundle, training, provenance = {
        "three cases": lambda: (make_cohort(1, 3), make_bundle(), make_training(1), make_provenance()),
        "one class": lambda: (make_cohort(1, 30, outcomes="one"), make_bundle(), make_training(1), make_provenance()),
        "no epilepsy": lambda: (make_cohort(1, 24, epilepsy=False), make_bundle(False), None, make_provenance()),
        "no outcomes": lambda: (
            make_cohort(1, 5, ODD_NAME, outcomes="none"),
            make_bundle(),
            None,
            make_provenance(ODD_NAME),
        ),
    }[name]()
    found = evaluate(cohort, bundle, training, provenance, seed=1)
    page = write_report(found, make_slice, tmp_path)
    text = _text(page)
    for words in says:
        assert words in text, words
    assert not re.search(r"\b(nan|NaN|inf|Infinity|NotComputable)\b|&lt;cvtbatch", text)
    _strictly(tmp_path / "report.json")
    if name == "no outcomes":
        assert "Ö &lt;b&gt;&amp;&#34;Z&#39;{{ 7 * 7 }}" in text
        assert "<b>&" not in text


def test_a_folder_that_cannot_be_written_is_told(validation: Validation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here", encoding="utf-8")
    with pytest.raises(InputError, match="the report cannot be written"):
        write_report(validation, make_slice, tmp_path / "file")


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with open_browser(program) as page:
        yield page


@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_whole_on_a_wide_and_a_narrow_screen(browser: Page, report: Path, width: int, tmp_path: Path) -> None:
    for file in (report, report.parent / "cases-2.html"):
        browser.open(file, width)
        assert browser.complaints() == []
        assert browser.requests() == [file.as_uri()]
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        # Nothing but what scrolls by itself sticks out of the window.
        sticking_out = browser.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll table, svg, nav.sections') && "
            f"e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 80))"
        )
        assert sticking_out == []
    browser.open(report, width)
    shown = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('figure.drawing svg')].map(e => "
        "[e.closest('figure').id.slice(7), [e.getBoundingClientRect().width, e.getBoundingClientRect().height]]))"
    )
    assert set(shown) == FIGURES
    assert all(size[0] >= 0.85 * min(width, 400) and size[1] > 100 for size in shown.values())
    pictures = browser.evaluate("[...document.images].map(e => e.complete && e.naturalWidth)")
    assert pictures
    assert set(pictures) == {240}
    png = browser.screenshot(tmp_path / "page.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    if folder := os.environ.get("CVTBATCH_SCREENSHOTS"):
        (Path(folder) / f"report-{width}.png").write_bytes(png)


def test_tables_sort_and_filter(browser: Page, report: Path) -> None:
    browser.open(report, 1280)
    rows = "[...document.querySelectorAll('table[data-name=cases] tbody tr')].filter(row => !row.hidden)"
    column = f"{rows}.map(row => row.cells[5].textContent)"
    button = "document.querySelectorAll('table[data-name=cases] th button')[5].click()"
    before = browser.evaluate(column)
    browser.evaluate(button)
    ascending = browser.evaluate(column)
    assert ascending != before
    assert ascending == sorted(before, key=float)
    browser.evaluate(button)
    assert browser.evaluate(column) == sorted(before, key=float, reverse=True)
    assert browser.evaluate("document.querySelectorAll('table[data-name=cases] th')[5].ariaSort") == "descending"
    browser.evaluate(
        "(() => { const f = document.querySelector('input[data-filter=cases]'); f.value = 'wrong'; "
        "f.dispatchEvent(new Event('input')) })()"
    )
    judged = browser.evaluate(column.replace("cells[5]", "cells[7]"))
    assert set(judged) == {"wrong"}
    assert browser.evaluate("document.querySelector('input[data-filter=cases]').parentElement.innerText").endswith(
        f"{len(judged)} of {CASES} rows"
    )


def test_gallery_filters_and_a_link_brings_a_case_back(browser: Page, report: Path) -> None:
    browser.open(report, 1280)
    shown = "[...document.querySelectorAll('article.case')].filter(e => e.checkVisibility()).map(e => e.dataset.judged)"
    everything = browser.evaluate(shown)
    browser.evaluate(
        "(() => { const s = document.querySelector('[data-gallery=judged]'); s.value = 'wrong'; "
        "s.dispatchEvent(new Event('input')) })()"
    )
    assert set(browser.evaluate(shown)) == {"wrong"}
    hidden = browser.evaluate("document.querySelector('article.case[hidden]').id")
    browser.evaluate(
        f"new Promise(done => {{ addEventListener('hashchange', () => setTimeout(done)); location.hash = '{hidden}' }})"
    )
    assert browser.evaluate(shown) == everything
    assert browser.complaints() == []


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
    browser.call("Emulation.setEmulatedMedia", media="")
