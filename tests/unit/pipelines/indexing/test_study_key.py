"""What a case is: by a pattern, by DICOM, by the folder where neither says it."""

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.indexing.path_pattern import PathPattern
from cvtbatch.pipelines.indexing.study_key import StudyKey, StudyRule


def test_the_pattern_comes_first_and_dicom_says_the_rest() -> None:
    rule = StudyRule(PathPattern.parse("{center}/{patient}"), "C")
    assert rule.key("B/p1/ct", "4711", "1.2") == StudyKey("B", "p1", "1.2")
    assert rule.key("B", "4711", "1.2") is None
    assert (rule.misfits, rule.fitted) == (["B"], 1)
    assert StudyRule(None, "C").key("x", "4711", "1.2") == StudyKey("C", "4711", "1.2")


def test_where_nothing_names_a_study_its_folder_does_and_nobody_is_one_patient_with_others() -> None:
    rule = StudyRule(None, "C")
    keys = [rule.key(folder, "", "") for folder in ("x", "y")]
    assert keys == [StudyKey("C", "", "folder x"), StudyKey("C", "", "folder y")]
    assert (rule.without_patient, rule.without_study) == (2, 2)


def test_no_centre_is_guessed() -> None:
    for pattern in (None, PathPattern.parse("{patient}/{study}")):
        with pytest.raises(InputError, match="--center NAME"):
            StudyRule(pattern, None)


def test_a_pattern_that_fits_none_of_many_folders_is_told_before_all_are_read() -> None:
    rule = StudyRule(PathPattern.parse("{center}/{patient}/{study}"), None)
    for number in range(19):
        rule.require_fit(f"f{number}")
    with pytest.raises(InputError, match="first paths: 'f0', 'f1'") as raised:
        rule.require_fit("f19")
    assert raised.value.kind == "pattern_misfit"
    rule = StudyRule(PathPattern.parse("{center}/{patient}/{study}"), None)
    rule.require_fit("a/b/c")
    for number in range(100):
        rule.require_fit(f"f{number}")
    rule.require_any_fit()
