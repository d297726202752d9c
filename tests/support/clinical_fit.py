"""A fit with clinical terms of every kind, and its cohort."""

from dataclasses import replace
from functools import cache

import numpy as np

from cvtbatch.dlrn.clinical_columns import to_texts
from cvtbatch.dlrn.clinical_terms import EPILEPSY, ClinicalColumns
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import Fit, fit_model
from tests.support.cohorts import SMALLEST_JOB, SPECS, CohortPlan, made_cohort, settings, surroundings

CHOICE = (
    "fit.clinical.terms=[age, location]",
    "fit.clinical.candidates=[epilepsy, sex, x_gcs]",
    "fit.clinical.splines=[age]",
    "fit.nested.repeats=1",
    "fit.nested.folds=2",
)


def drawn(cohort: Cohort) -> ClinicalColumns:
    """Draw clinical values: the outcome moves epilepsy and x_gcs, age by a curve, and no other."""
    rng, outcome = np.random.default_rng(4), cohort.outcome
    age = rng.uniform(20, 90, len(outcome)).round()
    age[(outcome == 1) & (rng.uniform(size=len(age)) < 0.4)] = 25.0
    age[5] = np.nan
    location = to_texts(rng.choice(["deep", "lobar", "lobar", "other"], len(outcome)).tolist())
    location[7] = None
    return {
        EPILEPSY: (rng.uniform(size=len(outcome)) < np.where(outcome == 1, 0.6, 0.15)).astype(np.float64),
        "age": age,
        "location": location,
        "sex": to_texts(["F" if place % 2 else "M" for place in range(len(outcome))]),
        "x_gcs": np.clip(np.round(rng.normal(13 - 3 * outcome, 2)), 3, 15),
    }


@cache
def fitted() -> tuple[Cohort, Fit]:
    plain = made_cohort(CohortPlan(effect=0.8, radiomics=10, length=8, slices=2), 1)
    cohort = replace(plain, clinical=drawn(plain))
    return cohort, fit_model(cohort, settings(*SMALLEST_JOB, *CHOICE), SPECS, surroundings(cohort))
