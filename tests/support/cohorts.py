"""Cohorts of made-up features with a known effect, for fits that take seconds.

A latent trait, a standard normal that CVT shifts by `effect`, moves `informative` of the radiomics columns and `informative`
directions of the embedding; all else is noise. Columns come in correlated pairs, so that the correlation filter has work. Epilepsy
is drawn with the given probabilities, so that it informs or not. Slices of a case scatter around its own embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvtbatch.dlrn.audit import Member
from cvtbatch.dlrn.bundle import EXPECTED, write_bundle
from cvtbatch.dlrn.clinical_terms import EPILEPSY, unknown
from cvtbatch.dlrn.cohort import Cohort, patient_key
from cvtbatch.dlrn.cohort_summary import summarise_cohort
from cvtbatch.dlrn.fit import Fit, Surroundings, fit_model
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.scoring import SpecIds, golden_scores, score_batch
from cvtbatch.dlrn.settings import FitSettings
from cvtbatch.documents import to_document
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.validation.baseline import Value
from cvtbatch.validation.cohort_baseline import CLINICAL

SPECS = SpecIds("rad-000000000001", "emb-000000000001")
SMALL_JOB = (
    "fit.components=16",
    "fit.crossfit_folds=3",
    "fit.selection.lasso_folds=3",
    "fit.selection.lasso_alphas=20",
    "fit.selection.lasso_eps=0.01",
    "fit.forest.trees=25",
    "fit.forest.grid_trees=10",
    "fit.forest.folds=3",
    "fit.forest.max_depth=[3]",
    "fit.forest.min_samples_leaf=[3]",
    "fit.nested.folds=3",
    "fit.nested.repeats=1",
    "fit.nested.bootstrap=200",
)
# Where only that it was fitted matters.
SMALLEST_JOB = (
    *SMALL_JOB,
    "fit.components=8",
    "fit.crossfit_folds=2",
    "fit.forest.trees=10",
    "fit.nested.repeats=0",
    "fit.selection.mann_whitney_p=0.01",
)


@dataclass(frozen=True, slots=True)
class CohortPlan:
    """How a cohort is made; two plans that differ in seed and center are two samples of one population."""

    cases: int = 90
    positives: int = 30
    radiomics: int = 40
    length: int = 32
    informative: int = 4
    effect: float = 1.2
    epilepsy: tuple[float, float] = (0.15, 0.15)
    center: str = "C1"
    cases_per_patient: int = 1
    slices: int = 4


def made_cohort(plan: CohortPlan, seed: int) -> Cohort:
    """Draw a cohort; the population's directions do not depend on the seed."""
    population, rng = np.random.default_rng(20), np.random.default_rng([21, seed])
    outcome = rng.permutation(np.repeat([1, 0], [plan.positives, plan.cases - plan.positives])).astype(np.int64)
    patients = np.arange(plan.cases) // plan.cases_per_patient
    outcome = outcome[patients * plan.cases_per_patient]
    traits = rng.standard_normal((plan.cases, 2)) + plan.effect * outcome[:, None]
    radiomics = rng.standard_normal((plan.cases, plan.radiomics))
    radiomics[:, : plan.informative] += traits[:, :1]
    radiomics[:, 1::2] = radiomics[:, ::2] + 0.2 * radiomics[:, 1::2]
    radiomics = radiomics * population.lognormal(0, 3, plan.radiomics) + population.normal(0, 50, plan.radiomics)
    directions = population.standard_normal((plan.informative, plan.length))
    own = rng.standard_normal((plan.cases, plan.informative)) + traits[:, 1:]
    embedding = 3 + own @ directions + 0.3 * rng.standard_normal((plan.cases, plan.length))
    rows = np.repeat(np.arange(plan.cases), plan.slices)
    slices = embedding[rows] + 0.5 * rng.standard_normal((len(rows), plan.length))
    slices[:: plan.slices] = embedding
    share = np.where(outcome == 1, plan.epilepsy[1], plan.epilepsy[0])
    return Cohort(
        keys=tuple(f"{plan.center}/{number:04d}/hematoma/A/1" for number in range(plan.cases)),
        patients=tuple(patient_key(plan.center, f"P{patient:04d}") for patient in patients),
        outcome=outcome,
        clinical={EPILEPSY: (rng.uniform(size=plan.cases) < share).astype(np.float64)},
        radiomics_names=tuple(f"feature_{number:03d}" for number in range(plan.radiomics)),
        radiomics=radiomics,
        embedding=slices[:: plan.slices].astype(np.float32),
        slices=slices.astype(np.float32),
        slice_rows=rows,
        image_digests=tuple(f"{plan.center}-{seed}-{number}" for number in range(plan.cases)),
    )


def of_two_centers(cohort: Cohort, second: np.ndarray, seed: int) -> Cohort:
    """Return a cohort some of whose rows are of C2, whose scanner shifts and stretches every radiomics column."""
    rng = np.random.default_rng([8, seed])
    spread, count = cohort.radiomics.std(axis=0), cohort.radiomics.shape[1]
    shift, stretch = rng.normal(0, 1.5, count) * spread, rng.lognormal(0.3, 0.4, count)
    radiomics = np.where(second[:, None], cohort.radiomics * stretch + shift, cohort.radiomics)
    centers = np.where(second, "C2", "C1").tolist()
    return replace(
        cohort,
        keys=tuple(f"{center}{key[2:]}" for center, key in zip(centers, cohort.keys, strict=True)),
        patients=tuple(patient_key(center, f"P{row:04d}") for row, center in enumerate(centers)),
        radiomics=radiomics,
    )


