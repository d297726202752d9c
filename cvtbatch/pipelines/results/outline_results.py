"""Rows of a store to what DICOM objects say of an outline: coded values and texts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cvtbatch import __version__
from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.values import Algorithm, Judged, Measured, Outline, Results, Told
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.scoring import by_class
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.pipelines.results.stored_results import DIAMETERS, StoredResults
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE
from cvtbatch.pipelines.shared.reviewed import NOT_REVIEWED, REFUSALS
from cvtbatch.pipelines.stores.source_outlines import Row
from cvtbatch.reporting.flag_words import meaning_of
from cvtbatch.reviewing.verdicts import Verdict

RESEARCH_USE = "For research use; not a medical device. No person has verified this report."
_REFUSED = {
    REFUSALS[Verdict.REDO]: "A review asks for this outline to be drawn again.",
    REFUSALS[Verdict.NOT_HEMATOMA]: "A review says that this outline is of no hematoma.",
}
_UNREVIEWED = "A method found this outline, and no review has accepted it as it is."
_UNFIT = "Not for inference: the method that found this outline is for demonstrations and second opinions."
_UNSCORED = "The store holds no score of this outline as it is by the bundle that was named."


def to_outline(stored: StoredResults, row: Row) -> Outline:
    """Return who or what outlined."""
    spec_id = row["outline_spec_id"]
    return Outline(
        row["roi_key"],
        row["roi"],
        row["reader"],
        row["reading"],
        None if spec_id is None else _algorithm(stored, spec_id),
        stored.first_recorded[row["roi_key"], row["input_digest"]],
    )


def _algorithm(stored: StoredResults, spec_id: str) -> Algorithm:
    """Return the method of a specification: its version is that of its program, or the digest of its weights."""
    spec = stored.specs.get(spec_id)
    settings: Mapping[str, Any] = {} if spec is None else spec.content()
    weights = settings.get("weights", {})
    version = str(weights.get("sha256") or settings.get("version") or spec_id)
    kept = {name: settings[name] for name in ("least_ml", "parts", "revision", "line_sha256") if name in settings}
    parameters = {"outline_spec_id": spec_id, **kept}
    if weights:
        parameters["weights"] = weights["source"]
    shown = tuple((name, str(value)) for name, value in parameters.items())
    return Algorithm(str(settings.get("method", "unknown")), version, shown, bool(weights))


def to_results(stored: StoredResults, row: Row, segment_ml: float, mean_hu: float, bundle: Bundle | None) -> Results:
    """Return what is known of an outline.

    Args:
        row: of `rois`.
        segment_ml: volume of the segmentation on the source's slices.
        mean_hu: mean of the stored image in the stored mask.
    """
    key = row["roi_key"], row["input_digest"]
    shape, score = stored.shapes.get(key), stored.scores.get(key)
    measured, judged = list(_measured(row, shape, segment_ml, mean_hu)), list[Judged]()
    told, flags = list(_notes(stored, row)), [*(stored.volumes[row["case_key"]]["flags"] or ()), *(row["flags"] or ())]
    if bundle is not None and score is None:
        told.append(Told(codes.COMMENT, _UNSCORED))
    if bundle is not None and score is not None:
        measured += _scored(score, bundle)
        judged += _judged(score)
        told += [
            *_told(score, bundle),
            *_clinical_points(score),
            *_bundle_notes(score, bundle),
            Told(codes.BUNDLE_DIGEST, bundle.digest),
        ]
        flags += score["flags"] or ()
    told += [*_flags(flags), Told(codes.SOFTWARE, f"cvtbatch {__version__}")]
    dates = [one["recorded_at"] for one in (shape, score) if one is not None]
    return Results(tuple(measured), tuple(judged), tuple(told), max([stored.first_recorded[key], *dates]))


def _measured(row: Row, shape: Row | None, segment_ml: float, mean_hu: float) -> Iterator[Measured]:
    grid = codes.STORED_GRID
    yield Measured(codes.VOLUME, segment_ml, codes.ML, method=codes.SOURCE_SLICES)
    yield Measured(codes.VOLUME, row["volume_ml"], codes.ML, method=grid)
    yield Measured(codes.AREA, row["largest_slice_area_mm2"], codes.MM2, codes.MAXIMUM, grid)
    if shape is not None:
        for concept, name in zip((codes.DIAMETER, codes.DIAMETER_3D), DIAMETERS, strict=True):
            if shape[name] is not None and math.isfinite(shape[name]):
                yield Measured(concept, shape[name], codes.MM, codes.MAXIMUM, grid)
    yield Measured(codes.ATTENUATION, mean_hu, codes.HU, codes.MEAN, grid)


def _scored(score: Row, bundle: Bundle) -> Iterator[Measured]:
    of_cvt = bundle.description.outcome.is_cvt
    votes, probabilities = (
        (codes.VOTES, codes.PROBABILITIES) if of_cvt else (codes.EVENT_VOTES, codes.EVENT_PROBABILITIES)
    )
    for model in Model:
        probability = score["dlrn" if model == Model.DLRN else f"{model}_probability"]
        if model in SIGNATURES and score[model] is not None:
            yield Measured(votes[model], score[model], codes.NO_UNITS)
        if probability is not None:
            yield Measured(probabilities[model], probability, codes.NO_UNITS)
        if score[model] is not None:
            for at, threshold in bundle.description.thresholds.get(model, {}).items():
                yield Measured(codes.CUTS[model, at], threshold, codes.NO_UNITS)
    for name, concept in codes.POINTS.items():
        if score[name] is not None:
            yield Measured(concept, score[name], codes.NO_UNITS)
    if score["outside_count"] is not None:
        yield Measured(codes.OUTSIDE_COUNT, float(score["outside_count"]), codes.NO_UNITS)


def _told(score: Row, bundle: Bundle) -> Iterator[Told]:
    """Yield what a score other than of CVT is of: names of events and classes are the user's, and have no codes."""
    outcome = bundle.description.outcome
    if outcome.is_several:
        for model in Model:
            if (shares := score[by_class(model)]) is not None:
                for name, share in zip(outcome.classes, shares, strict=True):
                    yield Told(codes.BY_CLASS[model], f"{name}: {share!r}")
        if score["predicted_class"] is not None:
            yield Told(codes.PREDICTED_CLASS, score["predicted_class"])
    elif not outcome.is_cvt:
        yield Told(codes.EVENT, outcome.event)


