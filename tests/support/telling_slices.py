"""Cohorts in which one slice of a hematoma tells the outcome, and what a pool of slices makes of them."""

from dataclasses import replace

import numpy as np

from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.folds import grouped_folds
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.settings import Model, Protocol
from cvtbatch.dlrn.signatures import Ledger, fit_signatures
from cvtbatch.validation.resampling import pairwise_wins
from tests.support.cohorts import CohortPlan, made_cohort, settings

LENGTH, SLICES = 12, 6


def one_slice_tells(seed: int, shift: float) -> Cohort:
    """Return a cohort in which one slice of each hematoma with the event, any of them, is moved; all else is noise."""
    cohort = made_cohort(CohortPlan(effect=0.0, radiomics=4, informative=0, length=LENGTH, slices=SLICES), seed)
    rng = np.random.default_rng([17, seed])
    slices, events = cohort.slices.copy(), np.flatnonzero(cohort.outcome)
    slices[events * SLICES + rng.integers(0, SLICES, len(events)), :3] += shift
    return replace(cohort, slices=slices, embedding=slices[::SLICES])


def held_out_auc(cohort: Cohort, pooling: Pooling) -> float:
    """Return the AUC of DL signatures on folds that they were not fitted on, as the nested estimate has it."""
    if pooling is Pooling.AREA_MEAN:
        means = cohort.slices.reshape(len(cohort.keys), SLICES, -1).mean(axis=1)
        cohort = replace(cohort, embedding=means, slices=means, slice_rows=np.arange(len(means)))
    chosen, scores = settings(f"fit.pooling={pooling}", "fit.components=6"), np.empty(len(cohort.keys))
    for train, test in grouped_folds(cohort.outcome, cohort.patients, 3, 1):
        fitted = fit_signatures(cohort, train, Protocol.SOUND, chosen, (Model.DL,), "fold", Ledger())
        scores[test] = fitted.score(cohort, test)[Model.DL]
    return float(pairwise_wins(cohort.outcome == 1, scores).mean())
