"""How well probabilities of several classes rank cases: areas between every two classes, and their mean, with its interval.

Of classes i and j, A(i|j) is the share of pairs in which the case of class i has the higher probability of i, ties counting half;
A(i, j) is the mean of A(i|j) and A(j|i), and M the mean of A(i, j) over all pairs (Hand and Till, Machine Learning 2001, 45:171).
Of two classes it is the AUC, and no class's frequency moves it. It is scikit-learn's `roc_auc_score(multi_class="ovo")`. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from cvtbatch.validation.resampling import draw_patients, pairwise_wins, weighted_aucs
from cvtbatch.validation.values import Bools, Floats, Integers

# Of a class, for an interval that draws patients.
FEWEST_PATIENTS = 2


@dataclass(frozen=True, slots=True)
class MacroAuc:
    """Areas of several classes, of scores that are each other's repeats the mean over these.

    Attributes:
        value: M.
        low, high: percentiles over resamples of patients; NaN without any.
        pairs: by (i, j) of i < j, A(i, j).
        by_class: of each class against all others, by its own probability.
        accuracy: share of cases whose class has the highest probability; of equal ones the first.
        recall: of each class, the share of its cases whose highest probability is its own.
    """

    value: float
    low: float
    high: float
    pairs: dict[tuple[int, int], float]
    by_class: tuple[float, ...]
    accuracy: float
    recall: tuple[float, ...]


def macro_auc(
    outcome: Integers, scores: Floats, patient: Integers, samples: int, seed: int, confidence: float = 0.95
) -> MacroAuc:
    """Return M with the percentile interval over samples of patients that hold every class, and what it is made of.

    Args:
        outcome: (n,) 0 to K - 1, all present.
        scores: (repeats, n, K).
        patient: (n,) numbered from 0 without a gap; who is drawn with all their cases.
        samples: with 0 there is no interval: NaN.
    """
    classes = scores.shape[2]
    wins = {
        (own, other): _wins(outcome, scores[:, :, own], own, np.isin(outcome, (own, other)))
        for own, other in permutations(range(classes), 2)
    }
    one_sided = {pair: float(own.mean()) for pair, own in wins.items()}
    pairs = {(i, j): (one_sided[i, j] + one_sided[j, i]) / 2 for i, j in one_sided if i < j}
    everybody = np.ones(len(outcome), np.bool_)
    by_class = tuple(float(_wins(outcome, scores[:, :, own], own, everybody).mean()) for own in range(classes))
    low = high = float("nan")
    if samples:
        weights = draw_patients(patient, samples, seed)
        values = resampled_macro_aucs(outcome, scores, weights[has_every(outcome, weights)])
        low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    right = scores.argmax(axis=2) == outcome
    return MacroAuc(
        value=float(np.mean(list(pairs.values()))),
        low=float(low),
        high=float(high),
        pairs=pairs,
        by_class=by_class,
        accuracy=float(right.mean()),
        recall=tuple(float(right[:, outcome == own].mean()) for own in range(classes)),
    )


def resampled_macro_aucs(outcome: Integers, scores: Floats, weights: Floats) -> Floats:
    """Return M of each resample of the cases: (samples,); every one of them holds every class.

    Args:
        outcome, scores: as for `macro_auc`.
        weights: (samples, n) how often each case is drawn.
    """
    pairs = permutations(range(scores.shape[2]), 2)
    wins = {pair: _wins(outcome, scores[:, :, pair[0]], pair[0], np.isin(outcome, pair)) for pair in pairs}
    values: Floats = np.mean([_resampled(outcome, pair, own, weights) for pair, own in wins.items()], axis=0)
    return values


def has_every(outcome: Integers, weights: Floats) -> Bools:
    """Say which resamples (samples, n) have a case of every class: (samples,)."""
    whole: Bools = np.logical_and.reduce([weights[:, outcome == own].any(axis=1) for own in np.unique(outcome)])
    return whole


def single_patients(outcome: Integers, patient: Integers, classes: Sequence[str]) -> str | None:
    """Say which classes have cases of one patient alone: every resample that holds the class holds the same ones.

    Args:
        outcome: (n,) 0 to K - 1, all present.
    """
    people = [len(np.unique(patient[outcome == number])) for number in range(len(classes))]
    alone = [name for name, count in zip(classes, people, strict=True) if count < FEWEST_PATIENTS]
    if not alone:
        return None
    return f"an interval needs cases of {FEWEST_PATIENTS} patients of each class, and {' and '.join(alone)} has those of one"


def _wins(outcome: Integers, scores: Floats, own: int, among: Bools) -> Floats:
    """Return the mean over repeats (repeats, n) of what each case of a class wins against each other of some cases: (P, N)."""
    found: Floats = np.mean([pairwise_wins(outcome[among] == own, row[among]) for row in scores], axis=0)
    return found


def _resampled(outcome: Integers, pair: tuple[int, int], wins: Floats, weights: Floats) -> Floats:
    """Return A(i|j) of each resample (samples, n) that holds both."""
    among = np.isin(outcome, pair)
    return weighted_aucs(outcome[among] == pair[0], wins, weights[:, among])