def _clinical_points(score: Row) -> Iterator[Told]:
    """Yield the points of terms that have no column, and so no code, of their own."""
    for term, points in zip(score["clinical_terms"] or (), score["clinical_points"] or (), strict=False):
        if f"points_{term}" not in codes.POINTS:
            yield Told(codes.CLINICAL_POINTS, f"{term}: {points!r}")


def _judged(score: Row) -> Iterator[Judged]:
    for (model, at), concept in codes.CLASSES.items():
        found = score[f"{model}_{at}"]
        if found is not None:
            yield Judged(concept, codes.POSITIVE if found else codes.NEGATIVE)


def _notes(stored: StoredResults, row: Row) -> Iterator[Told]:
    yield Told(codes.COMMENT, RESEARCH_USE)
    spacing = " x ".join(f"{step:g}" for step in stored.volumes[row["case_key"]]["spacing_mm"])
    yield Told(
        codes.COMMENT,
        "Two volumes: on the slices of the source series, as segmented, and on the grid "
        f"({spacing} mm) on which area, diameters, attenuation and features were computed.",
    )
    if NOT_FOR_INFERENCE in (row["flags"] or ()):
        yield Told(codes.COMMENT, _UNFIT)
    reason = stored.refused.get(row["roi_key"])
    if reason in _REFUSED:
        yield Told(codes.COMMENT, _REFUSED[reason])
    if reason == NOT_REVIEWED and row["outline_spec_id"] is not None:
        yield Told(codes.COMMENT, _UNREVIEWED)


def _bundle_notes(score: Row, bundle: Bundle) -> Iterator[Told]:
    unfit = (warning for warning in bundle_warnings(bundle.description) if warning.kind == "untrained_weights")
    for warning in unfit:
        yield Told(codes.COMMENT, f"{warning.message[0].upper()}{warning.message[1:]}.")
    if score["fitted_reader"] not in {None, score["reader"]}:
        yield Told(
            codes.COMMENT,
            f"The model was fitted on outlines by {score['fitted_reader']}, and applied to one by {score['reader']}.",
        )
    for mark in bundle.description.marks:
        yield Told(codes.COMMENT, f"{', '.join(model.upper() for model in mark.models)}: {mark.mark}.")


def _flags(flags: Sequence[str]) -> Iterator[Told]:
    for flag in dict.fromkeys(flags):
        meaning = "the study's criteria exclude such a case" if flag.startswith("excluded_") else meaning_of(flag)
        yield Told(codes.FLAG, f"{flag}: {meaning}" if meaning else flag)
