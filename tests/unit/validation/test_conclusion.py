"""One sentence on one case: a class where there is a probability, the reason where there is none, and what speaks against both."""

from dataclasses import replace

import pytest

from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.outcome import CVT, outcome_of
from cvtbatch.validation.report.case_words import conclusion_in_words
from cvtbatch.validation.report.conclusion import UNTRAINED, conclude
from cvtbatch.validation.values import NotComputable
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_training


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, 12), make_bundle(), make_training(1, 40), make_provenance(), seed=1)


def test_a_conclusion_has_probability_threshold_class_and_warnings() -> None:
    told = conclude("DLRN", 0.4213, True, 0.33, (), (), CVT)
    assert told == (
        "DLRN: probability of CVT 0.421, at or above the frozen threshold 0.330: class CVT. Research use only."
    )
    assert "0.329, below the frozen threshold 0.330: class another cause" in conclude(
        "DLRN", 0.329, False, 0.33, (), (), CVT
    )
    assert "below the frozen threshold: class" in conclude("DLRN", 0.2, False, None, (), (), CVT)
    warned = conclude("DLRN", 0.5, True, 0.33, ("dl_017",), (UNTRAINED,), CVT)
    assert warned.endswith(
        "class CVT. Not for inference: the image network was never trained. Outside the range of training: image pattern 17. "
        "Research use only."
    )


def test_a_conclusion_speaks_of_what_the_model_tells() -> None:
    expansion = outcome_of("expansion")
    told = [conclude("DLRN", 0.4, called, 0.33, (), (), expansion) for called in (True, False)]
    assert "probability of expansion 0.400, at or above the frozen threshold 0.330: class expansion." in told[0]
    assert "below the frozen threshold 0.330: class no expansion." in told[1]


def test_without_a_probability_nothing_is_concluded() -> None:
    told = conclude("DLRN", NotComputable("epilepsy is not known (at all)"), None, 0.33, ("a", "b"), (), CVT)
    assert told.startswith(
        "No conclusion: DLRN gives no probability: epilepsy is not known. Outside the range of training: 2"
    )
    assert "class" not in told


def test_the_gallery_concludes_what_the_threshold_decides(validation: Validation) -> None:
    classes = set()
    for result in validation.cases:
        inside = replace(result, case=replace(result.case, outside=()))
        score = result.case.scores["DLRN"]
        if not 0.02 <= result.case.scores["DLR"] <= 0.97:
            continue
        found = "CVT" if score >= 0.33 else "another cause"
        told = conclusion_in_words(inside, validation)
        assert told.startswith(f"DLRN: probability of CVT {score:.3f}, ")
        assert f"frozen threshold 0.330: class {found}. Not for inference" in told
        outside = replace(result, case=replace(result.case, outside=("dl_017",)))
        assert conclusion_in_words(outside, validation).startswith("No conclusion")
        assert f"{score:.3f}" not in conclusion_in_words(outside, validation)
        classes.add(found)
    assert classes == {"CVT", "another cause"}
