"""Compare models: variants of a fit, and what they must beat, on the same nested folds of one snapshot's training cohort."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.audit import OPTIMISTIC, audit_backbone, audit_cohorts, audit_tasks, refuse
from cvtbatch.dlrn.clinical_choice import require_terms
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.tasks import Task, TaskResult, plan_frozen_tasks, plan_nested_tasks
from cvtbatch.dlrn.variants import BEST, VariantScores, best_variant, fitted_variant, regression_variant
from cvtbatch.documents import to_document
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.compare_columns import column_values
from cvtbatch.pipelines.models.compare_external import compare_externally
from cvtbatch.pipelines.models.compare_plan import REFERENCE, Plan, Refit, describe_variant, plan_comparison
from cvtbatch.pipelines.models.compare_tasks import CompareItem, FitPart, results_of, run_items
from cvtbatch.pipelines.models.training_cohort import TrainingData, read_training
from cvtbatch.pipelines.models.training_networks import describe_networks
from cvtbatch.pipelines.models.unseen_rows import find_unseen
from cvtbatch.pipelines.shared.bundle_networks import caution_of
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.store import FeatureStore
from cvtbatch.validation.class_comparison import compare_class_models
from cvtbatch.validation.model_comparison import Comparison, ModelScores, compare_models, scored_rows
from cvtbatch.validation.report.comparison_page import ComparedVariant, ComparisonPage, write_comparison


@dataclass(frozen=True, slots=True, eq=False)
class CompareReport:
    """What a comparison found, for people and as the JSON document of `cvtbatch compare-models --json`.

    Attributes:
        page: the page that was written.
    """

    page: Path
    found: ComparisonPage

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        return self.found.to_document()


def compare_variants(
    job: Job,
    store_url: str,
    snapshot: str | None,
    spec_ids: Sequence[str],
    out: Path,
    cluster: Cluster,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> CompareReport:
    """Judge the variants of a job on nested folds of a snapshot's training cohort, and write what came out into a folder.

    Args:
        snapshot: by default one that is recorded for this.
        spec_ids: specifications to which the rows are restricted.
        out: folder of the page and the tables.
        on_progress: called with the tasks done and all of them.

    Raises:
        InputError: the cohort cannot be fitted on, no variant or no nested repeat is named, a column is not there, or the folder
            cannot be written.
        ProblemsError: "leakage", or a variant's settings are not valid.
        ResourceError: this installation is one without the extra `fit`; a worker died over a task, or the scheduler went away.
    """
    require("comparing models needs", "sklearn", "imblearn", "statsmodels", "matplotlib")
    pinned = open_pinned(store_url, snapshot, "compare-models")
    plan = plan_comparison(job, pinned, spec_ids)
    reference = plan.refits[REFERENCE]
    read = {refit.source: read_training(refit.source) for refit in plan.refits.values()}
    data, optimistic = read[reference.source], [_audit(own) for own in read.values()]
    unseen = find_unseen(job, plan)
    whole = {
        name: {column: column_values(column, f"compare.variants.{name}", data, pinned.view) for column in wanted}
        for name, wanted in plan.columns.items()
    }
    cohorts = _same_rows(read)
    cohort = cohorts[reference.source]
    there = np.isin(data.cohort.keys, cohort.keys)
    columns = {name: {column: values[there] for column, values in wanted.items()} for name, wanted in whole.items()}
    tasks = plan_nested_tasks(cohort, reference.settings)
    fits = tuple(dict.fromkeys(plan.refits[name] for name in plan.models))
    rows = range(len(cohort.keys), len(cohort.keys) + len(unseen.keys))
    frozen = {fit: plan_frozen_tasks(cohorts[fit.source], fit.settings, rows) if rows else [] for fit in fits}
    items = [CompareItem(fit, cohort.keys, unseen, task) for fit in fits for task in (*tasks, *frozen[fit])]
    parts = run_items(items, cluster, on_progress)
    variants, lacking = _variants(plan, columns, cohorts, tasks, parts)
    if REFERENCE in lacking:
        raise InputError("no_nested_estimate", f"the reference cannot be fitted: {lacking[REFERENCE]}")
    external = compare_externally(
        job, plan, pinned.view, unseen, columns, cohorts, frozen, parts, [variant.name for variant in variants]
    )
    if best := best_variant(variants, cohort, tasks):
        variants.append(best)
    comparison, unscored = _compare(variants, cohort, job, reference.settings)
    elsewhere = {"without features of a variant": int((~there).sum())} if not there.all() else {}
    seconds = {name: sum(parts[refit][task.name].seconds for task in tasks) for name, refit in plan.refits.items()}
    of_model = {model.name: model for model in comparison.models}
    found = ComparisonPage(
        snapshot=pinned.name,
        snapshot_digest=pinned.content_digest,
        centers=data.centers,
        outlines=str(job.cohort.primary),
        excluded={**data.excluded, **elsewhere},
        unscored=unscored,
        folds=reference.settings.nested.folds,
        marks=(OPTIMISTIC,) if any(optimistic) else (),
        not_for_inference=", ".join(_unfit_weights(read)) or None,
        licences=_licences(read, pinned.store),
        comparison=comparison,
        variants=tuple(
            ComparedVariant(
                of_model[variant.name],
                describe_variant(variant.name, job, plan),
                variant.chosen,
                variant.firth_folds,
                seconds.get(variant.name) if variant.name in plan.models else None,
            )
            for variant in variants
        ),
        lacking=lacking,
        external=external.centers,
        external_excluded=external.excluded,
        external_unscored=external.unscored,
        external_lacking=external.lacking,
        job={name: to_document(getattr(job, name)) for name in ("cohort", "fit", "compare")},
    )
    return CompareReport(write_comparison(found, out), found)


def _audit(data: TrainingData) -> bool:
    """Refuse a cohort that leaks; say whether the backbone saw its patients.

    Raises:
        ProblemsError: "leakage".
    """
    around = data.surroundings
    findings = audit_cohorts(around.training, around.others)
    of_backbone, optimistic = audit_backbone(around.training, around.others, around.backbone)
    refuse(findings + of_backbone)
    return optimistic


def _unfit_weights(read: Mapping[CohortSource, TrainingData]) -> dict[str, None]:
    """Return the names of the weights that no variant may be trusted with."""
    return {str(data.weights["name"]): None for data in read.values() if data.weights["not_for_inference"]}


def _licences(read: Mapping[CohortSource, TrainingData], store: FeatureStore) -> tuple[str, ...]:
    """Return what the licences of all variants' weights ask of a reader, each once."""
    found = [
        caution_of(network.name, network.source, network.licence)
        for data in read.values()
        for network in describe_networks(data.embeddings, data.weights, store)
    ]
    return tuple(dict.fromkeys(filter(None, found)))


