"""Several classes: each step against the plain call that it generalises, and a fit from its cohort to its scores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.linear_model import Lasso, MultiTaskLasso, MultiTaskLassoCV
from sklearn.metrics import roc_auc_score

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.cohort import patient_key
from cvtbatch.dlrn.estimates import class_estimate, scores_by_repeat
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.folds import grouped_folds
from cvtbatch.dlrn.lasso import fit_lasso
from cvtbatch.dlrn.oversampling import oversample
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.soundness import model_problems
from cvtbatch.dlrn.tasks import plan_nested_tasks, plan_tasks, run_tasks_here
from cvtbatch.dlrn.univariate import kruskal_p
from cvtbatch.errors import FormatError, InputError
from tests.support.class_cohorts import CLASSES, JOB, class_cohort, class_fit, write_classes
from tests.support.cohorts import SPECS, as_table, settings, surroundings

OUTCOME = np.repeat([0, 1, 2], [40, 25, 15])


def columns(count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(OUTCOME), count)) + np.outer(OUTCOME == 1, np.arange(count) < 4)


def test_kruskal_wallis_is_scipys_column_by_column_with_ties_and_without() -> None:
    values = columns()
    values[:, :6] = np.round(values[:, :6])
    values[:, 5] = OUTCOME == 2
    plain = [stats.kruskal(*(column[label == OUTCOME] for label in range(3))).pvalue for column in values.T]
    np.testing.assert_allclose(kruskal_p(values, OUTCOME), plain, rtol=1e-10)


def test_without_smote_the_lasso_is_scikit_learns_of_several_columns() -> None:
    values = np.asfortranarray(columns())
    splits = grouped_folds(OUTCOME, [str(row) for row in range(len(OUTCOME))], 4, 3)
    own = fit_lasso(values, OUTCOME, splits, alphas=20, eps=0.01, smote=None)
    plain = MultiTaskLassoCV(alphas=20, eps=0.01, cv=splits, max_iter=10_000).fit(values, np.eye(3)[OUTCOME])
    assert own.alpha == pytest.approx(plain.alpha_)
    np.testing.assert_allclose(own.errors, plain.mse_path_.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(own.coefficients, np.linalg.norm(plain.coef_, axis=0), atol=1e-6)


def test_of_two_classes_that_is_the_lasso_on_0_and_1_its_penalty_times_the_root_of_2() -> None:
    values, outcome = columns(), (OUTCOME == 1).astype(np.int64)
    both = MultiTaskLasso(alpha=0.05 * np.sqrt(2), tol=1e-10).fit(values, np.eye(2)[outcome])
    one = Lasso(alpha=0.05, tol=1e-10).fit(values, outcome)
    np.testing.assert_allclose(both.coef_[1], one.coef_, atol=1e-6)


def test_smote_makes_the_rarer_classes_as_frequent_as_the_most_frequent() -> None:
    more, labels = oversample(columns(), OUTCOME, 5, 1)
    assert np.bincount(labels).tolist() == [40, 40, 40]
    assert (more[: len(OUTCOME)] == columns()).all()


def test_folds_hold_every_class_and_too_few_patients_of_one_are_named() -> None:
    patients = [str(row // 2) for row in range(len(OUTCOME))]
    for train, test in grouped_folds(OUTCOME, patients, 4, 1):
        assert set(OUTCOME[train]) == set(OUTCOME[test]) == {0, 1, 2}
        assert not {patients[row] for row in train} & {patients[row] for row in test}
    with pytest.raises(InputError, match=r"8 patients of class 3 of fit\.classes do not make 9 folds"):
        grouped_folds(OUTCOME, patients, 9, 1)


def test_a_planted_signal_is_found_and_what_is_told_agrees_with_itself() -> None:
    cohort, fit = class_fit()
    metrics = fit.document["metrics"]
    assert set(metrics) == {"out_of_fold", "nested"}  # type: ignore[arg-type]
    nested = metrics["nested"]["models"]["dlrn"]  # type: ignore[index]
    assert nested["auc_low"] > 0.5
    assert nested["auc"] > 0.75
    assert set(nested["by_class"]) == set(CLASSES)
    assert [fit.by_class[name]["cases"] for name in CLASSES] == np.bincount(cohort.outcome).tolist()
    assert fit.by_class["HP"]["terms"] == []
    assert [term["name"] for term in fit.by_class["CAA"]["terms"]] == ["intercept", "dlr=CVT", "dlr=CAA", "epilepsy"]  # type: ignore[index,attr-defined]


def test_of_noise_m_is_within_its_error_of_chance() -> None:
    cohort, wanted = class_cohort(5, 0.0), settings(*JOB)
    results = list(run_tasks_here(cohort, wanted, plan_nested_tasks(cohort, wanted)))
    scores = scores_by_repeat(results, cohort)[Model.DLR]
    found = class_estimate(Model.DLR, scores, cohort, wanted)
    assert found["auc"] == pytest.approx(roc_auc_score(cohort.outcome, scores[0], multi_class="ovo"))
    assert found["auc_low"] < 0.5 < found["auc_high"]  # type: ignore[operator]


def test_a_class_without_a_score_is_told() -> None:
    cohort, wanted = class_cohort(5, 0.0), settings(*JOB)
    scores = np.full((1, 90, 3), 1 / 3)
    scores[:, cohort.outcome == 2] = np.nan
    with pytest.raises(InputError, match="no case of CAA has a score of dlrn"):
        class_estimate(Model.DLRN, scores, cohort, wanted)


def test_a_bundle_scores_as_the_fit_does_and_probabilities_sum_up_to_one(tmp_path: Path) -> None:
    cohort, _ = class_fit()
    bundle = load_bundle(write_classes(tmp_path / "bundle", class_fit()[1]))
    assert bundle.model.classes == CLASSES
    assert repr(bundle).endswith("90 cases of C1, of HP, CVT, CAA, not for inference)")
    assert [own.cases for own in bundle.class_fits().values()] == [36, 30, 24]
    table = as_table(cohort)
    probability = bundle.predict_proba(table)
    assert probability.shape == (90, 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-14)
    rows = bundle.score(table).to_pylist()
    for row, own in zip(rows, probability, strict=True):
        assert row["classes"] == list(CLASSES)
        assert row["dlrn_by_class"] == own.tolist()
        assert row["predicted_class"] == CLASSES[int(own.argmax())]
        assert sum(row["rad_by_class"]) == pytest.approx(1)
        assert "dlrn" not in row
    alone = bundle.score(table.slice(7, 1)).to_pylist()[0]
    assert alone == rows[7]


def test_a_bundle_of_classes_pools_by_the_attention_that_its_fit_found(tmp_path: Path) -> None:
    cohort = class_cohort(2, 2.0)
    wanted = settings(*JOB, "fit.nested.repeats=0", "fit.pooling=attention")
    fit = fit_model(cohort, wanted, SPECS, surroundings(cohort))
    bundle = load_bundle(write_classes(tmp_path / "bundle", fit))
    slices = cohort.stacked(np.arange(len(cohort.keys)))
    assert bundle.model.attention is not None
    assert (bundle.model.embedding(slices) == fit.model.embedding(slices)).all()


def test_what_is_unknown_gives_no_probability_and_no_class(tmp_path: Path) -> None:
    cohort, _ = class_fit()
    bundle = load_bundle(write_classes(tmp_path / "bundle", class_fit()[1]))
    epilepsy = np.array(cohort.clinical["epilepsy"])
    epilepsy[0] = np.nan
    [row, *_] = bundle.score(as_table(replace(cohort, clinical={"epilepsy": epilepsy}))).to_pylist()
    assert (row["dlrn_by_class"], row["predicted_class"]) == (None, None)
    assert row["dlr_by_class"] is not None
    assert "epilepsy_unknown" in row["flags"]
    assert np.isnan(bundle.predict_proba(as_table(replace(cohort, clinical={"epilepsy": epilepsy})))[0]).all()


def test_what_columns_and_terms_add_sums_up_to_the_logarithms_of_odds_and_a_row_alone_is_itself(tmp_path: Path) -> None:
    cohort, _ = class_fit()
    bundle = load_bundle(write_classes(tmp_path / "bundle", class_fit()[1]))
    epilepsy = np.array(cohort.clinical["epilepsy"])
    epilepsy[0] = np.nan
    table = as_table(replace(cohort, clinical={"epilepsy": epilepsy}))
    explained = bundle.score(table, explain=True)
    terms = bundle.class_fits()
    for place, row in enumerate(explained.to_pylist()):
        top = np.array(row["top_contributions_by_class"]).reshape(len(row["top_features"]), 3)
        of_columns = np.array(row["base_by_class"]) + top.sum(axis=0) + row["other_contributions_by_class"]
        # The nomogram as bundle.json tells it, of the votes that the score has.
        coefficients = [[term.coefficient for term in terms[name].terms[:3]] for name in ("CVT", "CAA")]
        by_hand = [0.0, *(np.array(coefficients) @ [1.0, *row["dlr_by_class"][1:]])]
        np.testing.assert_allclose(of_columns, by_hand, atol=1e-10)
        spread = np.ptp(top, axis=1)
        assert (np.diff(spread) <= 0).all()
        if place == 0:
            assert (row["clinical_contributions_by_class"], row["dlrn_by_class"]) == (None, None)
            continue
        of_epilepsy = [0.0, *(epilepsy[place] * terms[name].terms[3].coefficient for name in ("CVT", "CAA"))]
        assert row["clinical_contributions_by_class"] == pytest.approx(of_epilepsy)
        odds = np.log(np.array(row["dlrn_by_class"]) / row["dlrn_by_class"][0])
        np.testing.assert_allclose(of_columns + of_epilepsy, odds, atol=1e-10)
    alone = pa.concat_tables([bundle.score(table.slice(place, 1), explain=True) for place in range(0, 90, 9)])
    assert alone.combine_chunks().equals(explained.take(list(range(0, 90, 9))).combine_chunks())
    assert bundle.score(table.slice(0, 0), explain=True).num_rows == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"classes": ["CVT", "HP", "CAA"]}, "another model"),
        ({"classes": ["HP", "CVT", "CAA", "AVM"]}, "terms is"),
        ({"classes": ["HP", "CVT", "AVM"]}, "is not of its classes"),
        ({"classes": ["HP", "CVT"], "by_class": None}, "bundle_damaged|outcome|required"),
    ],
)
def test_other_classes_than_were_frozen_are_refused(tmp_path: Path, change: dict[str, object], told: str) -> None:
    path = write_classes(tmp_path / "bundle", class_fit()[1]) / "bundle.json"
    document = json.loads(path.read_text())
    document["outcome"] = {
        name: value for name, value in {**document["outcome"], **change}.items() if value is not None
    }
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=told):
        load_bundle(path.parent)


def test_arrays_that_are_no_model_of_these_classes_are_told(tmp_path: Path) -> None:
    model = load_bundle(write_classes(tmp_path / "bundle", class_fit()[1])).model
    assert model_problems(model) == []
    forest = model.forests[Model.DLR]
    share = forest.share.copy()
    share[3, 0] += 0.01 - share[3].max() * 0.02
    of_two = replace(forest, share=np.ascontiguousarray(forest.share[:, :2]))
    for changed, told in (
        (replace(model, terms=model.terms[:1]), "terms is float64 of 1 x 4, not float64 of 2 x 4"),
        (replace(model, terms=np.full_like(model.terms, np.nan)), "terms holds a number that is not finite"),
        (replace(model, forests={**model.forests, Model.DLR: of_two}), "dlr.share is"),
        (replace(model, forests={**model.forests, Model.DLR: replace(forest, share=share)}), "do not sum up to 1"),
        (replace(model, classes=()), "terms is"),
    ):
        assert any(told in problem for problem in model_problems(changed)), told


@pytest.mark.parametrize(
    "overrides",
    [
        ("fit.outcome=etiology",),
        ("fit.outcome=cvt", "fit.classes=[a, b, c]"),
        ("fit.outcome=x_a", "fit.classes=[a, b]"),
        (*JOB, "fit.protocol=study"),
    ],
)
def test_what_is_not_done_of_several_classes_is_refused_before_anything_is_read(overrides: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="classes") as refused:
        settings(*overrides)
    assert refused.value.kind == "bad_job"


def test_a_centre_that_has_all_of_a_class_cannot_be_left_out_and_is_named() -> None:
    cohort = class_cohort(2, 2.0)
    centers = ["C9" if label == 2 or place % 2 else "C1" for place, label in enumerate(cohort.outcome)]
    keys = tuple(f"{center}{key[2:]}" for center, key in zip(centers, cohort.keys, strict=True))
    patients = tuple(patient_key(center, key) for center, key in zip(centers, keys, strict=True))
    with pytest.raises(InputError, match="without centre 'C9' an outcome has no case") as refused:
        plan_tasks(
            replace(cohort, keys=keys, patients=patients), settings(*JOB, "fit.nested.leave_one_center_out=true")
        )
    assert refused.value.kind == "too_few_patients"
