"""Which of a patient's studies is the first after the onset."""

import datetime

import pytest

from cvtbatch.pipelines.indexing.onset import first_after_onset, to_datetime
from cvtbatch.pipelines.indexing.study_choice import CHOSEN, StudyChoice
from cvtbatch.pipelines.indexing.study_key import StudyKey

ONSET = datetime.datetime(2024, 6, 1, 8, 0)


def _study(patient: str, name: str, time: str) -> StudyChoice:
    return StudyChoice(StudyKey("B", patient, name), CHOSEN, "", "", (), "", time, "")


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("20240601101500.250", datetime.datetime(2024, 6, 1, 10, 15)),
        ("202406011015", datetime.datetime(2024, 6, 1, 10, 15)),
        ("20240601", datetime.datetime(2024, 6, 1, 23, 59, 59)),
        ("20241301", None),
        ("", None),
        ("1015", None),
    ],
)
def test_study_date_and_time_are_one_moment(digits: str, expected: datetime.datetime | None) -> None:
    assert to_datetime(digits) == expected


def test_the_first_after_the_onset_is_kept_and_what_is_not_known_too() -> None:
    early, first, later = (
        _study("1", name, time) for name, time in (("x", "20240531"), ("b", "202406010900"), ("a", "20240603"))
    )
    undated, nobody, unknown = _study("1", "u", ""), _study("", "n", "20240603"), _study("2", "k", "20240101")
    onsets = {"1": ONSET, "": ONSET}
    found = first_after_onset([later, early, undated, nobody, unknown, first], lambda key: onsets.get(key.patient_id))
    assert found.kept == [undated, nobody, unknown, first]
    assert (found.before, found.later, found.untold) == ([early], [later], 3)


def test_a_scan_of_the_onset_day_without_a_time_counts_as_after_it() -> None:
    found = first_after_onset([_study("1", "a", "20240601")], lambda key: ONSET)
    assert len(found.kept) == 1
    assert not found.untold
