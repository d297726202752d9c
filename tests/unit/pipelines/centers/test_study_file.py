"""The authors' file: the example is whole, and every problem of a bad one is named with its key."""

import dataclasses
import json
from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.centers.study_file import read_study
from cvtbatch.validation.study import Availability, Dates, ReferenceStandard, Shared, Study
from tests.support.paths import ROOT

EXAMPLE = ROOT / "docs" / "study.yaml"


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_answers_every_key() -> None:
    found = read_study(EXAMPLE)
    assert found.dates == Dates("2019-01", "2024-06-30")
    for value in (found, found.reference_standard, found.availability):
        assert value is not None
        for field in dataclasses.fields(value):
            assert getattr(value, field.name) is not None, field.name


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (Study, ()),
        (ReferenceStandard, ("properties", "reference_standard")),
        (Availability, ("properties", "availability")),
        (Shared, ("$defs", "Shared")),
    ],
)
def test_contract_and_types_have_the_same_keys(kind: type, place: tuple[str, ...]) -> None:
    rules = json.loads((ROOT / "schemas" / "study.json").read_text(encoding="utf-8"))
    for key in place:
        rules = rules[key]
    keys = [key for key in rules["properties"] if key != "version"]
    assert keys == [field.name for field in dataclasses.fields(kind)]


def test_keys_may_be_left_out(tmp_path: Path) -> None:
    assert read_study(_write(tmp_path, "version: 1\n")) == Study()


def test_every_problem_is_named_with_its_key(tmp_path: Path) -> None:
    text = """
    version: 2
    dates: {first: 2019, last: 2024-13-01}
    nature: cross-over
    seting: A hospital.
    setting:
    reference_standard: {blinded: perhaps}
    readers: [{reader: A, role: neurosurgeon, years: .nan}]
    availability: {code: {available: yes}, data: {available: true, where: here}}
    """
    with pytest.raises(ProblemsError) as caught:
        read_study(_write(tmp_path, text))
    assert caught.value.kind == "bad_study"
    problems = caught.value.private.splitlines()
    for key in (
        "version",
        "dates.first",
        "dates.last",
        "nature",
        "unknown key seting; the nearest valid one is setting",
        "setting: None",
        "reference_standard: 'definition' is a required property",
        "reference_standard.blinded",
        "readers.0.years",
        "availability.code: 'where' is a required property",
        "unknown key availability.data",
    ):
        assert any(problem.startswith(key) for problem in problems), (key, problems)
    assert len(problems) == 11


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a: [", "bad_study"),
        ("just words", "bad_study"),
        ("", "bad_study"),
        ("version: 1\ndates: {first: 2024-02-31, last: 2024-03}", "bad_study"),
    ],
)
def test_what_is_no_study_is_refused(tmp_path: Path, text: str, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        read_study(_write(tmp_path, text))
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("first", "last", "good"),
    [("2024-06-15", "2024-06", True), ("2024-06", "2024-06-15", True), ("2024-07", "2024-06-15", False)],
)
def test_dates_run_forward(tmp_path: Path, first: str, last: str, good: bool) -> None:
    path = _write(tmp_path, f"version: 1\ndates: {{first: {first}, last: {last}}}")
    if good:
        assert read_study(path).dates == Dates(first, last)
    else:
        with pytest.raises(ProblemsError, match=r"dates\.first: 2024-07 is later than dates\.last, 2024-06-15"):
            read_study(path)


def test_a_day_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"dates\.first: 2024-02-31: day is out of range"):
        read_study(_write(tmp_path, "version: 1\ndates: {first: 2024-02-31, last: 2024-03}"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_study(tmp_path / "none.yaml")
    assert caught.value.kind == "no_study"
