"""A centre as a cohort: who was screened, who is analysed and why not, with which scores; and the training cohort beside it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.dlrn.scoring import SET_EVENT, SET_OTHER, by_class, classes_held, probability_column
from cvtbatch.dlrn.settings import SIGNATURES
from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.manifest import Reading, key_of
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES, term_name
from cvtbatch.pipelines.centers.center_source import (
    IDENTITY,
    Source,
    beyond_training,
    embeddings,
    seen_images,
    selected_columns,
)
from cvtbatch.pipelines.centers.reader_study import Readers
from cvtbatch.pipelines.models.eligible_cases import Row, refuse_several_outlines, select_rows
from cvtbatch.pipelines.models.own_cases import without_own_cases
from cvtbatch.pipelines.models.score_keys import KEY, read_keys
from cvtbatch.pipelines.shared.case_values import acquisition_values, case_columns, clinical_values, own_values
from cvtbatch.pipelines.shared.outcomes import NO_SUCH_OUTCOME, UNLISTED, Outcomes, read_outcomes
from cvtbatch.pipelines.shared.reviewed import refused_outlines
from cvtbatch.regions.rules import is_region
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.store import StoredArray, among
from cvtbatch.validation.baseline import Value
from cvtbatch.validation.class_validation import ClassCase
from cvtbatch.validation.eligibility import CRITERIA, assess_eligibility
from cvtbatch.validation.inputs import Case, CenterCohort, Contribution, Count, Explanation, FlowStep, Training
from cvtbatch.validation.report import Pictures

REASONS = {
    "traumatic": "traumatic hemorrhage",
    "ct_after_24_h": "CT later than 24 h after onset",
    "etiology_unconfirmed": "etiology not confirmed",
    "intraventricular_hemorrhage": "substantial intraventricular hemorrhage",
    "subarachnoid_hemorrhage": "substantial subarachnoid hemorrhage",
    "infratentorial": "cerebellum or brainstem",
    "inadequate_quality": "inadequate image quality",
}


def read_cohort(source: Source, readers: Readers, reviewed: bool = False) -> CenterCohort:
    """Read the eligible, scored cases of the centre, in order of roi_key.

    Args:
        readers: whose outlines of the centre there are, which the cohort carries along.
        reviewed: only outlines that a review accepts.

    Raises:
        InputError: no outline of the centre is scored by this bundle, or accepted; its images are among those that it was trained
            on; a case has several primary outlines.
    """
    cases = {row["case_key"]: row for row in source.cases([source.center])}
    outcomes = _outcomes(source, cases, source.reading)
    rois = source.outlines()
    volumes = source.by_key("volumes", "case_key")
    _refuse_training_images(source, [row for row in volumes.values() if row["case_key"] in cases])
    own = [
        row
        for row in rois.values()
        if row["center"] == source.center and Reading(row["reader"], row["reading"]) == source.reading
    ]
    refused = _refused(source, own) if reviewed else {}
    scores, explanations, lacking = _read_scores(source)
    rows = source.wide([source.center], source.reading)
    refuse_several_outlines(rows)
    scales = _filter_scales(source)
    places = [
        place
        for place, roi_key in enumerate(rows["roi_key"].to_pylist())
        if roi_key in scores
        and (case_key := rows["case_key"][place].as_py()) not in refused
        and assess_eligibility(cases[case_key]).included
    ]
    rows = rows.take(places)
    classes = source.bundle.model.classes
    unmoved = _as_they_are(source, rows)
    found = [
        _case(
            classes,
            cases[case_key],
            rois[roi_key],
            volumes[case_key],
            scales.get(roi_key),
            scores[roi_key],
            explanations.get(roi_key),
            beyond,
            own_values(cases[case_key], source.bundle.model.clinical),
            outcomes[case_key],
            unmoved.get(roi_key, {}),
        )
        for roi_key, case_key, beyond in zip(
            rows["roi_key"].to_pylist(),
            rows["case_key"].to_pylist(),
            beyond_training(source.bundle, rows),
            strict=True,
        )
    ]
    failures = source.view.rows("failures")
    failures = failures.filter(pc.equal(failures["center"], source.center)).to_pylist()
    return CenterCohort(
        center=source.center,
        cases=tuple(found),
        flow=_flow(cases, _unused(source, cases, own, failures, refused, lacking), found),
        failures=tuple(Count(kind, n) for kind, n in sorted(Counter(row["kind"] for row in failures).items())),
        features=selected_columns(source.bundle, rows),
        embedding=embeddings(source.bundle, rows),
        readers=readers.studies,
        others=readers.others,
    )


def _outcomes(source: Source, cases: Mapping[str, Row], reading: Reading) -> Outcomes:
    """Return the outcomes of cases that the bundle is to tell, by case_key."""
    column, classes = source.bundle.description.outcome.column, source.bundle.model.classes
    return read_outcomes(source.view, cases.values(), column, reading, source.spec_ids, classes)


def _refused(source: Source, own: Sequence[Row]) -> dict[str, str]:
    """Return why cases of the centre are left out whose outline, of those that are judged, a review does not accept, by case_key.

    Raises:
        InputError: "not_reviewed": it accepts none.
    """
    refused = refused_outlines(source.view, own, "case_key")
    if own and len(refused) == len({row["case_key"] for row in own}):
        raise InputError(
            "not_reviewed",
            f"no review accepts an outline of centre {source.center!r} as it is: look at them (`cvtbatch review`), bring the "
            "verdicts into the store (`cvtbatch review apply`), and score; or leave cohort.reviewed out",
        )
    return refused


def _refuse_training_images(source: Source, volumes: Sequence[Row]) -> None:
    known = seen_images(source.bundle)
    if seen := sorted(row["case_key"] for row in volumes if row["image_digest"] in known):
        shown = ", ".join(seen[:10]) + (f" and {len(seen) - 10} more" if len(seen) > 10 else "")
        raise InputError(
            "trained_on",
            f"images of centre {source.center!r} are among those that the bundle was trained or recalibrated on: {shown}; "
            "what a model has learnt from tells nothing of it: take these rows out of the manifest, and erase what was stored of "
            "them under this name (cvtbatch forget)",
        )


def _read_scores(source: Source) -> tuple[dict[str, Row], dict[str, Row], Mapping[str, str]]:
    """Return the bundle's scores and explanations of the centre's current inputs, and why others can have none, by roi_key."""
    keys, lacking = read_keys(source.store, source.bundle, source.snapshot, (source.center,), source.reading)
    by_bundle = pc.field("bundle_digest") == source.bundle.digest
    found: list[dict[str, Row]] = []
    for name in ("scores", "explanations"):
        rows = source.store.table(name).read(None, by_bundle & (pc.field("center") == source.center))
        found.append({row["roi_key"]: row for row in rows.filter(among(rows, keys, KEY)).to_pylist()})
    if not found[0]:
        why = Counter(reason.replace("_", " ") for reason in lacking.values())
        told = (
            f" (of those with features, {', '.join(f'{count} {reason}' for reason, count in why.items())})"
            if why
            else ""
        )
        raise InputError(
            "not_scored",
            f"no outline of centre {source.center!r} by {source.reading} is scored by bundle {source.bundle.digest[:12]}{told}: "
            "run `cvtbatch score` with it first",
        )
    return found[0], found[1], lacking


def _filter_scales(source: Source) -> dict[str, float | None]:
    """Return the maximum by which four filters scale, in HU, by roi_key."""
    rows = source.view.features(source.features.name, ["roi_key", "filter_scale_hu"], spec=source.spec_ids[:1])
    return dict(zip(rows["roi_key"].to_pylist(), rows["filter_scale_hu"].to_pylist(), strict=True))


def _case(
    classes: Sequence[str],
    case: Row,
    roi: Row,
    volume: Row,
    scale: float | None,
    score: Row,
    explanation: Row | None,
    beyond: Mapping[str, float],
    own: Mapping[str, Value],
    outcome: int | None,
    unmoved: Row,
) -> Case:
    flags = dict.fromkeys([*(score["flags"] or ()), *(volume["flags"] or ()), *(roi["flags"] or ())])
    make: Callable[..., Case] = Case
    if classes:
        label = None if outcome is None or outcome == UNLISTED else classes[outcome]
        make = partial(ClassCase, label=label, unlisted=outcome == UNLISTED, by_class=_by_class(score))
        make = partial(make, by_class_as_they_are=_by_class(unmoved), held=classes_held(classes, score))
    return make(
        key=case["case_key"],
        patient=case["patient"],
        outcome=None if classes or outcome is None else bool(outcome),
        scores=_model_scores(score),
        clinical={**clinical_values(case, roi), "source_volume_ml": roi["source_volume_ml"], **own},
        acquisition=acquisition_values(volume, scale),
        flags=tuple(flags),
        outside=tuple(score["outside_features"] or ()),
        distance_percentile=score["distance_percentile"],
        explanation=None if classes else _explanation(score, explanation),
        probabilities=_probabilities(score),
        beyond=beyond,
        as_they_are=_model_scores(unmoved),
        may_be=None if score.get(SET_EVENT) is None else (bool(score[SET_EVENT]), bool(score[SET_OTHER])),
    )


def _by_class(score: Row) -> dict[str, tuple[float, ...]]:
    """Return what models say of each of several classes."""
    return {shown: tuple(own) for name, shown in MODEL_NAMES.items() if (own := score.get(by_class(name))) is not None}


def _as_they_are(source: Source, rows: pa.Table) -> dict[str, Row]:
    """Return the scores of a moved centre's rows with their features as they are, by roi_key; nothing where it is not moved."""
    moved = source.bundle.model.harmonisation
    if moved is None or source.center not in moved.later:
        return {}
    return {row["roi_key"]: row for row in without_own_cases(source.bundle).score(rows).to_pylist()}


