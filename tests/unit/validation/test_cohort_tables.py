"""What stands in the tables of the cohort and of calibration, where few words or digits hide something."""

from dataclasses import replace

import pytest

from cvtbatch import contracts
from cvtbatch.validation.baseline import compare_numbers
from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.inputs import FlowStep
from cvtbatch.validation.model_result import MovedModel
from cvtbatch.validation.report.case_words import beyond_in_words
from cvtbatch.validation.report.cohort_tables import cohort_tables
from cvtbatch.validation.report.document import to_document
from cvtbatch.validation.report.model_figures import draw_model
from cvtbatch.validation.report.performance_tables import performance_tables
from cvtbatch.validation.report.results_text import results_text
from cvtbatch.validation.set_coverage import SetCoverage
from cvtbatch.validation.values import Estimate, Interval, NotComputable
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_training

CLIP = "slope by clip (clipped)"


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, 40), make_bundle(), make_training(1, 40), make_provenance(), seed=1)


@pytest.mark.parametrize(
    ("here", "training", "shown"),
    [
        ([0.9217] * 3, [0.8987] * 3, ("0.92 (0.92 to 0.92)", "0.90 (0.90 to 0.90)")),
        ([120.04] * 3, [120.01] * 3, ("120.04 (120.04 to 120.04)", "120.01 (120.01 to 120.01)")),
        ([6.0, None], [6.1], ("6.0 (6.0 to 6.0); unknown: 1", "6.1 (6.1 to 6.1)")),
        ([120.0, None], [120.0], ("120 (120 to 120); unknown: 1", "120 (120 to 120)")),
        # Nothing that a scanner can be told by.
        ([6.000000000003] * 3, [6.0] * 3, ("6.0 (6.0 to 6.0)", "6.0 (6.0 to 6.0)")),
    ],
)
def test_numbers_that_differ_are_shown_to_differ(
    validation: Validation, here: list[float | None], training: list[float | None], shown: tuple[str, str]
) -> None:
    row = compare_numbers("pixel (mm)", "", here, training)
    tables = {table.name: table for table in cohort_tables(replace(validation, protocol=(row,)))}
    assert tables["protocol"].rows[0][1:3] == shown


def test_few_cases_that_a_step_leaves_out_are_named(validation: Validation) -> None:
    few, many = ([f"C2/{place}" for place in range(count)] for count in (5, 6))
    step = FlowStep.leaving_out("eligible", 3, {"late": few, "traumatic hemorrhage": many})
    table = next(cohort_tables(replace(validation, flow=(step,))))
    assert table.rows == (("eligible", 3, "late (5): C2/0, C2/1, C2/2, C2/3, C2/4; traumatic hemorrhage (6)"),)


def test_criteria_that_nobody_recorded_are_told_wherever_cases_count_as_eligible(validation: Validation) -> None:
    step = FlowStep.leaving_out("eligible", 6, {}, {"onset_to_ct_h": 6, "ivh": 2, "quality": 6})
    told = (
        "onset to CT, image quality: not recorded for 6 of 6 cases; "
        "substantial intraventricular hemorrhage: not recorded for 2 of 6 cases"
    )
    found = replace(validation, flow=(FlowStep("screened", 6), step))
    table = next(cohort_tables(found))
    assert table.rows == (("screened", 6, "", ""), ("eligible", 6, "", told))
    assert "leaves nobody out" in table.header[-1]
    text = results_text(found, ())
    assert f"Of the criteria of eligibility, {told}; an empty value left nobody out." in text
    assert f"- That every case belongs to the study: {told}." in text
    figure = next(drawing for drawing in draw_model(found) if drawing.name == "flow")
    assert figure.alt.endswith(f"eligible: 6; {told}")


def test_how_far_outside_the_training_range_is_told_with_the_farthest_first(validation: Validation) -> None:
    first, *_ = validation.cases
    outside = ("dl_017", "original_glcm_Contrast", "original_firstorder_Mean", "lbp-3D-k_ngtdm_Coarseness", "constant")
    beyond = {"dl_017": -0.31, outside[1]: 2.04, outside[2]: 0.02, outside[3]: -11.6}
    case = replace(first.case, outside=outside, beyond=beyond)
    tables = {table.name: table for table in cohort_tables(replace(validation, cases=(replace(first, case=case),)))}
    assert tables["cases"].rows[0][-2] == (
        "lbp-3D-k_ngtdm_Coarseness (11.6 below), original_glcm_Contrast (2.0 above), image pattern 17 (0.3 below) and 2 more"
    )
    assert beyond_in_words(case, 5).endswith(
        "original_firstorder_Mean (0.02 above), constant (all training cases have one value)"
    )


def test_what_only_some_bundles_have_stands_in_tables_of_its_own(validation: Validation) -> None:
    auc, none = Estimate(0.8, Interval(0.7, 0.9)), NotComputable("told")
    moved, sets = (MovedModel("DLR", 20, auc, none, none, 3),), (SetCoverage(True, 8, 1, auc, 5, 2, 1),)
    whole = replace(validation, moved=moved, sets=sets)
    tables = {table.name: table for table in performance_tables(whole)}
    assert tables["moved"].rows == (("DLR", 20, auc, none, none, none, 3),)
    assert tables["sets"].rows == (("with the event", 8, 1, auc, 5, 2, 1),)
    assert not {"moved", "sets"} & {table.name for table in performance_tables(validation)}
    assert contracts.problems_of(to_document(whole), "report.json") == []


@pytest.mark.parametrize("clipped", [0, 2])
def test_calibration_tells_of_clips_only_where_something_is_clipped(validation: Validation, clipped: int) -> None:
    first, *others = validation.models
    slopes = tuple(replace(row, clipped=clipped) for row in first.calibration.slopes)
    unclipped = [tuple(replace(row, clipped=0) for row in model.calibration.slopes) for model in others]
    models = tuple(
        replace(model, calibration=replace(model.calibration, slopes=own))
        for model, own in zip(validation.models, [slopes, *unclipped], strict=True)
    )
    tables = {table.name: table for table in performance_tables(replace(validation, models=models))}
    assert (CLIP in tables["calibration"].header) == bool(clipped)
    assert len(tables["calibration"].digits) == len(tables["calibration"].header)
