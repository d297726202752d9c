"""Variants of a model, each scored on the same nested folds: a fit under its own settings, or a regression on named columns.

A variant is never told apart by cases that chose it: which one is best is asked inside the training rows of each outer fold, and
what that choice scores on the fold's held-out rows is a variant of its own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.clinical_choice import choose_terms, rows_of
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.estimates import scores_by_repeat
from cvtbatch.dlrn.logistic import fit_or_correct
from cvtbatch.dlrn.multinomial import fit_multinomial_or_correct
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.tasks import Task, TaskResult, inner_folds, nomogram_scores, robust_nomogram, unscored
from cvtbatch.errors import InputError, InternalError
from cvtbatch.validation.class_aucs import macro_auc
from cvtbatch.validation.model_comparison import scored_rows
from cvtbatch.validation.resampling import pairwise_wins

BEST = "best, chosen inside the folds"


@dataclass(frozen=True, slots=True, eq=False)
class VariantScores:
    """What a variant gave to rows that its fits had not seen.

    Attributes:
        scores: (repeats, n), of several classes (repeats, n, K), NaN where a row has none, e.g. where a value is missing.
        probability: whether they are probabilities of the event, or of the classes.
        inner_auc: by outer fold's task, the AUC inside its training rows, of several classes M, cross-fitted there; empty where it
            is not known.
        chosen: by column, or for the best variant by variant, the share of the outer folds that chose it.
        firth_folds: outer folds whose regression needed Firth's correction.
    """

    name: str
    scores: Floats
    probability: bool
    inner_auc: Mapping[str, float]
    chosen: Mapping[str, float]
    firth_folds: int


def fitted_variant(
    name: str, model: Model, results: Sequence[TaskResult], cohort: Cohort, settings: FitSettings
) -> VariantScores:
    """Return what one model of a fit's nested tasks gave."""
    known = model is Model.DLRN
    picked = [result.selected[Model.DLR if known else model] for result in results]
    return VariantScores(
        name=name,
        scores=scores_by_repeat(results, cohort)[model],
        probability=known,
        inner_auc={result.task.name: _inner_nomogram_auc(result, cohort, settings) for result in results}
        if known
        else {},
        chosen=_shares((column for columns in picked for column in columns), len(results)),
        firth_folds=sum(result.firth for result in results) if known else 0,
    )


def regression_variant(
    name: str, columns: Mapping[str, Floats], cohort: Cohort, settings: FitSettings, tasks: Sequence[Task]
) -> VariantScores:
    """Return what a regression on columns gave, fitted on each nested task's training rows: what a model must beat.

    It is logistic, of several classes multinomial.

    Args:
        columns: (n,) values by name, NaN where unknown; a row without one of them has no score and is not fitted on.

    Raises:
        InputError: "collinear_terms", "too_few_patients": in a fold there is nothing to fit on.
    """
    names, values = tuple(columns), np.column_stack(list(columns.values()))
    scores = np.stack([unscored(len(cohort.keys), settings)] * settings.nested.repeats)
    inner_auc, firth_folds = {}, 0
    for task in tasks:
        train, test = np.asarray(task.train, np.int64), np.asarray(task.test, np.int64)
        inner = unscored(len(train), settings)
        for fitted_on, held_out in inner_folds(cohort, train, settings, task.name):
            inner[held_out] = _regress(values, names, train[fitted_on], train[held_out], cohort, settings)[0]
        inner_auc[task.name] = _auc(cohort.outcome[train], inner)
        scores[repeat_of(task), test], firth = _regress(values, names, train, test, cohort, settings)
        firth_folds += firth
    return VariantScores(name, scores, True, inner_auc, dict.fromkeys(names, 1.0), firth_folds)


def external_regression(columns: Mapping[str, Floats], cohort: Cohort, settings: FitSettings, fitted_on: int) -> Floats:
    """Return what a logistic regression gives to the rows after the first `fitted_on`, which it is fitted on.

    Args:
        columns: (n,) values by name, as for `regression_variant`.

    Raises:
        InputError: as `regression_variant`.
    """
    rows = np.arange(len(cohort.keys))
    values = np.column_stack(list(columns.values()))
    return _regress(values, tuple(columns), rows[:fitted_on], rows[fitted_on:], cohort, settings)[0]