def _model_scores(score: Row) -> dict[str, float]:
    found = {shown: score.get(str(name)) for name, shown in MODEL_NAMES.items()}
    return {shown: value for shown, value in found.items() if value is not None}


def _probabilities(score: Row) -> dict[str, float]:
    """Return what recalibrated votes say; tables of earlier versions have no such columns."""
    found = {shown: score.get(probability_column(name)) for name, shown in MODEL_NAMES.items() if name in SIGNATURES}
    return {shown: value for shown, value in found.items() if value is not None}


def _explanation(score: Row, explanation: Row | None) -> Explanation | None:
    """Return nomogram points, which every score has, and contributions, where they were asked for."""
    found = _points(score)
    known = {column: points for column, points in found.items() if points is not None}
    complete = (
        tuple(Contribution(term_name(column), points) for column, points in known.items()) if known == found else ()
    )
    if explanation is None or explanation["top_features"] is None:
        return Explanation(complete, None, (), None) if complete else None
    pairs = zip(explanation["top_features"], explanation["top_contributions"], strict=True)
    added = tuple(Contribution(name, amount) for name, amount in pairs)
    return Explanation(complete, explanation["base"], added, explanation["other_contributions"])


def _points(score: Row) -> dict[str, float | None]:
    """Return nomogram points by "dlr" and clinical column; rows of earlier versions have them of epilepsy alone."""
    terms = score.get("clinical_terms")
    if terms is None:
        return {"dlr": score["points_dlr"], "epilepsy": score["points_epilepsy"]}
    return {
        "dlr": score["points_dlr"],
        **dict(zip(terms, score["clinical_points"] or [None] * len(terms), strict=True)),
    }


