"""The page's calculator and the cards of its cases, in a browser."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.nomogram import NOT_KEPT, TrainingRange
from cvtbatch.validation.report import write_report
from cvtbatch.validation.report.calculator import calculator_data
from cvtbatch.validation.report.gallery import anchor
from cvtbatch.validation.values import NotComputable
from tests.support.browser import Page, find_chromium, open_browser
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_slice, make_training


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, 24), make_bundle(), make_training(1), make_provenance(), seed=1)


@pytest.fixture(scope="module")
def report(validation: Validation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(validation, make_slice, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with open_browser(program) as page:
        yield page


def _calculate(browser: Page, signature: str, epilepsy: str) -> str:
    script = (
        "((signature, epilepsy) => { const box = document.querySelector('[data-calculator]'); "
        "const [first, second] = box.querySelectorAll('[data-term]'); first.value = signature; second.value = epilepsy; "
        "second.dispatchEvent(new Event('input')); return box.querySelector('output').textContent })"
    )
    return str(browser.evaluate(f"{script}({json.dumps(signature)}, {json.dumps(epilepsy)})"))


def test_the_calculator_gives_the_nomograms_numbers_and_none_outside_the_training_range(
    browser: Page, report: Path, validation: Validation
) -> None:
    nomogram = validation.nomogram
    assert not isinstance(nomogram, NotComputable)
    signature, seizure = nomogram.terms
    browser.open(report, 1280)
    for value in (0.02, 0.0837, 0.25, 0.5, 0.731, 0.97):
        for epilepsy in (0.0, 1.0):
            points = nomogram.points(signature, value), nomogram.points(seizure, epilepsy)
            # By the logistic model itself, without points.
            odds = nomogram.intercept + signature.coefficient * value + seizure.coefficient * epilepsy
            expected = (
                f"{sum(points):.1f} points ({points[0]:.1f} for DLR signature and {points[1]:.1f} for epilepsy); "
                f"probability {1 / (1 + np.exp(-odds)):.3f}"
            )
            assert _calculate(browser, str(value), str(epilepsy)) == expected
    assert _calculate(browser, "0,25", "0.0") == _calculate(browser, "0.25", "0.0")
    for value in ("0.0199", "0.9701", "-1", "1", "Infinity"):
        assert _calculate(browser, value, "1.0") == "outside the training range: no number"
    assert _calculate(browser, "much", "1.0") == "not a number"
    assert _calculate(browser, "0.5", "") == _calculate(browser, "", "1.0") == ""
    shown = browser.evaluate("document.querySelector('[data-calculator]').innerText")
    assert "DLR signature 0.020 to 0.970" in shown
    assert "For research use" in shown
    assert browser.complaints() == []


def test_without_a_training_range_there_is_no_calculator(validation: Validation) -> None:
    found = validation.nomogram
    assert not isinstance(found, NotComputable)
    assert isinstance(calculator_data(found), str)
    unknown = replace(found, terms=(replace(found.terms[0], training=NOT_KEPT), *found.terms[1:]))
    assert calculator_data(unknown) == NOT_KEPT


def test_a_card_gives_no_number_outside_the_training_range(validation: Validation, tmp_path: Path) -> None:
    signature, seizure = validation.nomogram.terms  # type: ignore[union-attr]
    narrow = replace(validation.nomogram, terms=(replace(signature, training=TrainingRange(0.2, 0.6)), seizure))  # type: ignore[type-var]
    first, *others = validation.cases
    unusual = replace(first, case=replace(first.case, outside=("original_glcm_Contrast",)))
    found = replace(validation, nomogram=narrow, cases=(unusual, *others))
    page = write_report(found, make_slice, tmp_path / "report").read_text(encoding="utf-8")
    cards = dict(re.findall(r'<article class="case [^>]* id="([^"]*)".*?<h3>.*?</h3>(.*?)</article>', page, re.DOTALL))
    seen = set()
    for result in found.cases:
        case = result.case
        card = re.sub(r'src="[^"]*"', "", cards[anchor(case.key)])
        numbers = [f"{score:.3f}" for score in (*case.scores.values(), *case.probabilities.values())]
        beyond = not 0.2 <= case.scores["DLR"] <= 0.6
        if case.outside or beyond:
            assert card.count("outside the training range: no number") == 1
            assert ("DLR signature" in card) == beyond
            for words in (*numbers, "<b>", "Nomogram:", "What moves"):
                assert words not in card, words
        else:
            assert "outside the training range: no number" not in card
            for words in (*numbers, "Nomogram:", "What moves"):
                assert words in card, words
        seen.add((bool(case.outside), beyond))
    # Cases outside by a column alone or by the signature, and cases within.
    assert {(False, False), (False, True)} <= seen
    assert any(outside for outside, _ in seen)


def test_a_row_of_a_case_opens_its_card(browser: Page, report: Path) -> None:
    browser.open(report, 1280)
    row = "[...document.querySelectorAll('table[data-name=cases] tbody tr')].at(-1)"
    anchor = browser.evaluate(
        f"new Promise(done => {{ addEventListener('hashchange', () => setTimeout(() => done(location.hash.slice(1)))); "
        f"{row}.cells[1].click() }})"
    )
    cards = "[...document.querySelectorAll('article.case')]"
    opened = browser.evaluate(f"{cards}.filter(e => e.querySelector('details').open).map(e => e.id)")
    assert opened == [anchor]
    card = browser.evaluate(f"document.getElementById({json.dumps(anchor)}).innerText")
    for words in ("Distance from training", "training range", "For research use"):
        assert words in card
