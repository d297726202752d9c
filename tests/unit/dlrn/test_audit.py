"""The leakage audit finds every kind of leak that is planted."""

from dataclasses import replace
from functools import cache

import pytest

from cvtbatch.dlrn.audit import (
    OPTIMISTIC,
    Backbone,
    FindingKind,
    Member,
    audit_backbone,
    audit_cohorts,
    audit_out_of_fold,
    audit_tasks,
    refuse,
)
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import Surroundings, fit_model
from cvtbatch.dlrn.signatures import Seen
from cvtbatch.dlrn.tasks import TaskResult, plan_tasks, run_task
from cvtbatch.errors import InternalError, ProblemsError
from tests.support.cohorts import SPECS, CohortPlan, made_cohort, members, settings

FAST = settings("fit.nested.folds=2", "fit.crossfit_folds=2", "fit.forest.trees=4", "fit.components=4")
PLAN = CohortPlan(cases=48, positives=20, radiomics=8, length=8, cases_per_patient=2, epilepsy=(0.2, 0.5))


@cache
def made() -> Cohort:
    return made_cohort(PLAN, 3)


@cache
def nested_fold() -> TaskResult:
    return run_task(made(), FAST, plan_tasks(made(), FAST)[0])


def kinds(result: TaskResult, limit: int = 512) -> dict[FindingKind, tuple[str, ...]]:
    return {finding.kind: finding.keys for finding in audit_tasks(made(), [result], limit)}


def test_a_fold_as_it_is_run_has_no_findings_and_every_step_is_on_record() -> None:
    result = nested_fold()
    assert kinds(result) == {}
    steps = {seen.step.rpartition(": ")[2].partition("/")[0] for seen in result.seen}
    of_signatures = {"components", "scaler", "mann_whitney", "correlation", "lasso", "forest"}
    assert steps == {*of_signatures, "clinical", "nomogram", "thresholds"}
    inner = [seen for seen in result.seen if "crossfit-" in seen.step]
    assert {seen.step.partition(":")[0] for seen in inner} == {f"nested-1-1/crossfit-{fold}" for fold in (1, 2)}
    held = {row for seen in inner for row in seen.held_out}
    assert held == set(result.task.train)


@pytest.mark.parametrize(
    "step", ["components", "scaler", "mann_whitney", "correlation/dlr", "lasso/dlr", "forest/rad", "thresholds"]
)
def test_a_step_that_saw_a_test_row_is_found_with_its_case(step: str) -> None:
    result = nested_fold()
    row = result.task.test[0]
    seen = [replace(entry, rows=(*entry.rows, row)) if entry.step == step else entry for entry in result.seen]
    assert seen != list(result.seen)
    assert kinds(replace(result, seen=tuple(seen))) == {FindingKind.STEP_SAW_OTHERS: (made().keys[row],)}


def test_an_inner_step_that_saw_what_its_own_fold_holds_out_is_found() -> None:
    result = nested_fold()
    first = next(entry for entry in result.seen if entry.held_out)
    leaky = Seen(first.step, (*first.rows, first.held_out[0]), first.held_out)
    assert kinds(replace(result, seen=(leaky,))) == {FindingKind.STEP_SAW_OTHERS: (made().keys[first.held_out[0]],)}


def test_a_patient_in_training_and_test_rows_is_found() -> None:
    task = nested_fold().task
    moved = replace(task, train=task.train[1:], test=(*task.test, task.train[0]))
    assert made().patients[task.train[0]] in {made().patients[row] for row in moved.train}
    found = kinds(replace(nested_fold(), task=moved, seen=()))
    assert found == {FindingKind.PATIENT_ON_BOTH_SIDES: (made().keys[task.train[0]],)}


def test_more_components_than_rows_are_found() -> None:
    assert set(kinds(replace(nested_fold(), components=(49, 48)))) == {FindingKind.TOO_MANY_COMPONENTS}
    assert set(kinds(replace(nested_fold(), components=(9, 48)), limit=8)) == {FindingKind.TOO_MANY_COMPONENTS}


def test_thresholds_on_scores_of_the_fits_own_cases_are_found() -> None:
    result = nested_fold()
    assert audit_out_of_fold(made(), [result], {result.task.name: result.task.test}) == []
    own = audit_out_of_fold(made(), [result], {result.task.name: result.task.train[:1]})
    assert [(finding.kind, finding.keys) for finding in own] == [
        (FindingKind.SCORED_ITS_TRAINING, (made().keys[result.task.train[0]],))
    ]


