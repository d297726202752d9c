"""Fit: a cohort to a frozen model with everything that is known of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.audit import (
    OPTIMISTIC,
    Backbone,
    Finding,
    Member,
    audit_backbone,
    audit_cohorts,
    audit_out_of_fold,
    audit_tasks,
    refuse,
)
from cvtbatch.dlrn.clinical_choice import ChosenTerms, choose_terms, require_terms, with_stability
from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS, EPILEPSY, names_of, unknown
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.description import VoteRecalibration
from cvtbatch.dlrn.estimates import (
    Document,
    bootstrap_auc,
    center_estimates,
    class_estimate,
    nested_estimate,
    number,
    out_of_fold_scores,
    selection_stability,
)
from cvtbatch.dlrn.freezing import dlrn_scores, freeze_model, golden_rows, selection_table, software_versions
from cvtbatch.dlrn.logistic import LogisticFit
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.multinomial import MultinomialFit
from cvtbatch.dlrn.prediction_sets import PredictionSets, held_out_scores
from cvtbatch.dlrn.scoring import SpecIds
from cvtbatch.dlrn.settings import SIGNATURES, FitSettings, Model, Protocol
from cvtbatch.dlrn.signatures import Signatures, require_alike
from cvtbatch.dlrn.tasks import (
    FINAL,
    Fitted,
    TaskMap,
    TaskResult,
    fit_nomogram,
    nomogram_scores,
    plan_tasks,
    robust_nomogram,
    run_tasks_here,
)
from cvtbatch.dlrn.thresholds import find_thresholds, operating_point
from cvtbatch.dlrn.training_scores import ClassScores, scores_by_class
from cvtbatch.dlrn.votes import IN_SAMPLE, fit_votes, unchanged
from cvtbatch.documents import to_document
from cvtbatch.errors import InputError

# Models whose numbers rest on the embedding.
ON_EMBEDDING = (Model.DL, Model.DLR, Model.DLRN)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the audit looks at beside the cohort.

    Attributes:
        training: who the cohort's rows are.
        others: every other case that is known.
    """

    training: tuple[Member, ...]
    others: tuple[Member, ...] = ()
    backbone: Backbone = field(default_factory=Backbone)


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished fit, ready to be written.

    Attributes:
        document: bundle.json's part that the fit knows.
        findings: remarks of the audit.
        out_of_fold: what training's cases scored when the models had not seen them; empty where only in-sample scores are known,
            and of several classes.
        by_class: what is told of each of several classes; empty where an event is told.
    """

    document: Document
    model: FrozenModel
    golden: pa.Table
    selection: pa.Table
    findings: tuple[Finding, ...]
    out_of_fold: Mapping[Model, ClassScores]
    by_class: Mapping[str, Document] = field(default_factory=dict)


def fit_model(
    cohort: Cohort,
    settings: FitSettings,
    specs: SpecIds,
    surroundings: Surroundings,
    map_tasks: TaskMap | None = None,
) -> Fit:
    """Fit, estimate, audit and freeze.

    Args:
        map_tasks: runs tasks, in any order, anywhere; by default one after the other in this process. The outcome is the same.

    Raises:
        InputError: the cohort is too small, separation, no usable column, ...
        ProblemsError: "leakage".
    """
    # What needs no fit to be seen is refused before one begins.
    findings = audit_cohorts(surroundings.training, surroundings.others)
    of_backbone, optimistic = audit_backbone(surroundings.training, surroundings.others, surroundings.backbone)
    findings += of_backbone
    refuse(findings)
    require_terms(cohort.clinical, cohort.outcome, settings.clinical)
    require_alike(cohort, settings)
    tasks = plan_tasks(cohort, settings)
    results = list(map_tasks(tasks) if map_tasks else run_tasks_here(cohort, settings, tasks))
    by_name = {result.task.name: result for result in results}
    ordered = [by_name[task.name] for task in tasks]
    crossfit = _named(ordered, "crossfit")
    taken = {result.task.name: result.task.test for result in crossfit}
    inner = audit_tasks(cohort, ordered, settings.components) + audit_out_of_fold(cohort, crossfit, taken)
    refuse(inner)
    with threadpool_limits(1):
        return _assemble(cohort, settings, specs, by_name, ordered, [*findings, *inner], optimistic)


def _assemble(
    cohort: Cohort,
    settings: FitSettings,
    specs: SpecIds,
    by_name: Mapping[str, TaskResult],
    results: Sequence[TaskResult],
    findings: Sequence[Finding],
    optimistic: bool,
) -> Fit:
    sound = settings.protocol is Protocol.SOUND
    signatures = _kept(by_name[FINAL if sound else "study"])
    out_of_fold = out_of_fold_scores(_named(results, "crossfit"), len(cohort.keys))
    basis = out_of_fold if sound else dict(by_name["study"].scores)
    chosen = choose_terms(cohort.clinical, cohort.outcome, settings.clinical)
    nomogram = fit_nomogram(
        basis[Model.DLR],
        cohort.clinical,
        cohort.outcome,
        chosen.terms,
        firth=settings.firth,
        limits=True,
        classes=settings.classes,
    )
    basis[Model.DLRN] = nomogram_scores(nomogram, basis[Model.DLR], cohort.clinical, chosen.terms)
    thresholds = {} if settings.classes else {model: _thresholds(cohort, basis[model]) for model in Model}
    nested = _named(results, "nested")
    stability = selection_stability(nested, _selected(signatures)) if nested else {}
    model = replace(
        freeze_model(signatures, nomogram, chosen.terms, thresholds, cohort, settings),
        votes={} if settings.classes else _votes(cohort, out_of_fold, settings),
    )
    model = _with_sets(model, _named(results, "crossfit"), cohort, settings)
    golden = golden_rows(model, signatures, nomogram, cohort, specs, settings.seed_of("golden"))
    metrics: Document = {}
    if settings.classes:
        metrics["out_of_fold"] = {str(own): class_estimate(own, basis[own][None], cohort, settings) for own in Model}
    else:
        metrics["study_protocol"] = _study_estimate(by_name["study"], chosen, cohort, settings)
        metrics["out_of_fold" if sound else "in_sample"] = {
            str(own): _performance(own, basis[own], thresholds[own], cohort, settings) for own in Model
        }
    if nested:
        metrics["nested"] = nested_estimate(nested, cohort, settings)
    if left_out := _named(results, "center"):
        metrics["leave_one_center_out"] = center_estimates(left_out, cohort, settings)
    document: Document = {
        "protocol": str(settings.protocol),
        "dlrn": {
            "terms": _terms(nomogram),
            "firth": nomogram.firth,
            "cases": nomogram.rows,
            **_unknown(cohort, chosen),
            "log_likelihood": nomogram.log_likelihood,
        },
        "signatures": {str(name): _describe(signatures, name, stability) for name in SIGNATURES},
        "embedding_components": {
            "kept": signatures.components.loadings.shape[1],
            "slices": signatures.components.rows,
            "asked": settings.components,
        },
        "metrics": metrics,
        "marks": [{"mark": OPTIMISTIC, "models": [str(name) for name in ON_EMBEDDING]}] if optimistic else [],
        "remarks": _remarks(findings),
        "software": software_versions(),
    }
    if chosen.candidates:
        candidates = with_stability(chosen.candidates, [result.clinical for result in nested])
        document["clinical_candidates"] = to_document(candidates)
    kept = scores_by_class(cohort.outcome, basis) if sound and not settings.classes else {}
    by_class = _by_class(cohort, nomogram, settings) if isinstance(nomogram, MultinomialFit) else {}
    return Fit(document, model, golden, selection_table(signatures, stability), tuple(findings), kept, by_class)


def _remarks(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Return what the audit remarked, each once, with the number of all cases that it is about."""
    keys = defaultdict[tuple[str, str], set[str]](set)
    for found in findings:
        keys[str(found.kind), found.message].update(found.keys)
    return [{"kind": kind, "message": message, "cases": len(own)} for (kind, message), own in keys.items()]