def _same_rows(read: Mapping[CohortSource, TrainingData]) -> dict[CohortSource, Cohort]:
    """Return the cohorts of all fits, each with the rows that all of them have.

    Raises:
        InputError: "no_training_cases": they have none in common; a cohort is left with one outcome.
    """
    cohorts = {source: data.cohort for source, data in read.items()}
    common = set.intersection(*(set(cohort.keys) for cohort in cohorts.values()))
    if not common:
        raise InputError("no_training_cases", "no case has what every variant is fitted on")
    return {source: cohort.of_keys(sorted(common)) for source, cohort in cohorts.items()}


def _variants(
    plan: Plan,
    columns: Mapping[str, Mapping[str, Floats]],
    cohorts: Mapping[CohortSource, Cohort],
    tasks: Sequence[Task],
    parts: Mapping[Refit, Mapping[str, FitPart]],
) -> tuple[list[VariantScores], dict[str, str]]:
    """Return the variants that have scores, in the job's order, and why the others have none.

    Args:
        columns: (n,) values by column, by variant that is a regression.

    Raises:
        InternalError: "leakage".
    """
    variants, lacking = [], {}
    for name, refit in plan.refits.items():
        cohort = cohorts[refit.source]
        try:
            if name in plan.models:
                variants.append(_fitted(name, plan.models[name], refit, cohort, results_of(parts[refit], tasks)))
            else:
                variants.append(regression_variant(name, columns[name], cohort, refit.settings, tasks))
        except InputError as error:
            lacking[name] = error.message
    return variants, lacking


def _fitted(name: str, model: Model, refit: Refit, cohort: Cohort, results: Sequence[TaskResult]) -> VariantScores:
    """Return what a fit's model gave.

    Raises:
        InputError: "constant_term": of a clinical term.
        InternalError: "leakage".
    """
    require_terms(cohort.clinical, cohort.outcome, refit.settings.clinical)
    refuse(audit_tasks(cohort, results, refit.settings.components))
    return fitted_variant(name, model, results, cohort, refit.settings)


def _compare(
    variants: Sequence[VariantScores], cohort: Cohort, job: Job, settings: FitSettings
) -> tuple[Comparison, dict[str, int]]:
    """Compare the variants on the cases that all of them score.

    Returns:
        the comparison; how many cases each variant leaves without a score, of those that leave any.

    Raises:
        InputError: "too_few_patients": none is left of an outcome, or of a class.
    """
    known = np.ones(len(cohort.keys), np.bool_)
    unscored = {}
    for variant in variants:
        own = scored_rows(variant.scores)
        known &= own
        if (missing := int((~own).sum())) and variant.name != BEST:
            unscored[variant.name] = missing
    outcome = cohort.outcome[known]
    if len(np.unique(outcome)) < (len(settings.classes) or 2):
        told = ", ".join(f"{name} {count}" for name, count in unscored.items())
        raise InputError(
            "too_few_patients",
            f"no case of {'some class' if settings.classes else 'both outcomes'} has a score of every variant; without "
            f"one: {told}",
        )
    patients = np.asarray(cohort.patients, dtype=object)[known].astype(str)
    numbers = np.asarray(np.unique(patients, return_inverse=True)[1], dtype=np.int64)
    models = [ModelScores(variant.name, variant.scores[:, known], variant.probability) for variant in variants]
    draws = (settings.nested.bootstrap, settings.seed_of("compare"))
    if settings.classes:
        return compare_class_models(outcome, numbers, models, settings.classes, *draws), unscored
    return compare_models(outcome == 1, numbers, models, job.compare.net_benefit_at, *draws), unscored
