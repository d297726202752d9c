"""The parts of a fit that can run side by side: each fits signatures on some rows and scores others.

A task is a small value and its result depends on nothing but the task, the cohort and the settings, so that it may run anywhere.
BLAS runs on one thread: with several, sums change in their last bits with their number.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.clinical_choice import choose_terms, rows_of
from cvtbatch.dlrn.clinical_terms import ClinicalColumns, ClinicalTerm, design, labels_of
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.folds import Split, grouped_folds, require_patients
from cvtbatch.dlrn.logistic import LogisticFit, fit_logistic, fit_or_correct
from cvtbatch.dlrn.model import nomogram_columns
from cvtbatch.dlrn.multinomial import MultinomialFit, fit_multinomial, fit_multinomial_or_correct
from cvtbatch.dlrn.settings import SIGNATURES, FitSettings, Model, Protocol
from cvtbatch.dlrn.signatures import Ledger, Seen, Signatures, fit_signatures
from cvtbatch.dlrn.thresholds import YOUDEN, find_thresholds
from cvtbatch.errors import InputError

FINAL = "final"
# The fitted nomogram, of two classes or of several.
Fitted = LogisticFit | MultinomialFit


@dataclass(frozen=True, slots=True)
class Task:
    """Fit on `train`, score `test`.

    Attributes:
        name: "final", "study", "crossfit-1", "nested-1-1" (repeat, fold), "center-C1" (left out), ...
        train, test: rows of the cohort.
        nomogram: cross-fit inside the training rows as well, for the DLRN and its thresholds.
        keep: return the fitted signatures.
    """

    name: str
    protocol: Protocol
    train: tuple[int, ...]
    test: tuple[int, ...]
    nomogram: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task found.

    Attributes:
        scores: by model, (len(test),), of several classes (len(test), K); DLRN is NaN where a clinical term is unknown.
        thresholds: Youden's point by model, of the training rows' out-of-fold scores; empty without nomogram, and of several
            classes.
        selected: by signature, the names of its columns.
        counts: by signature, columns left by each step.
        seen: which rows each step was given.
        components: components kept, and slices that they were fitted on.
        firth: the nomogram of this task needed Firth's correction.
        clinical: the candidates that entered the nomogram of this task.
        inner: (len(train),), of several classes (len(train), K), the training rows' out-of-fold DLR scores, on which the nomogram
            was fitted; None without nomogram.
        signatures: where the task keeps them.
        nomogram: with its clinical terms, of a task with nomogram that keeps its signatures.
    """

    task: Task
    scores: dict[Model, Floats]
    selected: dict[Model, tuple[str, ...]]
    counts: dict[Model, dict[str, int]]
    seen: tuple[Seen, ...]
    components: tuple[int, int]
    thresholds: dict[Model, float] = field(default_factory=dict)
    firth: bool = False
    clinical: tuple[str, ...] = ()
    inner: Floats | None = None
    signatures: Signatures | None = None
    nomogram: tuple[Fitted, tuple[ClinicalTerm, ...]] | None = None


TaskMap = Callable[[Sequence[Task]], Iterable[TaskResult]]


def plan_tasks(cohort: Cohort, settings: FitSettings) -> list[Task]:
    """Return every task of a fit: the longest first, so that the last worker does not wait for one that began late.

    Raises:
        InputError: too few patients for the folds; "bad_job": one centre, of which none can be left out.
    """
    rows = tuple(range(len(cohort.keys)))
    tasks = plan_nested_tasks(cohort, settings)
    if settings.nested.leave_one_center_out:
        tasks += _plan_center_tasks(cohort, settings)
    if not settings.classes:
        tasks.append(Task("study", Protocol.STUDY, rows, rows, keep=True))
    return tasks + plan_frozen_tasks(cohort, settings)


def plan_frozen_tasks(cohort: Cohort, settings: FitSettings, unseen: Sequence[int] = ()) -> list[Task]:
    """Return the tasks that the frozen model rests on: cross-fits for its nomogram, and last the fit on all rows.

    Args:
        unseen: rows beyond the cohort's, which the last one scores.

    Raises:
        InputError: too few patients for the folds.
    """
    splits = grouped_folds(cohort.outcome, cohort.patients, settings.crossfit_folds, settings.seed_of("crossfit"))
    whole = settings.prediction_sets.alpha is not None
    tasks = []
    for fold, (train, test) in enumerate(splits, 1):
        tasks.append(Task(f"crossfit-{fold}", Protocol.SOUND, _rows(train), _rows(test), nomogram=whole, keep=whole))
        if whole:
            _require_inner_patients(cohort, train, settings, tasks[-1].name)
    return [*tasks, Task(FINAL, Protocol.SOUND, tuple(range(len(cohort.keys))), tuple(unseen), keep=True)]