@cache
def small_fit() -> tuple[Cohort, Fit]:
    """Return a cohort whose epilepsy informs, unknown in some cases, and its fit by the small job; made once a process."""
    drawn = made_cohort(CohortPlan(epilepsy=(0.1, 0.5)), 1)
    epilepsy = np.array(drawn.clinical[EPILEPSY], np.float64)
    epilepsy[::15] = np.nan
    cohort = replace(drawn, clinical={EPILEPSY: epilepsy})
    return cohort, fit_model(cohort, settings("fit.forest.min_samples_leaf=[2, 6]"), SPECS, surroundings(cohort))


# What the command adds to a fit's own document.
ORIGIN = {
    "intended_use": "tests",
    "specs": {
        "volume_spec_id": "vol-000000000001",
        "radiomics_spec_id": SPECS.radiomics_spec_id,
        "embedding_spec_id": SPECS.embedding_spec_id,
    },
    "weights": {"name": "random:0", "sha256": "", "not_for_inference": True},
    "snapshot": {"name": "made", "digest": "0" * 64},
    "cohort": {
        "digest": "0" * 64,
        "training_centers": ["C1"],
        "cases": 90,
        "patients": 90,
        "positive": 30,
        "excluded": {},
        "image_digests": [],
    },
    "outlines": {"reader": "A", "reading": 1, "method": None, "outline_spec_id": None},
    "job": {},
}


TERM = {"value": 0.5, "low": 0.1, "high": 0.9}
# What the command says of a recalibration.
RECALIBRATION = {
    "method": "intercept-slope",
    "intercept": TERM,
    "slope": TERM,
    "thresholds": "mapped",
    "center": "C2",
    "snapshot": {"name": "made", "digest": "0" * 64},
    "cohort_digest": "0" * 64,
    "cases": 60,
    "patients": 60,
    "events": 24,
    "image_digests": [],
    "software": {},
}


def write(out: Path, fit: Fit, cohort: Cohort | None = None) -> str:
    """Write a fit as a bundle, with a summary of its cohort if that is given, and return its digest."""
    document, moments = {**ORIGIN, **fit.document}, None
    if cohort is not None:
        summary, moments = summarise_cohort(cohort, fit.model, made_columns(cohort), CLINICAL)
        document["cohort_summary"] = to_document(summary)
    return write_bundle(out, document, fit.model, fit.golden, fit.selection, fit.out_of_fold, moments)


def made_columns(cohort: Cohort) -> dict[str, list[Value]]:
    """Draw clinical values of a cohort's cases, and how they were scanned; one scanner in ten is rare."""
    rng, cases = np.random.default_rng(6), len(cohort.keys)
    return {
        "age": [float(value) for value in rng.normal(57, 12, cases).round()],
        "sex": [str(value) for value in rng.choice(["F", "M"], cases)],
        "epilepsy": [None if np.isnan(value) else int(value) for value in cohort.clinical[EPILEPSY]],
        "volume_ml": [float(value) for value in np.exp(rng.normal(3, 0.7, cases)).round(1)],
        "scanner": [f"Rare {place // 10}" if place % 10 == 0 else "Philips Brilliance" for place in range(cases)],
        "noise (HU)": [
            None if place % 20 == 7 else float(value) for place, value in enumerate(rng.normal(4, 1, cases))
        ],
    }


def golden_of(model: FrozenModel, rows: pa.Table) -> pa.Table:
    """Return rows with the scores that a model gives them, as a bundle keeps them."""
    scored = score_batch(model, SPECS, rows, explain=False)
    for name in golden_scores(model):
        rows = rows.append_column(EXPECTED + name, scored[name])
    return rows


def members(cohort: Cohort) -> tuple[Member, ...]:
    """Return who the cohort's rows are."""
    people = [patient.split("\n") for patient in cohort.patients]
    digests = cohort.image_digests or ("",) * len(people)
    return tuple(Member(key, *person, digest) for key, person, digest in zip(cohort.keys, people, digests, strict=True))


def surroundings(cohort: Cohort) -> Surroundings:
    """Return what the audit of a fit needs when there is nothing beside the cohort."""
    return Surroundings(members(cohort))


def settings(*overrides: str, small: bool = True) -> FitSettings:
    """Return the settings of jobs/fit.yaml, by default cut down to seconds, with overrides KEY=VALUE."""
    return read_job("fit", None, [*(SMALL_JOB if small else ()), *overrides]).fit


def as_table(cohort: Cohort, extra: Mapping[str, Sequence[object]] | None = None) -> pa.Table:
    """Return a cohort's rows as `FeatureStore.wide()` has them, as far as a bundle looks."""
    columns: dict[str, object] = {"roi_key": list(cohort.keys), **(extra or {})}
    columns |= {name: cohort.radiomics[:, place] for place, name in enumerate(cohort.radiomics_names)}
    columns["embedding"] = pa.array(list(cohort.embedding), pa.list_(pa.float32()))
    for name, values in cohort.clinical.items():
        known = [None if absent else value for value, absent in zip(values, unknown(values), strict=True)]
        columns[name] = pa.array(known, pa.int64()) if name == EPILEPSY else pa.array(known)
    return pa.table(columns)
