"""What models of several classes that were judged on the same cases differ by: Hand and Till's M with paired intervals. Pure.

As `cvtbatch.validation.model_comparison` has it for yes or no: each value is the mean over the repeats, and intervals draw patients
with all their cases, the same ones for all models. Net benefit is of acting on one event, of which several classes have none.
"""

from collections.abc import Sequence

import numpy as np

from cvtbatch.errors import InputError, InternalError
from cvtbatch.validation.class_aucs import has_every, macro_auc, resampled_macro_aucs, single_patients
from cvtbatch.validation.external_comparison import ExternalCenter, ExternalModel
from cvtbatch.validation.model_comparison import (
    NO_PROBABILITY,
    ComparedClass,
    ComparedModel,
    Comparison,
    ModelScores,
    Resampled,
    mean_calibration,
    paired_differences,
    percentile_estimate,
    resampled_aucs,
    scored_rows,
)
from cvtbatch.validation.resampling import draw_patients
from cvtbatch.validation.roc import AucComparison
from cvtbatch.validation.values import Estimate, Floats, Integers, NotComputable

BY_CLASS = NotComputable("it is told of each class")
NO_EVENT = NotComputable("it is of acting on one event, and there are several classes")
NO_TEST = NotComputable("DeLong's test is of yes or no; the interval draws patients")


def compare_class_models(
    outcome: Integers,
    patient: Integers,
    models: Sequence[ModelScores],
    classes: Sequence[str],
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare models of several classes with the first of them, the reference.

    Args:
        outcome: (n,) 0 to K - 1, the places of `classes`, all present.
        patient: (n,) of each case, numbered from 0 without a gap.
        models: all with scores (repeats, n, K) of the same cases and repeats.
        resamples: of the patients; those that lack a class are left out.

    Raises:
        InputError: "too_few_patients": a class has cases of one patient alone, or hardly a resample holds every class.
        InternalError: scores are not finite, or of another shape than the first model's; a class has no case.
    """
    shape = models[0].scores.shape
    for model in models:
        if model.scores.shape != shape or not scored_rows(model.scores).all():
            raise InternalError("bad_scores", f"scores of {model.name} are {model.scores.shape}, or not finite")
    counts = np.bincount(outcome, minlength=len(classes))
    if not counts.all():
        raise InternalError("bad_scores", "models are compared on cases that lack a class")
    if alone := single_patients(outcome, patient, classes):
        raise InputError("too_few_patients", alone)
    weights = draw_patients(patient, resamples, seed)
    weights = weights[has_every(outcome, weights)]
    if len(weights) < 2:
        raise InputError(
            "too_few_patients",
            f"of {resamples} resamples of the patients (fit.nested.bootstrap) {len(weights)} hold every class",
        )
    macros = [_macro(model.scores, outcome, weights) for model in models]
    differences, quantile = paired_differences(macros)
    return Comparison(
        reference=models[0].name,
        cases=len(outcome),
        events=None,
        patients=int(patient.max()) + 1,
        repeats=shape[0],
        resamples=len(weights),
        thresholds=(),
        treat_all=(),
        quantile=quantile,
        models=tuple(
            ComparedModel(
                name=model.name,
                auc=percentile_estimate(*macros[place]),
                auc_difference=differences[place] if place else None,
                calibration=BY_CLASS if model.probability else NotComputable(NO_PROBABILITY),
                net_benefit=NO_EVENT,
                net_benefit_difference=NO_EVENT if place else None,
                accuracy=_accuracy(model.scores, outcome, weights),
                classes=_classes(model, outcome, weights, classes),
            )
            for place, model in enumerate(models)
        ),
        by_class=dict(zip(classes, counts.tolist(), strict=True)),
    )


def compare_classes_at_center(
    center: str,
    outcome: Integers,
    patient: Integers,
    models: Sequence[ModelScores],
    classes: Sequence[str],
    resamples: int,
    seed: int,
) -> ExternalCenter:
    """Compare models of several classes with the first of them at a centre that none of them has seen.

    Args:
        outcome: (n,) 0 to K - 1.
        models: all with scores (1, n, K) of these cases.
    """
    counts = np.bincount(outcome, minlength=len(classes))
    patients = np.asarray(np.unique(patient, return_inverse=True)[1], dtype=np.int64)
    lacking = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    try:
        if lacking:
            raise InputError("too_few_patients", f"no case here is of {' or of '.join(lacking)}")
        compared = compare_class_models(outcome, patients, models, classes, resamples, seed)
        found = tuple(
            ExternalModel(
                model.name,
                model.auc,
                AucComparison(model.auc_difference.estimate, NO_TEST) if model.auc_difference else None,
                model.calibration,
                NO_EVENT,
                model.accuracy,
                model.classes,
            )
            for model in compared.models
        )
    except InputError as error:
        none = NotComputable(error.message)
        found = tuple(
            ExternalModel(model.name, none, none if place else None, none, NO_EVENT)
            for place, model in enumerate(models)
        )
    by_class = dict(zip(classes, counts.tolist(), strict=True))
    return ExternalCenter(center, len(outcome), None, int(patients.max()) + 1, (), found, by_class)


def _macro(scores: Floats, outcome: Integers, weights: Floats) -> Resampled:
    value = macro_auc(outcome, scores, np.arange(len(outcome)), 0, 0).value
    return value, resampled_macro_aucs(outcome, scores, weights)


def _accuracy(scores: Floats, outcome: Integers, weights: Floats) -> Estimate:
    right = (scores.argmax(axis=2) == outcome).mean(axis=0)
    return percentile_estimate(float(right.mean()), weights @ right / weights.sum(axis=1))


def _classes(
    model: ModelScores, outcome: Integers, weights: Floats, classes: Sequence[str]
) -> tuple[ComparedClass, ...]:
    """Return each class against all others, and as what its cases are told."""
    found, told = [], model.scores.argmax(axis=2)
    for number, name in enumerate(classes):
        own, is_own = ModelScores(name, model.scores[:, :, number], model.probability), outcome == number
        calibration = mean_calibration(own, is_own) if model.probability else NotComputable(NO_PROBABILITY)
        as_each = tuple(float((told[:, is_own] == other).sum(axis=1).mean()) for other in range(len(classes)))
        auc = percentile_estimate(*resampled_aucs(own, is_own, weights))
        found.append(ComparedClass(name, auc, calibration, as_each))
    return tuple(found)