def plan_nested_tasks(cohort: Cohort, settings: FitSettings) -> list[Task]:
    """Return the tasks of the nested estimate; their rows follow from outcomes, patients, seed and `nested` alone.

    Raises:
        InputError: too few patients for the folds, or for those inside of a task: before any of them runs.
    """
    tasks = []
    for repeat in range(1, settings.nested.repeats + 1):
        seed = settings.seed_of("nested", repeat)
        splits = grouped_folds(cohort.outcome, cohort.patients, settings.nested.folds, seed)
        for fold, (train, test) in enumerate(splits, 1):
            tasks.append(Task(f"nested-{repeat}-{fold}", Protocol.SOUND, _rows(train), _rows(test), nomogram=True))
            _require_inner_patients(cohort, train, settings, tasks[-1].name)
    return tasks


def _require_inner_patients(cohort: Cohort, rows: Integers, settings: FitSettings, name: str) -> None:
    """Refuse a task whose inner folds leave too few patients for those of the LASSO and the forest."""
    most = max(settings.selection.lasso_folds, settings.forest.folds)
    for fitted_on, _ in inner_folds(cohort, rows, settings, name):
        own = rows[fitted_on]
        require_patients(cohort.outcome[own], [cohort.patients[row] for row in own], most)


def _plan_center_tasks(cohort: Cohort, settings: FitSettings) -> list[Task]:
    """Return the tasks that leave out one centre each, `center-NAME`, in order of the names.

    Raises:
        InputError: "bad_job"; "too_few_patients": the other centres do not suffice for a fit.
    """
    centers = np.array(cohort.centers, dtype=object)
    if len(names := sorted(set(cohort.centers))) < 2:
        raise InputError(
            "bad_job",
            "fit.nested.leave_one_center_out takes two training centres, and cohort.training_centers names one",
        )
    rows = {name: (np.flatnonzero(centers != name), np.flatnonzero(centers == name)) for name in names}
    tasks = []
    for name, (train, test) in rows.items():
        if len(np.unique(cohort.outcome[train])) < (len(settings.classes) or 2):
            raise InputError(
                "too_few_patients",
                f"fit.nested.leave_one_center_out: without centre {name!r} an outcome has no case to train on; put rare classes "
                "together, or set it to false",
            )
        tasks.append(Task(f"center-{name}", Protocol.SOUND, _rows(train), _rows(test), nomogram=True))
        _require_inner_patients(cohort, train, settings, tasks[-1].name)
    return tasks


def run_tasks_here(cohort: Cohort, settings: FitSettings, tasks: Sequence[Task]) -> Iterator[TaskResult]:
    """Run tasks one after the other in this process: the executor that defines what is right."""
    for task in tasks:
        yield run_task(cohort, settings, task)


def run_task(cohort: Cohort, settings: FitSettings, task: Task) -> TaskResult:
    """Fit on a task's training rows and score its test rows.

    Raises:
        InputError: too few patients for the folds, or no usable column.
    """
    with threadpool_limits(1):
        ledger = Ledger()
        train, test = np.asarray(task.train, np.int64), np.asarray(task.test, np.int64)
        signatures = fit_signatures(cohort, train, task.protocol, settings, SIGNATURES, task.name, ledger)
        scores = signatures.score(cohort, test) if len(test) else {}
        thresholds: dict[Model, float] = {}
        firth, inner, nomogram = False, None, None
        entered: tuple[str, ...] = ()
        if task.nomogram:
            inner = _cross_fitted_dlr(cohort, train, settings, task.name, ledger)
            outcome, clinical = cohort.outcome[train], rows_of(cohort.clinical, train)
            ledger.enter("clinical", train)
            chosen = choose_terms(clinical, outcome, settings.clinical)
            terms, entered = chosen.terms, chosen.entered()
            fit = robust_nomogram(inner, clinical, outcome, terms, firth=settings.firth, classes=settings.classes)
            firth, nomogram = fit.firth, (fit, terms) if task.keep else None
            ledger.enter("nomogram", train)
            scores[Model.DLRN] = nomogram_scores(fit, scores[Model.DLR], rows_of(cohort.clinical, test), terms)
            if not settings.classes:
                own = nomogram_scores(fit, inner, clinical, terms)
                known = ~np.isnan(own)
                ledger.enter("thresholds", train)
                thresholds = {
                    Model.DLR: find_thresholds(outcome, inner)[YOUDEN],
                    Model.DLRN: find_thresholds(outcome[known], own[known])[YOUDEN],
                }
        fitted = signatures.fitted
        return TaskResult(
            task,
            scores,
            {model: signature.selection.names() for model, signature in fitted.items()},
            {model: signature.selection.counts() for model, signature in fitted.items()},
            tuple(ledger.entries),
            (signatures.components.loadings.shape[1], signatures.components.rows),
            thresholds,
            firth,
            entered,
            inner,
            signatures if task.keep else None,
            nomogram,
        )