def _terms(nomogram: Fitted) -> list[dict[str, str | float | None]]:
    """Return the coefficients of an event's nomogram; those of several classes stand with each."""
    return [term.to_document() for term in nomogram.terms] if isinstance(nomogram, LogisticFit) else []


def _by_class(cohort: Cohort, nomogram: MultinomialFit, settings: FitSettings) -> dict[str, Document]:
    """Return cases of each class, and its coefficients, which the first class, that all are compared with, has none of."""
    counts = np.bincount(cohort.outcome).tolist()
    terms = [[], *([term.to_document() for term in own] for own in nomogram.terms)]
    return {
        name: {"cases": count, "terms": own} for name, count, own in zip(settings.classes, counts, terms, strict=True)
    }


def _named(results: Iterable[TaskResult], kind: str) -> list[TaskResult]:
    return [result for result in results if result.task.name.startswith(f"{kind}-")]


def _kept(result: TaskResult) -> Signatures:
    if result.signatures is None:
        raise InputError("no_signatures", f"task {result.task.name} did not return its signatures")
    return result.signatures


def _selected(signatures: Signatures) -> dict[Model, tuple[str, ...]]:
    return {model: signature.selection.names() for model, signature in signatures.fitted.items()}


def _with_sets(model: FrozenModel, results: Sequence[TaskResult], cohort: Cohort, settings: FitSettings) -> FrozenModel:
    """Return the model with those of the folds, and what makes sets of classes of them, if sets are asked for."""
    if settings.prediction_sets.alpha is None:
        return model
    folds, scores = [], []
    for result in results:
        if result.nomogram is None:
            raise InputError("no_signatures", f"task {result.task.name} did not return its nomogram")
        fit, terms = result.nomogram
        train, test = (
            cohort.of_keys([cohort.keys[row] for row in rows]) for rows in (result.task.train, result.task.test)
        )
        folds.append(freeze_model(_kept(result), fit, terms, {}, train, settings))
        # As the frozen model gives them: forests' votes have ties, and an ulp between two softmaxes would part them.
        scores.append(held_out_scores(test.outcome, dlrn_scores(folds[-1], test)))
    return replace(model, sets=PredictionSets(settings.prediction_sets.alpha, tuple(scores)), folds=tuple(folds))


