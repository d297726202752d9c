"""What the report says in words: columns, points, and what moved a signature."""

import dataclasses

import pytest

from cvtbatch.contracts import feature_names
from cvtbatch.dlrn.cohort import component_names
from cvtbatch.validation.inputs import Case, Contribution, Explanation
from cvtbatch.validation.report.case_words import clinical_in_words, moved_in_words, points_in_words
from cvtbatch.validation.report.column_words import image_pattern_notes, in_words

POINTS = (Contribution("DLR signature", 1.2), Contribution("epilepsy", 100.0))
MOVED = (Contribution("dl_039", -0.21), Contribution("original_shape_Sphericity", 0.104), Contribution("dl_004", -0.06))
CASE = Case(
    key="C2/dl_012",
    patient="P1",
    outcome=True,
    scores={"DLR": 0.02, "DLRN": 0.4},
    clinical={"epilepsy": 1},
    explanation=Explanation(POINTS, 0.25, MOVED, 0.01),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dl_039", "image pattern 39"),
        ("dl_100", "image pattern 100"),
        ("dl_1024", "image pattern 1024"),
        (
            "2 of 3 features: dl_001, original_glcm_Contrast.",
            "2 of 3 features: image pattern 1, original_glcm_Contrast.",
        ),
        ("C2/dl_012", "C2/dl_012"),
        ("mdl_012", "mdl_012"),
        ("dl_012b", "dl_012b"),
    ],
)
def test_image_columns_are_patterns_in_words(text: str, words: str) -> None:
    assert in_words(text) == words


def test_every_image_column_of_a_model_is_told_and_no_other() -> None:
    components = component_names(512)
    assert [in_words(name) for name in components] == [f"image pattern {place}" for place in range(1, 513)]
    assert [in_words(name) for name in feature_names()] == list(feature_names())
    [told] = image_pattern_notes(components[:1], {})
    assert "of the hematoma's largest slice." in told
    [told] = image_pattern_notes(components[:1], {"slices of the embedding": "slices, their mean weighted by area"})
    assert "of the hematoma's slices, their mean weighted by area." in told
    assert image_pattern_notes(feature_names(), {}) == ()


def test_points_are_told_with_the_values_that_have_them() -> None:
    assert points_in_words(CASE) == "101 points: 1 for DLR signature 0.02 and 100 for epilepsy yes"
    without = dataclasses.replace(CASE, clinical={"epilepsy": 0}, explanation=Explanation((POINTS[0],), None, (), None))
    assert points_in_words(without) == "1 point: 1 for DLR signature 0.02"
    assert points_in_words(dataclasses.replace(CASE, explanation=None)) == ""


def test_clinical_values_are_told_as_the_cohort_is() -> None:
    clinical = {
        "age": 83.0,
        "sex": "M",
        "epilepsy": 1,
        "headache": None,
        "onset_to_ct_h": 6.7,
        "ivh": 0,
        "confirmed_by": "CTA",
        "volume_ml": 33.785000000000004,
        "source_volume_ml": 34.25,
    }
    assert clinical_in_words(dataclasses.replace(CASE, clinical=clinical)) == (
        "age: 83 years; sex: M; epilepsy: yes; onset to CT: 6.7 h; substantial intraventricular hemorrhage: no; "
        "etiology confirmed by: CTA; hematoma volume on the stored grid: 33.8 ml; hematoma volume: 34.2 ml"
    )


def test_what_moved_a_signature_is_told_by_direction() -> None:
    assert moved_in_words(CASE, 2) == "raised by original_shape_Sphericity (+0.10), lowered by image pattern 39 (−0.21)"
    assert moved_in_words(CASE, 3).endswith("lowered by image pattern 39 (−0.21) and image pattern 4 (−0.06)")
    assert moved_in_words(dataclasses.replace(CASE, explanation=None), 3) == ""