def _unused(
    source: Source,
    cases: Iterable[str],
    own: Sequence[Row],
    failures: Sequence[Row],
    refused: Mapping[str, str],
    lacking: Mapping[str, str],
) -> dict[str, str]:
    """Return why an eligible case would not be analysed, by case_key.

    Args:
        own: rows of `rois` of the reading that is judged.
        failures: live ones of the centre; those of other readers' outlines, and of other methods that found none, are no reason.
        refused: why outlines are left out that no review accepts, by case_key.
        lacking: why outlines lack a region that the bundle takes, by roi_key.
    """
    found = source.view.rows("outlines", ["case_key", "reader", "state"])
    negative = pc.and_(pc.equal(found["reader"], source.reading.reader), pc.equal(found["state"], "no_hemorrhage"))
    return {
        **dict.fromkeys(cases, f"no outline by {source.reading}"),
        **dict.fromkeys(found.filter(negative)["case_key"].to_pylist(), f"no hemorrhage found by {source.reading}"),
        **{row["case_key"]: lacking.get(row["roi_key"], "not scored by this bundle").replace("_", " ") for row in own},
        **{key: reason.replace("_", " ") for key, reason in refused.items()},
        **{
            row["case_key"]: f"failed: {row['kind'].replace('_', ' ')}"
            for row in failures
            if _concerns(row, source.reading)
        },
    }


