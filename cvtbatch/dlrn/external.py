"""What frozen models give to cases of centres that took no part in their fit: fitted on all training cases, as `fit` does it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.audit import audit_out_of_fold, audit_tasks, refuse
from cvtbatch.dlrn.clinical_choice import choose_terms, rows_of
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.estimates import out_of_fold_scores
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.tasks import TaskResult, nomogram_scores, robust_nomogram


def with_unseen(training: Cohort, unseen: Cohort) -> Cohort:
    """Return a cohort's rows with those of another one after them, of which nothing but values, outcomes and patients is taken.

    A task whose training rows are the first ones fits what it fits on `training` alone.
    """
    images = (*training.image_digests, *unseen.image_digests)
    return replace(
        training,
        keys=(*training.keys, *unseen.keys),
        patients=(*training.patients, *unseen.patients),
        outcome=np.concatenate([training.outcome, unseen.outcome]),
        clinical={name: np.concatenate([values, unseen.clinical[name]]) for name, values in training.clinical.items()},
        radiomics=np.concatenate([training.radiomics, unseen.radiomics]),
        embedding=np.concatenate([training.embedding, unseen.embedding]),
        slices=np.concatenate([training.slices, unseen.slices]),
        slice_rows=np.concatenate([training.slice_rows, len(training.keys) + unseen.slice_rows]),
        image_digests=images if len(images) == len(training.keys) + len(unseen.keys) else (),
    )


def external_scores(
    model: Model, results: Sequence[TaskResult], cohort: Cohort, settings: FitSettings, fitted_on: int
) -> Floats:
    """Return what a frozen model gives to the rows after the first `fitted_on`: the scores of the bundle of the same fit.

    Args:
        results: of `plan_frozen_tasks`, in their order.
        cohort: `with_unseen`.

    Raises:
        InputError: the nomogram cannot be fitted.
        InternalError: "leakage".
    """
    *crossfits, final = results
    taken = {result.task.name: result.task.test for result in crossfits}
    refuse(audit_tasks(cohort, results, settings.components) + audit_out_of_fold(cohort, crossfits, taken))
    if model is not Model.DLRN:
        return final.scores[model]
    rows = np.arange(len(cohort.keys))
    seen, unseen = rows_of(cohort.clinical, rows[:fitted_on]), rows_of(cohort.clinical, rows[fitted_on:])
    outcome = cohort.outcome[:fitted_on]
    basis = out_of_fold_scores(crossfits, fitted_on)[Model.DLR]
    terms = choose_terms(seen, outcome, settings.clinical).terms
    nomogram = robust_nomogram(basis, seen, outcome, terms, firth=settings.firth, classes=settings.classes)
    return nomogram_scores(nomogram, final.scores[Model.DLR], unseen, terms)