def test_cohorts_share_no_patient_and_no_voxels() -> None:
    training = [Member("A/1", "A", "p1", "d1"), Member("A/2", "A", "p1", "d1"), Member("A/3", "A", "p3", "d3")]
    outside = [Member("B/1", "B", "q1", "d9"), Member("A/4", "A", "p3", "d4"), Member("B/2", "B", "q2", "d1")]
    found = audit_cohorts(training, [*outside, Member("B/5", "B", "p3", ""), Member("B/6", "B", "q6", "")])
    assert {(finding.kind, finding.keys) for finding in found} == {
        (FindingKind.PATIENT_ON_BOTH_SIDES, ("A/3", "A/4")),
        (FindingKind.SAME_VOXELS, ("A/1", "A/2", "B/2")),
        (FindingKind.SAME_TEXT_AT_TWO_CENTERS, ("A/3", "A/4", "B/5")),
    }
    # One patient may have one image twice in training, and cases outside training may be alike: no leak.
    assert audit_cohorts(training, [Member("B/1", "B", "q1", "d9"), Member("B/2", "B", "q2", "d9")]) == []
    two_patients = [Member("A/1", "A", "p1", "d1"), Member("A/2", "A", "p2", "d1")]
    assert [finding.kind for finding in audit_cohorts(two_patients, [])] == [FindingKind.SAME_VOXELS]


def test_a_backbone_that_saw_training_patients_marks_and_one_that_saw_others_is_refused() -> None:
    training = [Member("A/1", "A", "p1", ""), Member("A/2", "A", "p2", "")]
    others = [Member("B/1", "B", "p1", ""), Member("B/2", "B", "p2", "")]
    assert audit_backbone(training, others, Backbone()) == ([], False)
    assert audit_backbone(training, others, Backbone(frozenset({("A", "p1")}))) == ([], True)
    found, marked = audit_backbone(training, others, Backbone(frozenset({("A", "p1"), ("B", "p1"), ("C", "p9")})))
    assert marked
    assert [(finding.kind, finding.keys) for finding in found] == [
        (FindingKind.BACKBONE_SAW_OUTSIDERS, ("B/1", "C/p9 (no case)"))
    ]


def test_a_remark_passes_an_error_does_not_and_an_own_fault_is_a_defect() -> None:
    training = [Member("A/1", "A", "p1", "d1")]
    refuse(audit_cohorts(training, [Member("B/1", "B", "p1", "d2")]))
    with pytest.raises(ProblemsError, match="A/1, A/2") as caught:
        refuse(audit_cohorts(training, [Member("A/2", "A", "p1", "d2")]))
    assert caught.value.kind == "leakage"
    assert "A/1" not in caught.value.message
    with pytest.raises(InternalError):
        refuse(audit_tasks(made(), [replace(nested_fold(), components=(49, 48))], 512))


def test_a_fit_refuses_leaks_before_it_begins_and_marks_what_a_tuned_backbone_moved() -> None:
    cohort = made()
    own = members(cohort)
    outside = Member("C1/x", "C1", own[0].patient, "")
    with pytest.raises(ProblemsError, match="patient_on_both_sides"):
        fit_model(cohort, FAST, SPECS, Surroundings(own, (outside,)), lambda _: pytest.fail("the fit began"))
    none = replace(FAST, nested=replace(FAST.nested, repeats=0))
    tuned = Backbone(frozenset({(own[0].center, own[0].patient)}))
    namesakes = tuple(Member(f"C9/{place}", "C9", own[place].patient, "") for place in (0, 5))
    fit = fit_model(cohort, none, SPECS, Surroundings(own, namesakes, tuned))
    assert fit.document["marks"] == [{"mark": OPTIMISTIC, "models": ["dl", "dlr", "dlrn"]}]
    [remark] = fit.document["remarks"]  # type: ignore[misc]
    assert remark["kind"] == "same_text_at_two_centers"
    # Two names, each of one outside and of whoever has it in training: said once, with all of their cases.
    assert remark["cases"] == 2 + sum(member.patient in {own[0].patient, own[5].patient} for member in own)