def best_variant(variants: Sequence[VariantScores], cohort: Cohort, tasks: Sequence[Task]) -> VariantScores | None:
    """Return what choosing the variant with the largest AUC inside each outer fold gave; None where fewer than two can be chosen.

    Offered are variants that give probabilities: votes are on another scale. Of equal ones the first is chosen. Of several classes
    M is compared.
    """
    offered = [variant for variant in variants if variant.probability and variant.inner_auc]
    if len(offered) < 2:
        return None
    scores = np.full_like(offered[0].scores, np.nan)
    picks = []
    for task in tasks:
        best = max(offered, key=lambda variant: np.nan_to_num(variant.inner_auc[task.name], nan=-1.0))
        place = (repeat_of(task), list(task.test))
        scores[place] = best.scores[place]
        picks.append(best.name)
    return VariantScores(BEST, scores, True, {}, _shares(picks, len(tasks)), 0)


def repeat_of(task: Task) -> int:
    """Return the repeat that a nested task is of, from 0."""
    return int(task.name.split("-")[1]) - 1


def _regress(
    values: Floats, names: Sequence[str], train: Integers, test: Integers, cohort: Cohort, settings: FitSettings
) -> tuple[Floats, bool]:
    """Fit on the training rows that have all values; return the test rows' probabilities, and whether by Firth's."""
    known = train[~np.isnan(values[train]).any(axis=1)]
    outcome = cohort.outcome[known]
    if len(np.unique(outcome)) < (len(settings.classes) or 2):
        raise InputError(
            "too_few_patients",
            f"{', '.join(names)}: known in {len(known)} training cases of a fold, not in "
            f"{'all classes' if settings.classes else 'both outcomes'}",
        )
    fit = fit_multinomial_or_correct if settings.classes else fit_or_correct
    fitted = fit(values[known], outcome, names, firth=settings.firth)
    return fitted.predict(values[test]), fitted.firth


def _inner_nomogram_auc(result: TaskResult, cohort: Cohort, settings: FitSettings) -> float:
    """Return the AUC of the nomogram inside a task's training rows, each scored by one that was fitted on the other inner folds."""
    train = np.asarray(result.task.train, np.int64)
    if result.inner is None:
        raise InternalError("bad_scores", f"task {result.task.name} has none")
    scores = unscored(len(train), settings)
    for fitted_on, held_out in inner_folds(cohort, train, settings, result.task.name):
        rows = train[fitted_on]
        clinical, outcome = rows_of(cohort.clinical, rows), cohort.outcome[rows]
        terms = choose_terms(clinical, outcome, settings.clinical).terms
        fit = robust_nomogram(
            result.inner[fitted_on], clinical, outcome, terms, firth=settings.firth, classes=settings.classes
        )
        unseen = rows_of(cohort.clinical, train[held_out])
        scores[held_out] = nomogram_scores(fit, result.inner[held_out], unseen, terms)
    return _auc(cohort.outcome[train], scores)


def _auc(outcome: Integers, scores: Floats) -> float:
    """Return the AUC, of several classes M, over the rows that have a score, NaN where one outcome or class has none."""
    known = scored_rows(scores[None])
    if scores.ndim > 1:
        own = outcome[known]
        whole = len(np.unique(own)) == scores.shape[1]
        return macro_auc(own, scores[None][:, known], np.arange(len(own)), 0, 0).value if whole else float("nan")
    wins = pairwise_wins(outcome[known] == 1, scores[known])
    return float(wins.mean()) if wins.size else float("nan")


def _shares(chosen: Iterable[str], folds: int) -> dict[str, float]:
    """Return in which share of the folds each name was chosen, the most frequent first."""
    return {name: count / folds for name, count in Counter(chosen).most_common()}
