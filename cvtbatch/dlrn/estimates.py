"""What a fit may expect of itself: the nested estimate, and how stable its selection is."""

from collections.abc import Mapping, Sequence

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Integers
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.settings import SIGNATURES, FitSettings, Model
from cvtbatch.dlrn.tasks import TaskResult
from cvtbatch.errors import InputError
from cvtbatch.validation.class_aucs import macro_auc
from cvtbatch.validation.operating_points import ConfusionMatrix, confusion_matrix
from cvtbatch.validation.resampling import draw_patients, has_both, pairwise_wins, weighted_aucs
from cvtbatch.validation.values import Scored

# A job's document: JSON objects, lists, texts, numbers.
Document = dict[str, object]


def nested_estimate(results: Sequence[TaskResult], cohort: Cohort, settings: FitSettings) -> Document:
    """Return AUC with a patient bootstrap, and what the folds' own Youden points did, for each model.

    An AUC is the mean over the repeats of the AUC over all cases, each scored by the fold that did not see its patient. The
    interval resamples patients, with all their repeats: percentiles of the bootstrap, no DeLong, which knows no repeats.
    """
    repeats = scores_by_repeat(results, cohort)
    return {
        "folds": settings.nested.folds,
        "repeats": settings.nested.repeats,
        "bootstrap": settings.nested.bootstrap,
        "firth_folds": sum(result.firth for result in results),
        "models": {str(model): _estimate(model, repeats[model], results, cohort, settings) for model in repeats},
    }


def center_estimates(results: Sequence[TaskResult], cohort: Cohort, settings: FitSettings) -> Document:
    """Return for each centre the estimate of models that were fitted on the others, as the nested one has it.

    A model whose scores of a centre are of one outcome, or lack a class, has none there.
    """
    found: Document = {}
    for result in results:
        test = list(result.task.test)
        of_models: Document = {}
        for model, values in result.scores.items():
            scores = np.full((1, len(cohort.keys), *_classes([result])), np.nan)
            scores[0, test] = values
            known = np.isfinite(values.reshape(len(test), -1)).all(axis=1)
            if len(set(cohort.outcome[test][known].tolist())) == (len(settings.classes) or 2):
                of_models[str(model)] = _estimate(model, scores, [result], cohort, settings)
        found[cohort.centers[test[0]]] = of_models
    return found


def scores_by_repeat(results: Sequence[TaskResult], cohort: Cohort) -> dict[Model, Floats]:
    """Return the out-of-fold scores: by model, (repeats, n), of several classes (repeats, n, K)."""
    names = sorted({_repeat(result) for result in results})
    scores = {model: np.full((len(names), len(cohort.keys), *_classes(results)), np.nan) for model in Model}
    for result in results:
        for model, values in result.scores.items():
            scores[model][names.index(_repeat(result)), list(result.task.test)] = values
    return scores


def out_of_fold_scores(results: Sequence[TaskResult], rows: int) -> dict[Model, Floats]:
    """Return what the signatures of cross-fits gave to the rows that they held out, by model: (rows,), or (rows, K)."""
    scores = {model: np.full((rows, *_classes(results)), np.nan) for model in SIGNATURES}
    for result in results:
        for model, own in scores.items():
            own[list(result.task.test)] = result.scores[model]
    return scores


def _classes(results: Sequence[TaskResult]) -> tuple[int, ...]:
    """Return the shape of one case's score: of several classes (K,)."""
    return results[0].scores[Model.DLR].shape[1:]


def _repeat(result: TaskResult) -> str:
    return result.task.name.rpartition("-")[0]


def _estimate(
    model: Model, scores: Floats, results: Sequence[TaskResult], cohort: Cohort, settings: FitSettings
) -> Document:
    if settings.classes:
        return class_estimate(model, scores, cohort, settings)
    known: Booleans = np.isfinite(scores.sum(axis=0))
    outcome = cohort.outcome[known]
    patients = [patient for patient, there in zip(cohort.patients, known.tolist(), strict=True) if there]
    seed = settings.seed_of("bootstrap", model)
    value, low, high = bootstrap_auc(outcome, scores[:, known], patients, settings.nested.bootstrap, seed)
    document: Document = {"auc": value, "auc_low": number(low), "auc_high": number(high), "cases": int(known.sum())}
    at_youden = ConfusionMatrix(0, 0, 0, 0)
    for result in results:
        if model in result.thresholds:
            test = np.asarray(result.task.test)
            there = ~np.isnan(result.scores[model])
            judged = Scored(cohort.outcome[test][there] == 1, result.scores[model][there])
            at_youden += confusion_matrix(judged, result.thresholds[model])
    if at_youden.n:
        document["sensitivity_at_youden"] = at_youden.sensitivity
        document["specificity_at_youden"] = at_youden.specificity
    return document


def class_estimate(model: Model, scores: Floats, cohort: Cohort, settings: FitSettings) -> Document:
    """Return Hand and Till's M of several classes, with a patient bootstrap, of the mean over repeats.

    Args:
        scores: (repeats, n, K).

    Raises:
        InputError: "too_few_patients": no case of a class has a score.
    """
    known: Booleans = np.isfinite(scores.sum(axis=(0, 2)))
    counts = np.bincount(cohort.outcome[known], minlength=len(settings.classes))
    if not counts.all():
        raise InputError(
            "too_few_patients",
            f"no case of {settings.classes[int(counts.argmin())]} has a score of {model}: its clinical terms are unknown, or of "
            "levels that no fold without it has; leave a term out",
        )
    patients = [patient for patient, there in zip(cohort.patients, known.tolist(), strict=True) if there]
    groups = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)[1]
    seed = settings.seed_of("bootstrap", model)
    found = macro_auc(cohort.outcome[known], scores[:, known], groups, settings.nested.bootstrap, seed)
    return {
        "auc": found.value,
        "auc_low": number(found.low),
        "auc_high": number(found.high),
        "cases": int(known.sum()),
        "by_class": dict(zip(settings.classes, found.by_class, strict=True)),
        "accuracy": found.accuracy,
    }


def bootstrap_auc(
    outcome: Integers, scores: Floats, patients: Sequence[str], samples: int, seed: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean AUC over repeats and the percentile interval over samples of patients.

    Args:
        outcome: (n,) 0 or 1.
        scores: (repeats, n).
        patients: (n,) who is drawn with all their cases.
        samples: with 0 there is no interval: NaN.
    """
    event = outcome == 1
    wins = np.mean([pairwise_wins(event, row) for row in scores], axis=0)
    value = float(wins.mean())
    if not samples:
        return value, float("nan"), float("nan")
    groups = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)[1]
    weights = draw_patients(groups, samples, seed)
    values = weighted_aucs(event, wins, weights[has_both(event, weights)])
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return value, float(low), float(high)


def selection_stability(
    results: Sequence[TaskResult], selected: Mapping[Model, Sequence[str]]
) -> dict[Model, dict[str, float]]:
    """Return, for each selected column of each signature, the share of the outer folds that selected it too."""
    return {
        model: {
            name: float(np.mean([name in result.selected[model] for result in results])) for name in selected[model]
        }
        for model in SIGNATURES
    }


def number(value: float) -> float | None:
    """Return a number as JSON has it: null for NaN."""
    return None if np.isnan(value) else value