def nomogram_scores(fit: Fitted, dlr: Floats, clinical: ClinicalColumns, terms: Sequence[ClinicalTerm]) -> Floats:
    """Return the DLRN's probability, (n,), or that of each of several classes, (n, K); NaN where a term is unknown."""
    return fit.predict(nomogram_columns(dlr, design(terms, clinical, len(dlr))))


def fit_nomogram(
    dlr: Floats,
    clinical: ClinicalColumns,
    outcome: Integers,
    terms: Sequence[ClinicalTerm],
    *,
    firth: bool,
    limits: bool = False,
    classes: Sequence[str] = (),
) -> Fitted:
    """Fit the DLRN on the cases whose clinical terms are known.

    Args:
        classes: names of several.
        limits: seek Firth's tests and intervals as well as the coefficients; of several classes they are Wald's.

    Raises:
        InputError: "separation", "collinear_terms" (one follows from the others), or too few known values.
    """
    known = _known_rows(dlr, clinical, outcome, terms, classes)
    if classes:
        return fit_multinomial(*known, firth=firth)
    return fit_logistic(*known, firth=firth, limits=limits)


def robust_nomogram(
    dlr: Floats,
    clinical: ClinicalColumns,
    outcome: Integers,
    terms: Sequence[ClinicalTerm],
    *,
    firth: bool,
    classes: Sequence[str] = (),
) -> Fitted:
    """Fit as `fit_nomogram`, with Firth's correction where the outcomes are parted; the fit says whether it has it.

    Raises:
        InputError: "collinear_terms", or too few known values.
    """
    fit = fit_multinomial_or_correct if classes else fit_or_correct
    return fit(*_known_rows(dlr, clinical, outcome, terms, classes), firth=firth)


def _known_rows(
    dlr: Floats, clinical: ClinicalColumns, outcome: Integers, terms: Sequence[ClinicalTerm], classes: Sequence[str]
) -> tuple[Floats, Integers, tuple[str, ...]]:
    """Return columns, outcomes and the columns' names of the cases whose clinical terms are known.

    Raises:
        InputError: "too_few_patients".
    """
    columns = nomogram_columns(dlr, design(terms, clinical, len(dlr)))
    known = ~np.isnan(columns).any(axis=1)
    names = labels_of(terms)
    if len(np.unique(outcome[known])) < (len(classes) or 2):
        raise InputError(
            "too_few_patients",
            f"{' and '.join(names)} known in {int(known.sum())} training cases, not in "
            f"{'all classes' if classes else 'both outcomes'}",
        )
    return columns[known], outcome[known], (*signature_labels(classes), *names)


def signature_labels(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the nomogram's coefficients of the signature, as R names those of a category."""
    return tuple(f"dlr={name}" for name in classes[1:]) or ("dlr",)


def inner_folds(cohort: Cohort, rows: Integers, settings: FitSettings, name: str) -> list[Split]:
    """Return the folds inside a task's training rows, as places among them.

    Args:
        name: of the task.

    Raises:
        InputError: too few patients for the folds.
    """
    patients = [cohort.patients[row] for row in rows]
    return grouped_folds(cohort.outcome[rows], patients, settings.crossfit_folds, settings.seed_of(name, "crossfit"))


def _cross_fitted_dlr(cohort: Cohort, rows: Integers, settings: FitSettings, name: str, ledger: Ledger) -> Floats:
    """Return out-of-fold DLR scores of some rows: (len(rows),), of several classes (len(rows), K)."""
    scores = unscored(len(rows), settings)
    for fold, (train, test) in enumerate(inner_folds(cohort, rows, settings, name), 1):
        part = f"{name}/crossfit-{fold}"
        inner = Ledger()
        signatures = fit_signatures(cohort, rows[train], Protocol.SOUND, settings, (Model.DLR,), part, inner)
        ledger.entries += [Seen(f"{part}: {entry.step}", entry.rows, _rows(rows[test])) for entry in inner.entries]
        scores[test] = signatures.score(cohort, rows[test])[Model.DLR]
    return scores


def unscored(rows: int, settings: FitSettings) -> Floats:
    """Return scores of rows that nothing has scored yet, NaN throughout: (rows,), of several classes (rows, K)."""
    return np.full((rows, len(settings.classes)) if settings.classes else rows, np.nan)


def _rows(rows: Integers) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)
