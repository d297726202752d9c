"""Recalibrated bundles: their parent's in everything but the probabilities of the DLRN, and those as the terms say."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import GOLDEN, Bundle
from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.thresholds import THRESHOLDS
from cvtbatch.errors import InputError
from cvtbatch.validation import calibration
from cvtbatch.validation.recalibration import Recalibration, recalibrations
from cvtbatch.validation.values import Estimate, Interval, NotComputable, Scored
from tests.support.cohorts import RECALIBRATION
from tests.support.paths import ROOT

FUNCTION = Function(-0.7, 0.45)


PARENT = ROOT / "tests" / "compat" / "bundle-2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recalibrated") / "child"
    digest = recalibrate_bundle(PARENT, out, FUNCTION, RECALIBRATION)
    assert load_bundle(out).digest == digest != load_bundle(PARENT).digest
    return out


@pytest.fixture(scope="module")
def child(folder: Path) -> Bundle:
    return load_bundle(folder)


def test_the_terms_are_those_of_a_plain_logistic_regression() -> None:
    rng = np.random.default_rng(5)
    odds = rng.normal(-0.4, 1.1, 160)
    outcome = rng.uniform(size=160) < expit(0.6 + 0.7 * odds)
    scored = Scored(outcome, expit(odds))
    offered = recalibrations(calibration.terms(scored), scored)

    def agrees(found: Estimate, expected: np.ndarray, row: int) -> None:
        assert isinstance(found.interval, Interval)
        own = [found.value, found.interval.low, found.interval.high]
        assert own == pytest.approx([expected[0][row], *expected[1][row]], rel=1e-6, abs=1e-8)

    alone, both = offered["intercept"], offered["intercept-slope"]
    assert isinstance(alone, Recalibration)
    assert isinstance(both, Recalibration)
    plain = sm.Logit(outcome.astype(float), np.ones((160, 1)), offset=odds).fit(disp=0, tol=1e-12)
    assert alone.slope is None
    agrees(alone.intercept, (plain.params, plain.conf_int()), 0)
    plain = sm.Logit(outcome.astype(float), sm.add_constant(odds)).fit(disp=0, tol=1e-12)
    assert both.slope is not None
    agrees(both.intercept, (plain.params, plain.conf_int()), 0)
    agrees(both.slope, (plain.params, plain.conf_int()), 1)


def test_only_the_probability_of_the_dlrn_moves(child: Bundle) -> None:
    table = pq.read_table(PARENT / GOLDEN)
    before, after = load_bundle(PARENT).score(table), child.score(table)
    kept = [name for name in before.column_names if name not in {"dlrn", "bundle_digest"}]
    assert after.select(kept).equals(before.select(kept))
    assert {"dlrn_youden", "dlrn_sens90", "dlrn_sens95", "points_total"} <= set(kept)
    assert set(after["bundle_digest"].to_pylist()) == {child.digest}
    old, new = (scored["dlrn"].to_numpy() for scored in (before, after))
    np.testing.assert_allclose(new, expit(-0.7 + 0.45 * logit(old)), rtol=0, atol=1e-13)
    assert np.isnan(new).any()
    # What a reader of the nomogram finds.
    nomogram = child.document["nomogram"]
    points = after["points_total"].to_numpy()
    np.testing.assert_allclose(new, expit(nomogram["intercept"] + nomogram["per_point"] * points), rtol=0, atol=1e-12)


def test_a_score_at_a_threshold_stays_positive(child: Bundle) -> None:
    old = load_bundle(PARENT).document["thresholds"]["dlrn"]
    for name in THRESHOLDS:
        assert FUNCTION.apply(np.array([old[name]])).tolist() == [child.document["thresholds"]["dlrn"][name]]
    assert child.document["thresholds"]["dlr"] == load_bundle(PARENT).document["thresholds"]["dlr"]
    # Increasing in floating point too, where scores are as close as a forest's and a logistic function's can be.
    close = np.linspace(0.2, 0.8, 100_001)
    assert (np.diff(FUNCTION.apply(close)) > 0).all()


def test_it_says_what_it_is_and_keeps_what_its_parent_knew(child: Bundle) -> None:
    first = load_bundle(PARENT)
    assert child.document["recalibration"] == {"parent_digest": first.digest, **RECALIBRATION}
    assert "recalibration" not in first.document
    for name in ("cohort", "metrics", "dlrn", "signatures", "specs"):
        assert child.document[name] == first.document[name]
    for model in Model:
        seen, own = first.out_of_fold[model], child.out_of_fold[model]
        moved = FUNCTION.apply if model is Model.DLRN else np.asarray
        assert moved(seen.events).tolist() == own.events.tolist() == sorted(own.events.tolist())
        assert moved(seen.others).tolist() == own.others.tolist()


def test_the_same_terms_give_the_same_digest_and_a_tar_is_as_good(child: Bundle, tmp_path: Path) -> None:
    packed = tmp_path / "child.tar"
    assert recalibrate_bundle(PARENT, packed, FUNCTION, RECALIBRATION) == child.digest
    assert load_bundle(packed).digest == child.digest


def test_a_recalibrated_bundle_is_not_recalibrated_again(folder: Path, child: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="itself recalibrated, on centre 'C2'") as caught:
        recalibrate_bundle(folder, tmp_path / "again", FUNCTION, RECALIBRATION)
    assert caught.value.kind == "recalibrated_already"
    assert str(child.document["recalibration"]["parent_digest"])[:12] in caught.value.message


@pytest.mark.parametrize("terms", [(0.0, 0.0), (0.0, -1.0), (np.nan, 1.0), (0.0, np.inf)])
def test_terms_that_turn_or_are_no_numbers_are_refused(terms: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="slope above 0"):
        Function(*terms)


def test_probabilities_at_the_ends_stay_there() -> None:
    assert FUNCTION.apply(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_its_golden_rows_are_its_parents_with_other_probabilities(folder: Path, child: Bundle) -> None:
    old, new = (pq.read_table(path / GOLDEN) for path in (PARENT, folder))
    assert old.drop_columns(["expected_dlrn"]).equals(new.drop_columns(["expected_dlrn"]))
    assert old["expected_dlrn"].to_pylist() != new["expected_dlrn"].to_pylist()
    assert (load_bundle(PARENT).document["format_version"], child.document["format_version"]) == (2, 3)
    assert child.model.recalibrated == ()


def test_nothing_but_numbers_is_offered_where_terms_are_missing() -> None:
    few = Scored(np.array([True, False]), np.array([0.2, 0.3]))
    assert all(isinstance(found, NotComputable) for found in recalibrations(calibration.terms(few), few).values())
