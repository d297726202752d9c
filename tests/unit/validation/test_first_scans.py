"""One scan a patient where cases are taken as independent, and intervals of patients everywhere else."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.first_scans import Repeats, count_repeats, first_places, first_scans
from cvtbatch.validation.inputs import CenterCohort
from cvtbatch.validation.report.document import to_document
from cvtbatch.validation.report.repeat_words import repeats_in_words
from cvtbatch.validation.report.results_text import results_text
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_training

PATIENTS = 160


def thrice(cohort: CenterCohort) -> CenterCohort:
    """Return a cohort with two more, equal scans of every patient, their keys after the first one's."""
    copies = [replace(case, key=f"{case.key}/{scan}") for scan in (1, 2) for case in cohort.cases]
    return replace(
        cohort,
        cases=(*cohort.cases, *copies),
        features={name: np.tile(values, 3) for name, values in cohort.features.items()},
        embedding=None if cohort.embedding is None else np.tile(cohort.embedding, (3, 1)),
    )


def judge(cohort: CenterCohort) -> Validation:
    return evaluate(cohort, make_bundle(), make_training(1), make_provenance(), seed=1)


@pytest.fixture(scope="module")
def single() -> Validation:
    return judge(make_cohort(1, PATIENTS))


@pytest.fixture(scope="module")
def repeated() -> Validation:
    return judge(thrice(make_cohort(1, PATIENTS)))


def widths(part: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the width of every interval in a document, with its path."""
    if isinstance(part, dict):
        if "high" in (part.get("interval") or {}):
            yield path, part["interval"]["high"] - part["interval"]["low"]
        elif isinstance(part.get("low"), list):
            places = range(len(part["low"]))
            yield from ((f"{path}/{place}", part["high"][place] - part["low"][place]) for place in places)
        for name, value in part.items():
            yield from widths(value, f"{path}/{name}")
    elif isinstance(part, list):
        for place, value in enumerate(part):
            yield from widths(value, f"{path}/{place}")


def test_a_patients_earliest_scan_is_taken() -> None:
    scans = [
        ("A", 5.0, "a2"),
        ("B", None, "b1"),
        ("A", 3.0, "a3"),
        ("B", None, "b0"),
        ("A", 3.0, "a1"),
        ("C", None, "c"),
    ]
    assert first_places(scans) == [3, 4, 5]
    assert first_places([]) == []


def test_the_first_scans_are_the_cohort_of_one_scan_each() -> None:
    cohort = make_cohort(1, 20)
    found = first_scans(thrice(cohort))
    assert found.cases == cohort.cases
    for name, values in cohort.features.items():
        np.testing.assert_array_equal(found.features[name], values)
    assert count_repeats(cohort.cases) is None
    assert count_repeats(thrice(cohort).cases) == Repeats(60, 20, 20, 3)


def test_scans_that_say_nothing_new_narrow_no_interval_of_the_report(single: Validation, repeated: Validation) -> None:
    """Were scans taken as independent, every width would be 0.58 of what it is."""
    parts = ("models", "comparisons", "recalibrations", "subgroups")
    one, other = (dict(widths({name: to_document(found)[name] for name in parts})) for found in (single, repeated))
    # More cases make more groups of the calibration plot; training's intervals are the bundle's.
    alike = [
        path for path in one.keys() & other.keys() if not re.search("/groups|/training|/published", path) and one[path]
    ]
    ratios = {path: other[path] / one[path] for path in alike}
    bands = ("/decision_curve/", "/calibration/curve/")
    alone = {path: ratio for path, ratio in ratios.items() if not any(band in path for band in bands)}
    assert len(alone) > 150
    assert min(alone.values()) > 0.75
    # Where few cases are, a band of patients' own sums may be narrow.
    for band in bands:
        assert np.median([ratio for path, ratio in ratios.items() if band in path]) == pytest.approx(1, abs=0.1)


def test_baseline_and_shift_do_not_see_the_further_scans(single: Validation, repeated: Validation) -> None:
    for name in ("baseline_by_class", "baseline_against_training", "protocol", "patients"):
        assert getattr(single, name) == getattr(repeated, name), name
    assert single.shift == repeated.shift


def test_the_report_says_what_it_counts(single: Validation, repeated: Validation) -> None:
    assert repeats_in_words(single) == ""
    told = repeats_in_words(repeated)
    assert "480 cases come from 160 patients, of whom 160 have several scans, up to 3" in told
    assert "Obuchowski" in told
    assert "simulated" not in told
    assert told in results_text(repeated, ())
    few = judge(thrice(make_cohort(1, 60)))
    assert "In simulated cohorts of 40 patients" in repeats_in_words(few)
