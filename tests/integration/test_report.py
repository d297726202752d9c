"""The report: its numbers, its files, odd cohorts, and the page in a browser."""

import csv
import dataclasses
import html
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

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
    anchors = {
        page.name: re.findall(r'<article class="case \w+" id="([^"]+)"', page.read_text("utf-8")) for page in pages
    }
    found = [anchor for names in anchors.values() for anchor in names]
    assert len(found) == len(set(found)) == CASES
    links = re.findall(r'<td[^>]*><a href="([^"]*)#([^"]+)"', report.read_text("utf-8"))
    assert len(links) == CASES
    for file, anchor in links:
        assert anchor in anchors[file or "report.html"]
    wrong = [result.case.key for result in validation.cases if result.wrong]
    assert all(gallery.anchor(key) in anchors["report.html"] for key in wrong)


def test_a_case_has_one_name_wherever_it_stands(report: Path, validation: Validation) -> None:
    keys = [result.case.key for result in validation.cases]
    document = _strictly(report.parent / "report.json")
    assert [case["key"] for case in document["cases"]] == keys
    assert not {"number", "name", "case_id"} & set(document["cases"][0])
    with (report.parent / "tables" / "cases.csv").open(encoding="utf-8", newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == keys
    pages = "".join(page.read_text("utf-8") for page in report.parent.glob("*.html"))
    assert sorted(map(unquote, re.findall(r'<article class="case \w+" id="case-([^"]+)"', pages))) == keys
    assert sorted(re.findall(r"<article.*?<h3>(.*?)</h3>", pages, re.DOTALL)) == keys
    assert (
        sorted(re.findall(r"with its outline, case ([^\"]+)\"", pages) + [k for k in keys if k.endswith("0005")])
        == keys
    )
    # Every link to a case is called as the case that it goes to.
    named = re.findall(r'<a href="[^"#]*#case-([^"]+)">([^<]*)</a>', pages)
    assert len(named) > CASES
    assert {(unquote(anchor), text) for anchor, text in named} == {(key, key) for key in keys}
    drawing = next(drawing for drawing in draw_model(validation) if drawing.name == "nomogram")
    for text in (drawing.title, drawing.alt):
        assert text.rpartition("case ")[2] in keys
    # No number of a case is left over.
    assert re.findall(r"\b[Cc]ase #?\d+\b", _text(report)) == []


def test_readers_see_words_where_programs_see_columns(report: Path, validation: Validation) -> None:
    shown = "".join(_text(page) for page in report.parent.glob("*.html"))
    # In the notes that say what an image pattern is, by one that is there.
    assert re.findall(r"\bdl_\d+\b", shown) == ["dl_017"] * 2
    assert "image pattern 17" in shown
    for name, column in (("importances", "feature"), ("shift_features", "column")):
        with (report.parent / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert {"dl_017", "dl_101"} < {row[column] for row in csv.DictReader(file)}
    document = _strictly(report.parent / "report.json")
    assert {"dl_017", "dl_101"} < {row["feature"] for row in document["importances"]}
    assert any(row["name"] == "dl_101" for case in document["cases"] for row in case["explanation"]["contributions"])


def test_no_caption_stands_twice(report: Path) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", report.read_text("utf-8"))
    assert len(captions) == len(set(captions))


def test_checklists_lie_beside_the_page_with_what_is_open(report: Path) -> None:
    page = report.read_text("utf-8")
    for name, items in (("clear", 58), ("tripod", 52), ("metrics", 30)):
        with (report.parent / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["item"] != "score"]
        assert len(rows) == items
        waiting = ", ".join(row["item"] for row in rows if row["answer"] == "open")
        assert f"Open: {waiting}." in page
        assert f'href="{name}.csv"' in page


@pytest.mark.parametrize("key", ["C2/$x$ & <b>", "C2/病例-3", "C2/" + "long " * 20])
def test_an_example_of_any_name_is_drawn(validation: Validation, key: str) -> None:
    cases = tuple(
        dataclasses.replace(result, case=dataclasses.replace(result.case, key=f"{key} {place}"))
        for place, result in enumerate(validation.cases)
    )
    named = dataclasses.replace(validation, cases=cases)
    drawing = next(drawing for drawing in draw_model(named) if drawing.name == "nomogram")
    assert drawing.title.startswith(f"Nomogram, read for case {key} ")
    assert html.escape(key) in drawing.svg


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


@pytest.mark.parametrize("section", ["model", "shift", "decision-curve"])
def test_figures_leave_no_column_of_a_wide_screen_empty(browser: Page, report: Path, section: str) -> None:
    browser.open(report, 1280)
    columns = browser.evaluate(
        f"[...document.querySelector('#{section} .drawings').children].map(e => [e.getBoundingClientRect().top, "
        "e.getBoundingClientRect().left, e.getBoundingClientRect().right, e.getBoundingClientRect().height])"
    )
    assert len(columns) == 3
    assert len({top for top, *_ in columns}) == 1
    assert all(height > 150 for *_, height in columns)
    # Side by side from margin to margin of the 1,240 pixels that a page has.
    assert columns[0][1] == 36
    assert columns[-1][2] == 1244


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
    judged = browser.evaluate(column.replace("cells[5]", "cells[10]"))
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
