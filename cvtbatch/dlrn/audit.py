"""The leakage audit: that no patient stands on both sides, and that each step saw only what it may.

It compares what the steps of a fit wrote down with what the tasks allow them, and the cohorts with each other. What it finds is an
error with case keys, or a remark, or a mark on every number that rests on a backbone which saw the patients.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.tasks import TaskResult
from cvtbatch.errors import InternalError, ProblemsError

OPTIMISTIC = "optimistic: backbone saw these patients"


class FindingKind(StrEnum):
    """What is wrong, or worth a remark."""

    PATIENT_ON_BOTH_SIDES = "patient_on_both_sides"
    SAME_VOXELS = "same_voxels"
    STEP_SAW_OTHERS = "step_saw_others"
    SCORED_ITS_TRAINING = "scored_its_training"
    TOO_MANY_COMPONENTS = "too_many_components"
    BACKBONE_SAW_OUTSIDERS = "backbone_saw_outsiders"
    SAME_TEXT_AT_TWO_CENTERS = "same_text_at_two_centers"
    OUTLINES_NOT_FOR_INFERENCE = "outlines_not_for_inference"


REMARKS = {FindingKind.SAME_TEXT_AT_TWO_CENTERS, FindingKind.OUTLINES_NOT_FOR_INFERENCE}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        keys: cases that it is about.
        step: step or task that it was found in; empty for a finding about cohorts.
    """

    kind: FindingKind
    message: str
    keys: tuple[str, ...]
    step: str = ""

    def is_error(self) -> bool:
        """Say whether nothing may be written with it."""
        return self.kind not in REMARKS


@dataclass(frozen=True, slots=True)
class Member:
    """A case of any cohort, as far as the audit looks: who, and which voxels; an unknown digest is an empty text.

    Attributes:
        not_for_inference: its outline is marked so.
    """

    key: str
    center: str
    patient: str
    image_digest: str
    not_for_inference: bool = False


@dataclass(frozen=True, slots=True)
class Backbone:
    """What is known of the embedding's weights.

    Attributes:
        tuned_on: (centre, patient) of those it was tuned on; empty for weights that saw none.
    """

    tuned_on: frozenset[tuple[str, str]] = frozenset()


def audit_cohorts(training: Sequence[Member], others: Sequence[Member]) -> list[Finding]:
    """Look at the training cohort's outlines, and compare it with all other cases: patients, texts and voxels."""
    findings = []
    if unfit := tuple(member.key for member in training if member.not_for_inference):
        message = "the model was fitted on outlines that are marked not for inference"
        findings.append(Finding(FindingKind.OUTLINES_NOT_FOR_INFERENCE, message, unfit))
    trained_keys = defaultdict(list)
    for member in training:
        trained_keys[_person(member)].append(member.key)
    for member in others:
        if trained := trained_keys.get(_person(member)):
            keys = (*trained, member.key)
            findings.append(Finding(FindingKind.PATIENT_ON_BOTH_SIDES, "a patient is in training and outside it", keys))
    texts = defaultdict(list)
    for member in (*training, *others):
        texts[member.patient].append(member)
    for same in texts.values():
        if len({member.center for member in same}) > 1:
            keys = tuple(member.key for member in same)
            message = "the same text names patients of several centres; they are taken for different people"
            findings.append(Finding(FindingKind.SAME_TEXT_AT_TWO_CENTERS, message, keys))
    voxels = defaultdict(list)
    for place, cohort in enumerate((training, others)):
        for member in cohort:
            if member.image_digest:
                voxels[member.image_digest].append((place, member))
    for found in voxels.values():
        people = {_person(member) for _, member in found}
        if len(people) > 1 and any(place == 0 for place, _ in found):
            keys = tuple(member.key for _, member in found)
            message = "one image under several patients, at least one of them in training"
            findings.append(Finding(FindingKind.SAME_VOXELS, message, keys))
    return findings


