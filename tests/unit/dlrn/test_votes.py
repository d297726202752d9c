"""Votes and their probabilities: the step is a plain logistic fit, and order, AUC and decisions stay."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.description import Term, VoteRecalibration
from cvtbatch.dlrn.scoring import score_batch
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.soundness import model_problems
from cvtbatch.dlrn.thresholds import THRESHOLDS
from cvtbatch.dlrn.votes import fit_votes, softened, to_probability
from cvtbatch.validation.calibration import calibrate
from cvtbatch.validation.values import Estimate, Scored
from tests.support.cohorts import SPECS, as_table, small_fit, write
from tests.support.paths import ROOT

TREES = 25


def drawn(seed: int, cases: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Draw outcomes and votes of a forest that has never seen the prevalence, some of them 0 and 1."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.3, 1.6, cases)
    outcome = (rng.uniform(size=cases) < expit(odds)).astype(np.int64)
    return outcome, np.round(expit(0.7 * odds + 1.1) * TREES * 4) / (TREES * 4)


def values(terms: VoteRecalibration) -> tuple[float, float]:
    assert terms.intercept is not None
    assert terms.slope is not None
    return terms.intercept.value, terms.slope.value


def test_terms_are_those_of_statsmodels_and_of_scikit_learn() -> None:
    outcome, votes = drawn(1)
    votes[:3], votes[3:6] = 0.0, 1.0
    own = fit_votes(outcome, votes, TREES)
    odds = logit((votes * TREES + 0.5) / (TREES + 1))
    plain = sm.GLM(outcome, sm.add_constant(odds), family=sm.families.Binomial()).fit(tol=1e-13)
    assert values(own) == pytest.approx(tuple(plain.params), rel=1e-8)
    for term, (low, high) in zip((own.intercept, own.slope), plain.conf_int(), strict=True):
        assert term is not None
        assert (term.low, term.high) == pytest.approx((low, high), rel=1e-6)
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds[:, None], outcome)
    assert values(own) == pytest.approx((other.intercept_[0], other.coef_[0, 0]), rel=1e-5)
    assert to_probability(votes, TREES, own) == pytest.approx(other.predict_proba(odds[:, None])[:, 1], rel=1e-5)
    assert (own.cases, own.events, own.reason) == (200, int(outcome.sum()), "")


def test_expected_events_are_those_observed() -> None:
    for seed in range(5):
        outcome, votes = drawn(seed)
        found = to_probability(votes, TREES, fit_votes(outcome, votes, TREES))
        assert found.sum() == pytest.approx(outcome.sum(), rel=1e-10)
        assert abs(votes.sum() / outcome.sum() - 1) > 0.2


def test_others_of_the_same_prevalence_are_calibrated_and_their_votes_are_not() -> None:
    outcome, votes = drawn(10, 4000)
    terms = fit_votes(outcome, votes, TREES)
    others, unseen = drawn(11, 4000)
    found = calibrate(Scored(others == 1, to_probability(unseen, TREES, terms)))
    before = calibrate(Scored(others == 1, unseen))
    for value, ideal, slack in (
        (found.terms.intercept, 0.0, 0.1),
        (found.terms.slope, 1.0, 0.1),
        (found.observed_over_expected, 1.0, 0.06),
    ):
        assert isinstance(value, Estimate)
        assert value.value == pytest.approx(ideal, abs=slack)
    assert isinstance(before.observed_over_expected, Estimate)
    assert before.observed_over_expected.value < 0.7


@given(
    st.lists(st.integers(0, TREES * 12), min_size=2, max_size=60, unique=True),
    st.floats(-4, 4),
    st.floats(0.05, 4),
    st.integers(0, 2**32 - 1),
)
def test_order_and_auc_stay(counts: list[int], intercept: float, slope: float, seed: int) -> None:
    votes = np.array(sorted(counts)) / (TREES * 12)
    terms = VoteRecalibration(0, 0, Term(intercept, 0, 0), Term(slope, 0, 0), "")
    found = to_probability(votes, TREES, terms)
    assert (np.diff(found) > 0).all()
    assert ((found > 0) & (found < 1)).all()
    outcome = np.random.default_rng(seed).permutation(np.arange(len(votes)) % 2)
    assert roc_auc_score(outcome, found) == roc_auc_score(outcome, votes)


def test_votes_are_softened_as_by_one_more_tree_that_is_undecided() -> None:
    votes = np.array([0.0, 0.04, 0.48, 1.0, np.nan])
    trees = [np.r_[np.ones(round(vote * TREES)), np.zeros(TREES - round(vote * TREES)), 0.5] for vote in votes[:4]]
    assert softened(votes, TREES)[:4] == pytest.approx([own.mean() for own in trees])
    assert np.isnan(softened(votes, TREES)[4])


@pytest.mark.parametrize(
    ("outcome", "votes", "reason"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7], "part the outcomes"),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3], "all alike"),
        ([1, 1, 0, 1, 0, 0], [0.1, 0.2, 0.3, 0.4, 0.6, 0.7], "would turn the order round"),
    ],
)
def test_votes_that_cannot_be_recalibrated_are_left_with_the_reason(
    outcome: list[int], votes: list[float], reason: str
) -> None:
    found = fit_votes(np.array(outcome), np.array(votes), TREES)
    assert (found.intercept, found.slope) == (None, None)
    assert reason in found.reason
    assert np.isnan(to_probability(np.array(votes), TREES, found)).all()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("votes") / "bundle"
    write(out, small_fit()[1])
    return load_bundle(out)


def test_a_bundle_gives_probabilities_beside_votes_and_decides_as_before(bundle: Bundle) -> None:
    cohort = small_fit()[0]
    assert bundle.model.recalibrated == SIGNATURES
    table = as_table(cohort)
    scored, bare = bundle.score(table), score_batch(replace(bundle.model, votes={}), SPECS, table, explain=False)
    for name in (*map(str, Model), *(f"{model}_{threshold}" for model in Model for threshold in THRESHOLDS)):
        assert scored[name].equals(bare[name]), name
    for name in SIGNATURES:
        intercept, slope = values(bundle.model.votes[name])
        expected = expit(intercept + slope * logit((scored[name].to_numpy() * TREES + 0.5) / (TREES + 1)))
        assert scored[f"{name}_probability"].to_numpy() == pytest.approx(expected, rel=1e-12)
        assert bare[f"{name}_probability"].null_count == len(cohort.keys)
        kept = bundle.out_of_fold[name]
        found = to_probability(np.concatenate([kept.events, kept.others]), TREES, bundle.model.votes[name])
        assert found.sum() == pytest.approx(cohort.outcome.sum(), rel=1e-10)


def test_bundles_of_earlier_formats_have_votes_alone() -> None:
    for name in ("bundle-1", "bundle-2", "bundle-2-recalibrated"):
        bundle = load_bundle(ROOT / "tests" / "compat" / name)
        assert (bundle.model.recalibrated, dict(bundle.description.votes)) == ((), {})


def test_terms_that_would_turn_the_order_or_are_half_there_are_no_model(bundle: Bundle) -> None:
    model = bundle.model
    own = model.votes[Model.DL]
    for broken in (
        replace(own, slope=Term(-1.0, -2.0, 0.0)),
        replace(own, slope=None),
        replace(own, reason="it has one"),
        replace(own, intercept=None, slope=None),
    ):
        problems = model_problems(replace(model, votes={**model.votes, Model.DL: broken}))
        assert [problem.split(" ")[0] for problem in problems] == ["votes.dl"]
    assert model_problems(model) == []
