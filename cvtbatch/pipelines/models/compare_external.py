"""The variants of a comparison on centres that none of them was fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.cohort import Cohort, patient_key
from cvtbatch.dlrn.external import external_scores
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.tasks import Task
from cvtbatch.dlrn.variants import external_regression
from cvtbatch.errors import InputError
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.compare_columns import column_values
from cvtbatch.pipelines.models.compare_plan import REFERENCE, Plan, Refit
from cvtbatch.pipelines.models.compare_tasks import FitPart, results_of
from cvtbatch.pipelines.models.unseen_rows import KEY, UnseenRows, cohort_with_unseen, read_unseen
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.store import View
from cvtbatch.validation.class_comparison import compare_classes_at_center
from cvtbatch.validation.external_comparison import ExternalCenter, compare_at_center
from cvtbatch.validation.model_comparison import ModelScores, scored_rows


@dataclass(frozen=True, slots=True, eq=False)
class External:
    """External centres as a comparison has them.

    Attributes:
        excluded: their cases that take no part, by reason.
        unscored: by variant, cases that it has no score of; only cases that all variants score are compared.
        lacking: by variant, why it is not compared there.
    """

    centers: tuple[ExternalCenter, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    unscored: Mapping[str, int] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)


def compare_externally(
    job: Job,
    plan: Plan,
    view: View,
    unseen: UnseenRows,
    columns: Mapping[str, Mapping[str, Floats]],
    cohorts: Mapping[CohortSource, Cohort],
    tasks: Mapping[Refit, Sequence[Task]],
    parts: Mapping[Refit, Mapping[str, FitPart]],
    names: Sequence[str],
) -> External:
    """Compare variants on the external centres, of which there may be none.

    Args:
        columns: (n,) values of the training rows by column, by variant that is a regression.
        cohorts: the training rows, by source.
        tasks: of each fit's frozen model.
        parts: what they gave.
        names: of the variants that have a nested estimate, the reference first.

    Raises:
        InputError: "no_external_cases": no case has a score of every variant; the reference has none.
        InternalError: "leakage".
    """
    if not unseen.keys:
        return External()
    elsewhere = read_unseen(plan.refits[REFERENCE].source, unseen.centers)
    there = np.isin(elsewhere.cohort.keys, unseen.keys)
    models: list[ModelScores] = []
    lacking = {}
    for name in names:
        refit = plan.refits[name]
        keys = cohorts[refit.source].keys
        cohort = cohort_with_unseen(refit.source, keys, unseen)
        try:
            if name in plan.models:
                model = plan.models[name]
                found = external_scores(
                    model, results_of(parts[refit], tasks[refit]), cohort, refit.settings, len(keys)
                )
                models.append(ModelScores(name, found[None], model is Model.DLRN))
            else:
                values = {
                    column: np.concatenate([own, column_values(column, KEY, elsewhere, view)[there]])
                    for column, own in columns[name].items()
                }
                found = external_regression(values, cohort, refit.settings, len(keys))
                models.append(ModelScores(name, found[None], True))
        except InputError as error:
            if name == REFERENCE:
                raise
            lacking[name] = error.message
    lost = {"without features of a variant": int((~there).sum())} if not there.all() else {}
    unscored = {model.name: count for model in models if (count := int((~scored_rows(model.scores)).sum()))}
    centers = _by_center(
        elsewhere.cohort.of_keys(unseen.keys), models, unseen.centers, job, plan.refits[REFERENCE].settings
    )
    if not centers:
        told = ", ".join(f"{name} {count}" for name, count in unscored.items())
        raise InputError("no_external_cases", f"{KEY}: no case has a score of every variant; without one: {told}")
    return External(centers, {**elsewhere.excluded, **lost}, unscored, lacking)


def _by_center(
    cohort: Cohort, models: Sequence[ModelScores], centers: Sequence[str], job: Job, settings: FitSettings
) -> tuple[ExternalCenter, ...]:
    """Compare models at each centre on the cases that all of them score."""
    known = scored_rows(np.concatenate([model.scores for model in models]))
    patients = np.asarray(np.unique(cohort.patients, return_inverse=True)[1], dtype=np.int64)
    found = []
    for center in centers:
        own = known & [patient.startswith(patient_key(center, "")) for patient in cohort.patients]
        if own.any():
            scored = [ModelScores(model.name, model.scores[:, own], model.probability) for model in models]
            here = cohort.outcome[own]
            if settings.classes:
                draws = (settings.nested.bootstrap, settings.seed_of("compare", center))
                at = compare_classes_at_center(center, here, patients[own], scored, settings.classes, *draws)
            else:
                at = compare_at_center(center, here == 1, patients[own], scored, job.compare.net_benefit_at)
            found.append(at)
    return tuple(found)
