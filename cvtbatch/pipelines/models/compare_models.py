"""Compare models: variants of a fit, and what they must beat, on the same nested folds of one snapshot's training cohort."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvtbatch import engine
from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.audit import OPTIMISTIC, audit_backbone, audit_cohorts, audit_tasks, refuse
from cvtbatch.dlrn.clinical_choice import require_terms
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.signatures import require_alike
from cvtbatch.dlrn.tasks import Task, TaskResult, plan_nested_tasks, run_task
from cvtbatch.dlrn.variants import BEST, VariantScores, best_variant, fitted_variant, regression_variant
from cvtbatch.documents import to_document
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.pipelines.models.compare_columns import column_values
from cvtbatch.pipelines.models.compare_plan import REFERENCE, Plan, Refit, describe_variant, plan_comparison
from cvtbatch.pipelines.models.training_cohort import CohortSource, TrainingData, read_training
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.shared.unfinished import require_done
from cvtbatch.validation.model_comparison import Comparison, ModelScores, compare_models
from cvtbatch.validation.report.comparison_page import ComparedVariant, ComparisonPage, write_comparison


@dataclass(frozen=True, slots=True)
class CompareItem:
    """One nested task for a worker, which reads the cohort for itself.

    Attributes:
        keys: of the rows that all fits have; the task counts these.
    """

    refit: Refit
    keys: tuple[str, ...]
    task: Task


@dataclass(frozen=True, slots=True)
class NestedPart:
    """What a task gave, or why it could not be done; and the processor's seconds that it took."""

    task: Task
    result: TaskResult | None
    reason: str
    seconds: float


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
    data = read_training(reference.source)
    optimistic = _audit(data)
    whole = {
        name: {column: column_values(column, f"compare.variants.{name}", data, pinned.view) for column in wanted}
        for name, wanted in plan.columns.items()
    }
    cohorts = _same_rows(plan)
    cohort = cohorts[reference.source]
    there = np.isin(data.cohort.keys, cohort.keys)
    columns = {name: {column: values[there] for column, values in wanted.items()} for name, wanted in whole.items()}
    tasks = plan_nested_tasks(cohort, reference.settings)
    parts = _run(plan, cohort.keys, tasks, cluster, on_progress)
    variants, lacking = _variants(plan, columns, cohorts, tasks, parts)
    if REFERENCE in lacking:
        raise InputError("no_nested_estimate", f"the reference cannot be fitted: {lacking[REFERENCE]}")
    if best := best_variant(variants, cohort, tasks):
        variants.append(best)
    comparison, unscored = _compare(variants, cohort, job, reference.settings)
    elsewhere = {"without features of a variant": int((~there).sum())} if not there.all() else {}
    seconds = {name: sum(part.seconds for part in parts[refit]) for name, refit in plan.refits.items()}
    of_model = {model.name: model for model in comparison.models}
    found = ComparisonPage(
        snapshot=pinned.name,
        snapshot_digest=pinned.content_digest,
        centers=data.centers,
        outlines=str(job.cohort.primary),
        excluded={**data.excluded, **elsewhere},
        unscored=unscored,
        folds=reference.settings.nested.folds,
        marks=(OPTIMISTIC,) if optimistic else (),
        not_for_inference=str(data.weights["name"]) if data.weights["not_for_inference"] else None,
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
        job={name: to_document(getattr(job, name)) for name in ("cohort", "fit", "compare")},
    )
    return CompareReport(write_comparison(found, out), found)


def run_item(item: CompareItem) -> NestedPart:
    """Run a nested task where the store can be read; what cannot be fitted is told, so that the other variants go on."""
    cohort = read_training(item.refit.source).cohort.of_keys(item.keys)
    started = time.process_time()
    try:
        require_alike(cohort, item.refit.settings)
        result, reason = run_task(cohort, item.refit.settings, item.task), ""
    except InputError as error:
        result, reason = None, error.message
    return NestedPart(item.task, result, reason, time.process_time() - started)


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


def _same_rows(plan: Plan) -> dict[CohortSource, Cohort]:
    """Return the cohorts of all fits, each with the rows that all of them have.

    Raises:
        InputError: "no_training_cases": they have none in common; a cohort cannot be read, or is left with one outcome.
    """
    cohorts = {refit.source: read_training(refit.source).cohort for refit in plan.refits.values()}
    common = set.intersection(*(set(cohort.keys) for cohort in cohorts.values()))
    if not common:
        raise InputError("no_training_cases", "no case has what every variant is fitted on")
    return {source: cohort.of_keys(sorted(common)) for source, cohort in cohorts.items()}


def _run(
    plan: Plan, keys: tuple[str, ...], tasks: Sequence[Task], cluster: Cluster, on_progress: Callable[[int, int], None]
) -> dict[Refit, list[NestedPart]]:
    """Run every nested task of every fit; the parts are in the order of the tasks.

    Raises:
        ResourceError: no worker could do one.
    """
    refits = dict.fromkeys(plan.refits[name] for name in plan.models)
    items = [CompareItem(refit, keys, task) for refit in refits for task in tasks]
    parts: dict[Refit, dict[str, NestedPart]] = {refit: {} for refit in refits}
    for done, outcome in enumerate(engine.run(cluster, run_item, items), 1):
        part = require_done(outcome, f"the task {outcome.item.task.name}")
        parts[outcome.item.refit][part.task.name] = part
        on_progress(done, len(items))
    return {refit: [found[task.name] for task in tasks] for refit, found in parts.items()}


def _variants(
    plan: Plan,
    columns: Mapping[str, Mapping[str, Floats]],
    cohorts: Mapping[CohortSource, Cohort],
    tasks: Sequence[Task],
    parts: Mapping[Refit, Sequence[NestedPart]],
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
                variants.append(_fitted(name, plan.models[name], refit, cohort, parts[refit]))
            else:
                variants.append(regression_variant(name, columns[name], cohort, refit.settings, tasks))
        except InputError as error:
            lacking[name] = error.message
    return variants, lacking


def _fitted(name: str, model: Model, refit: Refit, cohort: Cohort, parts: Sequence[NestedPart]) -> VariantScores:
    """Return what a fit's model gave.

    Raises:
        InputError: "no_nested_estimate": a task of it could not be done; "constant_term": of a clinical term.
    """
    results = [part.result for part in parts if part.result]
    if failed := next((part for part in parts if not part.result), None):
        raise InputError("no_nested_estimate", f"{failed.task.name}: {failed.reason}")
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
        InputError: "too_few_patients": none is left of an outcome.
    """
    known = np.ones(len(cohort.keys), np.bool_)
    unscored = {}
    for variant in variants:
        own = np.isfinite(variant.scores).all(axis=0)
        known &= own
        if (missing := int((~own).sum())) and variant.name != BEST:
            unscored[variant.name] = missing
    outcome = cohort.outcome[known] == 1
    if outcome.all() or not outcome.any():
        told = ", ".join(f"{name} {count}" for name, count in unscored.items())
        raise InputError(
            "too_few_patients", f"no case of both outcomes has a score of every variant; without one: {told}"
        )
    patients = np.asarray(cohort.patients, dtype=object)[known].astype(str)
    comparison = compare_models(
        outcome,
        np.asarray(np.unique(patients, return_inverse=True)[1], dtype=np.int64),
        [ModelScores(variant.name, variant.scores[:, known], variant.probability) for variant in variants],
        job.compare.net_benefit_at,
        settings.nested.bootstrap,
        settings.seed_of("compare"),
    )
    return comparison, unscored