def _votes(
    cohort: Cohort, out_of_fold: Mapping[Model, Floats], settings: FitSettings
) -> dict[Model, VoteRecalibration]:
    """Return what makes probabilities of each signature's votes; the forests of the study's protocol have no out-of-fold ones."""
    if settings.protocol is Protocol.STUDY:
        return dict.fromkeys(SIGNATURES, unchanged(cohort.outcome, IN_SAMPLE))
    return {name: fit_votes(cohort.outcome, out_of_fold[name], settings.forest.trees) for name in SIGNATURES}


def _unknown(cohort: Cohort, chosen: ChosenTerms) -> Document:
    """Return in how many cases a term is unknown, so that the nomogram was fitted on the others."""
    counts = {name: int(unknown(cohort.clinical[name]).sum()) for name in names_of(chosen.terms)}
    of_epilepsy: Document = {"epilepsy_unknown": counts.get(EPILEPSY, 0)}
    return of_epilepsy if chosen.terms == DEFAULT_TERMS else {**of_epilepsy, "clinical_unknown": counts}


def _thresholds(cohort: Cohort, score: Floats) -> dict[str, float]:
    known = ~np.isnan(score)
    return find_thresholds(cohort.outcome[known], score[known])


def _performance(
    model: Model, score: Floats, thresholds: Mapping[str, float], cohort: Cohort, settings: FitSettings
) -> Document:
    """Return AUC with a patient bootstrap, and the operating points, on the scores that the thresholds were set on."""
    known = ~np.isnan(score)
    outcome = cohort.outcome[known]
    patients = [patient for patient, there in zip(cohort.patients, known.tolist(), strict=True) if there]
    seed = settings.seed_of("bootstrap", model)
    value, low, high = bootstrap_auc(outcome, score[known][None], patients, settings.nested.bootstrap, seed)
    points = {name: operating_point(outcome, score[known], threshold) for name, threshold in thresholds.items()}
    return {"auc": value, "auc_low": number(low), "auc_high": number(high), "cases": int(known.sum()), "points": points}


def _study_estimate(result: TaskResult, chosen: ChosenTerms, cohort: Cohort, settings: FitSettings) -> Document:
    """Return the study's own numbers: in-sample scores, and the folds of the grid search over SMOTE's rows.

    Both are optimistic. In-sample scores often part the outcomes; then the nomogram needs Firth's correction, and has it here.
    """
    scores = dict(result.scores)
    nomogram = robust_nomogram(scores[Model.DLR], cohort.clinical, cohort.outcome, chosen.terms, firth=settings.firth)
    scores[Model.DLRN] = nomogram_scores(nomogram, scores[Model.DLR], cohort.clinical, chosen.terms)
    models = {
        str(model): _performance(model, score, _thresholds(cohort, score), cohort, settings)
        for model, score in scores.items()
    }
    fitted = _kept(result).fitted
    return {
        "in_sample": models,
        "grid_search_auc": {
            str(model): max(signature.forest.grid_auc, default=None) for model, signature in fitted.items()
        },
        "separated": nomogram.firth and not settings.firth,
        "terms": _terms(nomogram),
        "counts": {str(model): counts for model, counts in result.counts.items()},
        "selected": {str(model): list(names) for model, names in result.selected.items()},
    }


def _describe(signatures: Signatures, model: Model, stability: Mapping[Model, Mapping[str, float]]) -> Document:
    signature = signatures.fitted[model]
    importances = signature.forest.estimator.feature_importances_.tolist()
    coefficients = {verdict.name: verdict.coefficient for verdict in signature.selection.verdicts}
    return {
        "counts": signature.selection.counts(),
        "alpha": number(signature.selection.alpha),
        "rescued": signature.selection.rescued,
        "forest": dict(signature.forest.parameters),
        "grid_auc": list(signature.forest.grid_auc),
        "selected": [
            {
                "feature": name,
                "coefficient": number(coefficients[name]),
                "importance": importance,
                "stability": stability.get(model, {}).get(name),
            }
            for name, importance in zip(signature.selection.names(), importances, strict=True)
        ],
    }
