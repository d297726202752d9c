"""Youden's point and fixed sensitivities against a search over fractions; AUCs against all pairs and scikit-learn."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearns_matrix
from sklearn.metrics import roc_auc_score

from cvtbatch.dlrn.estimates import bootstrap_auc
from cvtbatch.dlrn.thresholds import FIXED_SENSITIVITIES, find_thresholds
from cvtbatch.validation.decisions import Decisions, decide_at_best
from cvtbatch.validation.operating_points import ConfusionMatrix, confusion_matrix
from cvtbatch.validation.roc import area, auc
from cvtbatch.validation.values import Estimate, Scored

Levels = Sequence[tuple[int, int]]
"""Events and others by score, the lowest first."""
COUNTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12)


def cases(levels: Levels) -> Scored:
    """Make the cases, in an order that no score follows."""
    rows = [(event, (k + 1) / 7) for k, pair in enumerate(levels) for event in (0, 1) for _ in range(pair[1 - event])]
    rows = rows[::2] + rows[1::2]
    return Scored(np.array([event == 1 for event, _ in rows]), np.array([score for _, score in rows]))


def searched(scored: Scored) -> dict[str, float]:
    """Find thresholds as the docstrings say, in fractions; of equals the highest."""
    rows = list(zip(scored.outcome.tolist(), scored.score.tolist(), strict=True))
    events, others = scored.events, scored.n - scored.events

    def shares(threshold: float) -> tuple[Fraction, Fraction]:
        above = [event for event, score in rows if score >= threshold]
        return Fraction(sum(above), events), Fraction(len(above) - sum(above), others)

    by_threshold = {score: shares(score) for _, score in rows}
    found = {"youden": max(by_threshold, key=lambda t: (by_threshold[t][0] - by_threshold[t][1], t))}
    for name, wanted in FIXED_SENSITIVITIES.items():
        reached = Fraction(str(wanted))
        found[name] = max(t for t, (sensitivity, _) in by_threshold.items() if sensitivity >= reached)
    return found


def agree(levels: Levels) -> None:
    """Hold what a bundle freezes and what a report calls a centre's own best point to the search."""
    scored = cases(levels)
    expected = searched(scored)
    assert find_thresholds(scored.outcome.astype(np.int64), scored.score) == expected
    best = decide_at_best(scored)
    assert isinstance(best, Decisions)
    assert best.threshold == expected["youden"]


def both(levels: Levels) -> bool:
    return all(sum(side) for side in zip(*levels, strict=True))


def test_thresholds_of_every_small_cohort() -> None:
    found = [levels for levels in product(product(range(4), repeat=2), repeat=3) if both(levels)]
    assert len(found) == 3969
    for levels in found:
        agree(levels)


@settings(deadline=None)
@given(COUNTS.filter(both))
def test_thresholds_of_any_cohort(levels: Levels) -> None:
    agree(levels)


def test_equal_sums_that_floats_tell_apart() -> None:
    """1 - 1/3 and 2/3 - 0 are equal: the higher threshold, though the lower one's floats have the larger difference."""
    levels = [(0, 2), (1, 1), (2, 0)]
    assert 1 - 1 / 3 > 2 / 3
    assert searched(cases(levels))["youden"] == 3 / 7
    agree(levels)


@settings(deadline=None)
@given(COUNTS.filter(both))
def test_one_area_for_fit_and_report(levels: Levels) -> None:
    scored = cases(levels)
    outcome = scored.outcome.astype(np.int64)
    pairs = [
        (event > other) + Fraction(event == other, 2)
        for event in scored.score[scored.outcome].tolist()
        for other in scored.score[~scored.outcome].tolist()
    ]
    value = area(scored)
    assert value == pytest.approx(float(sum(pairs) / len(pairs)), rel=1e-14, abs=1e-15)
    assert value == pytest.approx(roc_auc_score(outcome, scored.score), rel=1e-12, abs=1e-15)
    fitted, _, _ = bootstrap_auc(outcome, scored.score[None], ["one"] * scored.n, 0, 1)
    assert fitted == pytest.approx(value, rel=1e-14, abs=1e-15)
    reported = auc(scored)
    assert isinstance(reported, Estimate)
    assert reported.value == value


@settings(deadline=None)
@given(COUNTS.filter(both), st.integers(0, 13))
def test_counts_are_scikit_learns(levels: Levels, place: int) -> None:
    scored, threshold = cases(levels), place / 7
    found = confusion_matrix(scored, threshold)
    (tn, fp), (fn, tp) = sklearns_matrix(scored.outcome, scored.score >= threshold).tolist()
    assert found == ConfusionMatrix(tp, fp, fn, tn)
    assert (found.sensitivity, found.specificity) == (tp / (tp + fn), tn / (tn + fp))
    assert found.accuracy == (scored.outcome == (scored.score >= threshold)).mean()
    halves = (confusion_matrix(scored.where(part), threshold) for part in (scored.score < 1, scored.score >= 1))
    assert sum(halves, ConfusionMatrix(0, 0, 0, 0)) == found