def _concerns(failure: Row, reading: Reading) -> bool:
    """Say whether a failure is of the whole case, of a reading's outline (and no region), or of the method that was to find it."""
    if roi_key := failure["roi_key"]:
        return bool(roi_key.endswith(f"/{key_of(*reading)}")) and not is_region(roi_key.split("/")[2])
    kind, _, number = failure["spec_id"].partition("-")
    return kind != "out" or reading.reader.endswith(f":{number[:8]}")


def _flow(cases: Mapping[str, Row], unused: Mapping[str, str], found: Sequence[Case]) -> tuple[FlowStep, ...]:
    """Return the steps from screened to analysed, each with the cases that it leaves out by reason.

    Args:
        cases: rows of `cases` of the centre, by case_key.
        unused: why a case would not be analysed, by case_key.
        found: that are analysed.
    """
    analysed = {case.key for case in found}
    excluded: dict[str, list[str]] = {}
    unusable: dict[str, list[str]] = {}
    eligible = 0
    empty: Counter[str] = Counter()
    for key, case in cases.items():
        assessed = assess_eligibility(case)
        if assessed.reasons:
            excluded.setdefault(REASONS[assessed.reasons[0]], []).append(key)
            continue
        eligible += 1
        empty.update(assessed.unknown)
        if key not in analysed:
            unusable.setdefault(unused[key], []).append(key)
    unknown: dict[str, list[str]] = {}
    for lack, key in sorted((case.lack, case.key) for case in found if case.lack):
        unknown.setdefault(lack, []).append(key)
    unrecorded = {criterion.column: empty[criterion.column] for criterion in CRITERIA if empty[criterion.column]}
    return (
        FlowStep("screened", len(cases)),
        FlowStep.leaving_out("eligible", eligible, excluded, unrecorded),
        FlowStep.leaving_out("scored", len(analysed), dict(sorted(unusable.items()))),
        FlowStep.leaving_out("with a known outcome", len(analysed) - sum(map(len, unknown.values())), unknown),
    )


def read_training_values(source: Source) -> Training | None:
    """Return the values of the cases that the bundle was fitted on, by roi_key; None where the store does not hold them."""
    cases = {row["case_key"]: row for row in source.cases(source.training_centers)}
    if not cases:
        return None
    rows = source.wide(source.training_centers, source.fitted)
    outlines = rows.select(IDENTITY).to_pylist() if source.bundle.description.reviewed else []
    refused = {
        **source.lacking_regions(rows, "case_key"),
        **refused_outlines(source.view, outlines, "case_key"),
    }
    try:
        outcomes = _outcomes(source, cases, source.fitted)
    except InputError as error:
        if error.kind != NO_SUCH_OUTCOME:
            raise
        return None
    rows, _ = select_rows(rows, cases.values(), source.training_centers, refused, outcomes, source.bundle.model.pooling)
    if not rows.num_rows:
        return None
    rois, volumes = source.outlines(), source.by_key("volumes", "case_key")
    scales = _filter_scales(source)
    used = [
        (cases[case_key], rois[roi_key], volumes[case_key], scales.get(roi_key))
        for roi_key, case_key in zip(rows["roi_key"].to_pylist(), rows["case_key"].to_pylist(), strict=True)
    ]
    clinical, acquisition = case_columns(used)
    return Training(
        outcome=np.array([outcomes[case["case_key"]] for case, *_ in used], dtype=np.float64),
        clinical=clinical,
        acquisition=acquisition,
        features=selected_columns(source.bundle, rows),
        embedding=embeddings(source.bundle, rows),
    )


def read_pictures(source: Source) -> Pictures:
    """Return what gives the largest slice of a case, by case_key, with the outline that is read; None where it cannot be read."""
    rois = {
        row["case_key"]: row
        for row in source.outlines().values()
        if Reading(row["reader"], row["reading"]) == source.reading
    }
    volumes = source.by_key("volumes", "case_key")

    def picture(case_key: str) -> OutlinedSlice | None:
        roi, volume = rois[case_key], volumes[case_key]
        index = [int(roi["largest_slice"])]
        try:
            hu_yx, mask_yx = (
                source.store.read_slices(StoredArray(row["path"], row["checksum"]), index)[0] for row in (volume, roi)
            )
        except CvtbatchError:
            return None
        return OutlinedSlice.facing_up(hu_yx, mask_yx, volume["spacing_mm"], volume["direction"])

    return picture
