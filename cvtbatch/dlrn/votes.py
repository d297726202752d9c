"""From a forest's votes to a probability: a logistic step on what training's cases were voted when the forest had not seen them.

A forest that was grown on SMOTE's balanced rows votes too high for the rarer outcome by construction: what that moves is, for a
well specified model, the intercept of the log odds alone (King and Zeng, Political Analysis 2001;9:137). So the step is one on log
odds, where intercept 0 and slope 1 leave votes as they are:

    log odds of the probability = intercept + slope x log odds of the softened vote

Log odds of votes of 0 and 1 are infinite. With T trees a vote v enters as (v T + 1/2) / (T + 1), as if one more tree had been
undecided (Smithson and Verkuilen, Psychological Methods 2006;11:54): strictly increasing, 1/2 stays 1/2, and nothing is cut off,
where a clip would make equal what is not. With a slope above 0 the whole step increases strictly: order, AUC and decisions stay.
By maximum likelihood the probabilities of the cases that it was fitted on sum up to their events.
"""

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.description import Term, VoteRecalibration
from cvtbatch.dlrn.kernels import recalibrate
from cvtbatch.dlrn.logistic import fit_logistic
from cvtbatch.errors import InputError

IN_SAMPLE = "the study's protocol knows votes on its own training cases alone"
REASONS = {
    "separation": "out-of-fold votes part the outcomes: no finite terms fit them best",
    "collinear_terms": "out-of-fold votes are all alike",
}


def softened(votes: Floats, trees: int) -> Floats:
    """Return votes (n,) of a forest as they enter the logistic step: above 0 and below 1; NaN for NaN."""
    soft: Floats = (votes * trees + 0.5) / (trees + 1)
    return soft


def to_probability(votes: Floats, trees: int, terms: VoteRecalibration) -> Floats:
    """Return the probabilities that votes (n,) stand for; NaN for NaN, and throughout where votes are not recalibrated."""
    if terms.intercept is None or terms.slope is None:
        return np.full(len(votes), np.nan)
    return recalibrate(softened(votes, trees), float(terms.intercept.value), float(terms.slope.value))


def fit_votes(outcome: Integers, votes: Floats, trees: int) -> VoteRecalibration:
    """Fit the step by maximum likelihood, or say why there is none.

    Args:
        outcome: (n,) 0 or 1, both present.
        votes: (n,) out of fold.
    """
    soft = softened(votes, trees)
    try:
        fit = fit_logistic((np.log(soft) - np.log1p(-soft))[:, None], outcome, ("votes",), firth=False)
    except InputError as error:
        if error.kind not in REASONS:
            raise
        return unchanged(outcome, REASONS[error.kind])
    intercept, slope = (Term(term.coefficient, term.low, term.high) for term in fit.terms)
    if slope.value <= 0:
        return unchanged(
            outcome,
            f"out of fold they rank training cases no better than chance (slope of the outcome's log odds on theirs "
            f"{slope.value:.2g}, not above 0): probabilities would turn the order round",
        )
    return VoteRecalibration(len(outcome), int(outcome.sum()), intercept, slope, "")


def unchanged(outcome: Integers, reason: str) -> VoteRecalibration:
    """Return what a bundle says of votes that are not recalibrated."""
    return VoteRecalibration(len(outcome), int(outcome.sum()), None, None, reason)