def audit_tasks(cohort: Cohort, results: Iterable[TaskResult], component_limit: int) -> list[Finding]:
    """Compare what each step of each task was given with what the task allows it.

    Args:
        component_limit: of a network.
    """
    findings, networks = [], max(1, len(cohort.networks))
    for result in results:
        task = result.task
        train, test = set(task.train), set(task.test)
        in_sample = task.train == task.test
        people = {cohort.patients[row] for row in train}
        shared = [row for row in test if cohort.patients[row] in people]
        if shared and not in_sample:
            message = f"{task.name}: patients are in training and test rows"
            findings.append(Finding(FindingKind.PATIENT_ON_BOTH_SIDES, message, _keys(cohort, shared), task.name))
        for seen in result.seen:
            held_out = {cohort.patients[row] for row in seen.held_out}
            foreign = [row for row in seen.rows if row not in train or cohort.patients[row] in held_out]
            if foreign:
                message = f"{task.name}: {seen.step} saw rows outside its training"
                findings.append(Finding(FindingKind.STEP_SAW_OTHERS, message, _keys(cohort, foreign), seen.step))
        kept, rows = result.components
        if kept > networks * min(rows, component_limit):
            message = f"{task.name}: {kept} components of {rows} rows"
            findings.append(
                Finding(FindingKind.TOO_MANY_COMPONENTS, message, _keys(cohort, sorted(train)), "components")
            )
    return findings


def audit_out_of_fold(
    cohort: Cohort, results: Sequence[TaskResult], rows: Mapping[str, Sequence[int]]
) -> list[Finding]:
    """Check that the scores on which nomogram and thresholds rest come from fits that did not see their patients.

    Args:
        rows: for each task's name, the rows whose scores were taken from it.
    """
    findings = []
    for result in results:
        people = {cohort.patients[row] for row in result.task.train}
        own = [row for row in rows.get(result.task.name, ()) if cohort.patients[row] in people]
        if own:
            message = f"{result.task.name}: out-of-fold scores come from a fit that saw their patients"
            findings.append(Finding(FindingKind.SCORED_ITS_TRAINING, message, _keys(cohort, own), result.task.name))
    return findings


def audit_backbone(
    training: Sequence[Member], others: Sequence[Member], backbone: Backbone
) -> tuple[list[Finding], bool]:
    """Return findings, and whether estimates that rest on the embedding are to be marked `OPTIMISTIC`.

    Args:
        others: every other case that is known.
    """
    people = {_person(member) for member in training}
    outsiders = backbone.tuned_on - people
    findings = []
    if outsiders:
        keys = [member.key for member in others if _person(member) in outsiders]
        unknown = outsiders - {_person(member) for member in others}
        keys += [f"{center}/{patient} (no case)" for center, patient in sorted(unknown)]
        message = f"the backbone was tuned on {len(outsiders)} patients outside training"
        findings.append(Finding(FindingKind.BACKBONE_SAW_OUTSIDERS, message, tuple(keys)))
    return findings, bool(backbone.tuned_on & people)


def refuse(findings: Sequence[Finding]) -> None:
    """Raise if any finding is an error.

    Raises:
        ProblemsError: "leakage", with every such finding and its case keys.
        InternalError: a step of the fit itself saw what it may not.
    """
    errors = [finding for finding in findings if finding.is_error()]
    problems = [f"{finding.kind}: {finding.message}: {', '.join(finding.keys)}" for finding in errors]
    own = {FindingKind.STEP_SAW_OTHERS, FindingKind.TOO_MANY_COMPONENTS, FindingKind.SCORED_ITS_TRAINING}
    if any(finding.kind in own for finding in errors):
        raise InternalError(
            "leakage", "the audit found a step of the fit that saw what it may not", "\n".join(problems)
        )
    if errors:
        advice = "keep one of each and erase the others (cvtbatch forget KEY), or name other centres"
        raise ProblemsError.of("leakage", "the training cohort", problems, advice=advice)


def _person(member: Member) -> tuple[str, str]:
    return member.center, member.patient


def _keys(cohort: Cohort, rows: Iterable[int]) -> tuple[str, ...]:
    return tuple(cohort.keys[row] for row in rows)
