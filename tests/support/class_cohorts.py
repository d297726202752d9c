"""Cohorts of three classes, made of the cohorts of two, and their fit in the smallest job that has a nested estimate."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from cvtbatch.dlrn.bundle import write_bundle
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import Fit, fit_model
from tests.support.cohorts import ORIGIN, SMALLEST_JOB, SPECS, CohortPlan, made_cohort, settings, surroundings

CLASSES = ("HP", "CVT", "CAA")
JOB = (
    *SMALLEST_JOB,
    "fit.outcome=etiology",
    "fit.classes=[HP, CVT, CAA]",
    "fit.nested.repeats=1",
    "fit.nested.folds=2",
    "fit.nested.bootstrap=100",
    "fit.selection.mann_whitney_p=0.05",
)


def class_cohort(seed: int, effect: float) -> Cohort:
    """Draw 36 cases of class 0, 30 of 1, which moves columns as the event of two classes, and 24 of 2, which moves others."""
    plan = CohortPlan(cases=90, positives=30, radiomics=16, length=8, informative=4, effect=effect)
    cohort = made_cohort(plan, seed)
    outcome = cohort.outcome.copy()
    outcome[np.flatnonzero(outcome == 0)[:24]] = 2
    radiomics = cohort.radiomics.copy()
    radiomics[:, 10:14] += effect * radiomics[:, 10:14].std(axis=0) * (outcome == 2)[:, None]
    return replace(cohort, outcome=outcome, radiomics=radiomics)


@cache
def class_fit() -> tuple[Cohort, Fit]:
    """Return a cohort whose classes differ, and its fit; made once a process."""
    cohort = class_cohort(2, 2.0)
    return cohort, fit_model(cohort, settings(*JOB), SPECS, surroundings(cohort))


def write_classes(folder: Path, fit: Fit) -> Path:
    """Write a fit of the classes as the command does, and return the folder."""
    outcome = {"column": "etiology", "classes": list(CLASSES), "by_class": dict(fit.by_class)}
    document = {**ORIGIN, "outcome": outcome, **fit.document}
    write_bundle(folder, document, fit.model, fit.golden, fit.selection, fit.out_of_fold)
    return folder
