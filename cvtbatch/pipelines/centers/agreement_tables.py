"""What `cvtbatch agreement` writes: tables by class and by case, and the parts of its document."""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median

import numpy as np

from cvtbatch.pipelines.centers.comparison import Comparison
from cvtbatch.pipelines.centers.perturbation_study import PerturbationStudy
from cvtbatch.pipelines.centers.reader_study import PairedScores
from cvtbatch.validation.readers import BlandAltman, ClassAgreement, FeatureAgreement, ScoreAgreement, by_class
from cvtbatch.validation.values import Maybe, NotComputable

Document = dict[str, object]
Cell = float | int | str | None


def comparison_document(found: Comparison, in_use: Collection[str]) -> Document:
    """Return the part of the document about two readers; features that a bundle's models use are told apart."""
    study = found.study
    return {
        "kind": study.kind,
        "first": study.first,
        "second": study.second,
        "not_for_inference": list(found.not_for_inference),
        "cases": study.cases,
        "left_out": dict(found.pairs.left_out),
        **_features_document(study.features, in_use),
        "dice": _dice_document(study.dice, f"of none of {study.cases} cases both masks can be read on one volume"),
        "volume_ml": _bland_altman(study.volume_ml),
        "scores": [_score_document(score) for score in study.scores],
    }


def perturbation_document(study: PerturbationStudy, in_use: Collection[str]) -> Document:
    """Return the part of the document about perturbed outlines, without what is private of failures."""
    return {
        "reader": study.reading.reader,
        "reading": study.reading.number,
        "perturbations": study.perturbations,
        "cases": len(study.cases),
        "several_outlines": study.several_outlines,
        "failed": [
            {"roi_key": failure.roi_key, "kind": failure.kind, "message": failure.message} for failure in study.failed
        ],
        **_features_document(study.features, in_use),
        "dice": _dice_document(study.dice, "no outline is perturbed"),
    }


def classes_csv(classes: Iterable[ClassAgreement]) -> str:
    """Return a row a class of features."""
    header = ("class", "features", "not_computable", "median_icc", "share_above_0.80")
    rows = (
        (row.feature_class, row.features, row.not_computable, _number(row.median_icc), _number(row.strong))
        for row in classes
    )
    return _to_csv(header, rows)


def cases_csv(found: Comparison) -> str:
    """Return a row a case: outlines, overlap, volumes, and by model both scores and whether the decision flips."""
    models = [column for score in found.scores for column in _score_columns(score.model)]
    header = ("case_key", "first_roi_key", "second_roi_key", "dice", "first_volume_ml", "second_volume_ml", *models)
    first, second = found.pairs.rois
    rows = (
        (
            case,
            one["roi_key"],
            other["roi_key"],
            found.shares[place],
            one["volume_ml"],
            other["volume_ml"],
            *(cell for score in found.scores for cell in _score_cells(score, place)),
        )
        for place, (case, one, other) in enumerate(zip(found.pairs.cases, first, second, strict=True))
    )
    return _to_csv(header, rows)


def _features_document(features: Sequence[FeatureAgreement], in_use: Collection[str]) -> Document:
    weak = [row.feature for row in features if not row.strong]
    return {
        "features": len(features),
        "weak_features": weak,
        "weak_features_in_use": [name for name in weak if name in in_use],
        "classes": [
            {
                "class": row.feature_class,
                "features": row.features,
                "not_computable": row.not_computable,
                "median_icc": _plain(row.median_icc),
                "strong": _plain(row.strong),
            }
            for row in by_class(features)
        ],
    }


def _score_columns(model: str) -> tuple[str, str, str]:
    return f"{model}_first", f"{model}_second", f"{model}_flips"


def _score_cells(score: PairedScores, place: int) -> tuple[Cell, Cell, Cell]:
    first, second = float(score.first[place]), float(score.second[place])
    if np.isnan(first) or np.isnan(second):
        return None if np.isnan(first) else first, None if np.isnan(second) else second, None
    return first, second, int((first >= score.threshold) != (second >= score.threshold))


def _to_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _number(value: Maybe[float]) -> float | None:
    return None if isinstance(value, NotComputable) else value


def _plain(value: Maybe[float]) -> float | Mapping[str, str]:
    return {"not_computable": value.reason} if isinstance(value, NotComputable) else value


def _dice_document(shares: Sequence[float], why_none: str) -> Document:
    if not shares:
        return {"not_computable": why_none}
    return {"n": len(shares), "median": median(shares), "lowest": min(shares), "highest": max(shares)}


def _bland_altman(found: Maybe[BlandAltman]) -> Document:
    if isinstance(found, NotComputable):
        return {"not_computable": found.reason}
    return {"n": found.n, "mean": found.mean, "low": found.low, "high": found.high}


def _score_document(score: ScoreAgreement) -> Document:
    return {
        "model": score.model,
        "n": score.n,
        "differences": _bland_altman(score.differences),
        "largest": score.largest,
        "changed_decisions": score.changed_decisions,
        "kappa": _plain(score.kappa),
    }
