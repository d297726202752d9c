"""Resamples of patients, each drawn with all their cases, and areas under ROC curves in them. Pure."""

import numpy as np

from cvtbatch.validation.values import Bools, Floats, Integers


def pairwise_wins(outcome: Bools, score: Floats) -> Floats:
    """Say of each pair of a case with the event and one without whether the first scores higher: 1, 0.5 at a tie, 0; (P, N).

    Their mean is the area under the ROC curve, and their mean weighted by draws of cases that of a resample.
    """
    positive, negative = score[outcome][:, None], score[~outcome][None, :]
    wins: Floats = (positive > negative) + 0.5 * (positive == negative)
    return wins


def draw_patients(patient: Integers, samples: int, seed: int) -> Floats:
    """Return how often each case is drawn in each resample of the patients: (samples, n).

    Args:
        patient: (n,) numbered from 0 without a gap.
    """
    number = int(patient.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=samples)
    weights: Floats = drawn[:, patient].astype(np.float64)
    return weights


def has_both(outcome: Bools, weights: Floats) -> Bools:
    """Say which resamples (samples, n) have a case with the event and one without: (samples,)."""
    return np.logical_and(weights[:, outcome].any(axis=1), weights[:, ~outcome].any(axis=1))


def weighted_aucs(outcome: Bools, wins: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve of each resample: (samples,); every one of them has both outcomes.

    Args:
        wins: (P, N) as `pairwise_wins` gives them, or their mean over several scores of the same cases.
        weights: (samples, n).
    """
    positive, negative = weights[:, outcome], weights[:, ~outcome]
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    values: Floats = np.einsum("bi,ij,bj->b", positive, wins, negative, optimize=True) / pairs
    return values
