"""Clinical terms: chosen by R's tests, fitted as statsmodels fits their columns, scored by hand, and refused with a way on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import patsy
import pytest
import statsmodels.api as sm
from scipy import stats

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.clinical_choice import choose_terms
from cvtbatch.dlrn.clinical_columns import to_texts
from cvtbatch.dlrn.clinical_terms import EPILEPSY, Kind, design, labels_of
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.scoring import score_batch
from cvtbatch.dlrn.settings import ClinicalSettings
from cvtbatch.errors import InputError
from cvtbatch.validation.splines import knots_of, spline_basis
from tests.support.clinical_fit import fitted
from tests.support.cohorts import (
    ORIGIN,
    SMALLEST_JOB,
    SPECS,
    as_table,
    settings,
    surroundings,
    write,
)

IDS, FEW = to_texts([f"{place},5" for place in range(90)]), np.arange(90) % 3 / 2.0
ALL = ("epilepsy", "age", "location", "sex", "x_gcs")


def clinical_settings(**changes: object) -> ClinicalSettings:
    return replace(settings().clinical, terms=(), **changes)


def test_a_table_is_tested_by_chi_square_and_one_with_small_counts_by_fisher() -> None:
    # R 4: chisq.test(matrix(c(20, 26, 25, 121), 2), correct = FALSE) and Fisher's tea (R's ?fisher.test), 3 of 4 cups.
    outcome = np.repeat([1, 0], [46, 146])
    seizure = np.concatenate([np.repeat([1.0, 0.0], [20, 26]), np.repeat([1.0, 0.0], [25, 121])])
    [found] = choose_terms({"seizure": seizure}, outcome, clinical_settings(candidates=("seizure",))).candidates
    expected = (np.array([45, 147])[:, None] * np.array([46, 146]) / 192).min()
    # By hand: n (ad - bc)^2 / (row and column sums).
    statistic = 192 * (20 * 121 - 26 * 25) ** 2 / (46 * 146 * 45 * 147)
    assert expected > 5
    assert (found.test, found.p_value) == ("chi-square", pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-12))
    assert found.entered
    tea = {"milk_first": np.array([1.0, 1, 1, 0, 1, 0, 0, 0])}
    [found] = choose_terms(tea, np.repeat([1, 0], 4), clinical_settings(candidates=("milk_first",))).candidates
    assert (found.test, found.p_value, found.entered) == ("Fisher, exact", pytest.approx(0.4857, abs=5e-5), False)


def test_numbers_are_tested_by_welch_or_mann_whitney_and_what_cannot_be_tested_says_why() -> None:
    rng, outcome = np.random.default_rng(2), np.repeat([1, 0], [30, 40])
    columns = {
        "normal": rng.normal(outcome, 1),
        "skewed": rng.exponential(1 + outcome) ** 3,
        "constant": np.full(70, 4.0),
        "unknown": np.full(70, np.nan),
        "of_one_class": np.where(outcome == 1, rng.normal(size=70), np.nan),
    }
    found = choose_terms(columns, outcome, clinical_settings(candidates=tuple(columns), p_value=1e-9)).candidates
    by_name = {row.name: row for row in found}
    sides = {name: (columns[name][outcome == 1], columns[name][outcome == 0]) for name in ("normal", "skewed")}
    welch = stats.ttest_ind(*sides["normal"], equal_var=False).pvalue
    assert (by_name["normal"].test, by_name["normal"].p_value) == ("t-test (Welch)", pytest.approx(welch, rel=1e-12))
    ranks = stats.mannwhitneyu(*sides["skewed"]).pvalue
    assert (by_name["skewed"].test, by_name["skewed"].p_value) == ("Mann-Whitney U", pytest.approx(ranks, rel=1e-12))
    reasons = {name: by_name[name].reason for name in ("constant", "unknown", "of_one_class")}
    assert reasons["constant"] == "all values are equal"
    assert "two values in each group" in reasons["of_one_class"]
    assert reasons["unknown"]
    assert not any(row.entered for row in found)


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_a_spline_is_the_natural_cubic_spline_of_harrells_knots(count: int) -> None:
    values = np.random.default_rng(3).gamma(4, 12, 150)
    # Harrell, Regression Modeling Strategies, 2nd ed., table 2.3.
    shares = {
        3: [0.10, 0.5, 0.90],
        4: [0.05, 0.35, 0.65, 0.95],
        5: [0.05, 0.275, 0.5, 0.725, 0.95],
        6: [0.05, 0.23, 0.41, 0.59, 0.77, 0.95],
        7: [0.025, 0.1833, 0.3417, 0.5, 0.6583, 0.8167, 0.975],
    }[count]
    knots = knots_of(values, count)
    np.testing.assert_allclose(knots, np.quantile(values, shares), atol=0.02 if count == 7 else 1e-9)
    inner = ", ".join(map(repr, knots[1:-1].tolist()))
    other = patsy.dmatrix(
        f"cr(x, knots=[{inner}], lower_bound={float(knots[0])}, upper_bound={float(knots[-1])})", {"x": values}
    )
    own = np.column_stack([np.ones(len(values)), spline_basis(values, knots)])
    target = np.sin(values / 20)
    lines = [matrix @ np.linalg.lstsq(np.asarray(matrix), target, rcond=None)[0] for matrix in (own, other)]
    np.testing.assert_allclose(*lines, atol=1e-8)


def test_the_nomogram_is_statsmodels_on_the_same_columns_and_scores_by_hand() -> None:
    cohort, fit = fitted()
    terms = fit.model.clinical
    assert labels_of(terms) == ("age", "age'", "age''", "location=deep", "location=other", "epilepsy", "x_gcs")
    assert [term.kind for term in terms] == [Kind.SPLINE, Kind.LEVEL, Kind.LEVEL, Kind.LINEAR, Kind.LINEAR]
    assert {term.reference for term in terms if term.name == "location"} == {"lobar"}
    age, location = cohort.clinical["age"], cohort.clinical["location"]
    known = ~np.isnan(age) & np.array([value is not None for value in location])
    assert (terms[0].low, terms[0].high) == (age[known].min(), age[known].max())
    votes = np.full(len(known), np.nan)
    # The scores that the nomogram was fitted on, as the bundle keeps them by class, and its own.
    dlrn = fit.out_of_fold["dlrn"]
    assert len(dlrn.events) + len(dlrn.others) == known.sum() == fit.document["dlrn"]["cases"]
    scored = score_batch(fit.model, SPECS, as_table(cohort), explain=False)
    votes = scored["dlr"].to_numpy()
    knots = np.array(terms[0].knots)
    np.testing.assert_allclose(knots, np.quantile(age[known], [0.05, 0.35, 0.65, 0.95]))
    own = np.column_stack(
        [
            *spline_basis(age, knots).T,
            *(np.where(location == level, 1.0, 0.0) for level in ("deep", "other")),
            cohort.clinical[EPILEPSY],
            cohort.clinical["x_gcs"],
        ]
    )
    odds = fit.model.terms[0] + fit.model.terms[1] * votes + own @ fit.model.terms[2:]
    np.testing.assert_allclose(scored["dlrn"].to_numpy()[known], 1 / (1 + np.exp(-odds[known])), rtol=1e-12)
    assert scored["dlrn"].null_count == 2


def test_coefficients_are_those_of_statsmodels() -> None:
    from cvtbatch.dlrn.tasks import fit_nomogram

    cohort, fit = fitted()
    dlr = np.random.default_rng(9).uniform(size=len(cohort.outcome))
    columns = np.column_stack([dlr, design(fit.model.clinical, cohort.clinical, len(dlr))])
    known = ~np.isnan(columns).any(axis=1)
    own = fit_nomogram(dlr, cohort.clinical, cohort.outcome, fit.model.clinical, firth=False)
    other = sm.Logit(cohort.outcome[known], sm.add_constant(columns[known])).fit(disp=False, tol=1e-12)
    np.testing.assert_allclose([term.coefficient for term in own.terms], other.params, rtol=1e-8)
    np.testing.assert_allclose([term.standard_error for term in own.terms], other.bse, rtol=1e-8)


def test_candidates_are_chosen_anew_in_every_fold_and_told() -> None:
    _, fit = fitted()
    found = {row["name"]: row for row in fit.document["clinical_candidates"]}
    assert list(found) == ["epilepsy", "sex", "x_gcs"]
    assert [row["entered"] for row in found.values()] == [True, False, True]
    assert found["sex"]["p_value"] > 0.05
    assert found["x_gcs"]["stability"] == 1.0
    assert all(0 <= row["stability"] <= 1 for row in found.values())


def test_a_row_without_a_clinical_value_or_beyond_training_says_so() -> None:
    cohort, fit = fitted()
    table = as_table(cohort)
    known = score_batch(fit.model, SPECS, table, explain=False).to_pylist()
    assert known[5]["flags"][:1] == ["age_unknown"]
    assert known[7]["flags"][:1] == ["location_unknown"]
    assert (known[5]["dlrn"], known[5]["points_total"], known[5]["clinical_points"]) == (None, None, None)
    assert known[5]["dlr"] is not None

    def changed(name: str, value: object) -> dict[str, object]:
        values = table[name].to_pylist()
        values[0] = value
        other = table.set_column(table.column_names.index(name), name, [values])
        return score_batch(fit.model, SPECS, other, explain=False).to_pylist()[0]

    new = changed("location", "brainstem")
    assert new["dlrn"] is None
    assert "location_level_new" in new["flags"]
    old = changed("age", 100.0)
    assert old["outside_features"] == [*known[0]["outside_features"], "age"]
    assert "outside_training_range" in old["flags"]
    assert old["dlrn"] is not None
    # Texts of an x_ column are read as its numbers.
    texts = table.set_column(
        table.column_names.index("x_gcs"), "x_gcs", [[f"{value:g}" for value in table["x_gcs"].to_pylist()]]
    )
    assert score_batch(fit.model, SPECS, texts, explain=False).to_pylist() == known


def test_one_row_scores_as_among_others_and_points_stand_for_the_probability() -> None:
    cohort, fit = fitted()
    table = as_table(cohort)
    together = score_batch(fit.model, SPECS, table, explain=True)
    alone = [score_batch(fit.model, SPECS, table.slice(row, 1), explain=True).to_pylist()[0] for row in range(30)]
    assert together.slice(0, 30).to_pylist() == alone
    total = together["points_total"].to_numpy()
    probability = 1 / (1 + np.exp(-(fit.model.nomogram.intercept + fit.model.nomogram.per_point * total)))
    known = ~np.isnan(total)
    np.testing.assert_allclose(together["dlrn"].to_numpy()[known], probability[known], rtol=1e-9)
    for name in ("age", "location", "epilepsy", "x_gcs"):
        points = together[f"points_{name}"].to_numpy()
        assert np.nanmin(points) >= -1e-9
    names = together["clinical_terms"].to_pylist()[0]
    assert together["clinical_points"].to_pylist()[0] == [together[f"points_{name}"].to_pylist()[0] for name in names]


def test_a_bundle_keeps_its_terms_and_none_at_all_is_possible(tmp_path: Path) -> None:
    cohort, fit = fitted()
    write(tmp_path / "bundle", fit)
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.model.clinical == fit.model.clinical
    assert loaded.needed_columns()[-4:] == ["age", "location", "epilepsy", "x_gcs"]
    none = fit_model(cohort, settings(*SMALLEST_JOB, "fit.clinical.terms=[]"), SPECS, surroundings(cohort))
    write(tmp_path / "none", none)
    loaded = load_bundle(tmp_path / "none")
    assert loaded.document["clinical_terms"] == []
    table = as_table(cohort).drop_columns(list(ALL))
    scored = loaded.score(table)
    assert scored["dlrn"].null_count == 0
    odds = none.model.terms[0] + none.model.terms[1] * scored["dlr"].to_numpy()
    np.testing.assert_allclose(scored["dlrn"].to_numpy(), 1 / (1 + np.exp(-odds)), rtol=1e-12)
    assert none.document["dlrn"]["cases"] == len(cohort.keys)
    assert ORIGIN["job"] == {}


@pytest.mark.parametrize(
    ("changes", "job", "kind", "words"),
    [
        ({EPILEPSY: np.zeros(90)}, (), "constant_term", r"epilepsy is 0 in all 90 .*fit\.clinical\.terms=\[\]"),
        ({EPILEPSY: np.full(90, np.nan)}, (), "constant_term", "unknown in all training cases"),
        ({EPILEPSY: "outcome"}, (), "separation", r"fit\.firth"),
        ({"x_twin": "epilepsy"}, ("fit.clinical.terms=[epilepsy, x_twin]",), "collinear_terms", "x_twin"),
        ({"x_id": IDS}, ("fit.clinical.candidates=[x_id]",), "too_many_levels", "90 levels"),
        ({"x_few": FEW}, ("fit.clinical.terms=[x_few]", "fit.clinical.splines=[x_few]"), "bad_spline", "to 4 knots"),
    ],
    ids=["constant", "all unknown", "separation", "collinear", "levels", "knots"],
)
def test_what_cannot_be_a_term_is_refused_with_a_way_on(
    changes: dict[str, object], job: tuple[str, ...], kind: str, words: str
) -> None:
    cohort = fitted()[0]
    sources = {"outcome": cohort.outcome.astype(np.float64), "epilepsy": cohort.clinical[EPILEPSY]}
    own = {name: sources[value] if isinstance(value, str) else value for name, value in changes.items()}
    broken = replace(cohort, clinical={**cohort.clinical, **own})
    with pytest.raises(InputError, match=words) as caught:
        fit_model(broken, settings(*SMALLEST_JOB, *job), SPECS, surroundings(broken))
    assert caught.value.kind == kind


def test_a_job_names_a_column_once_and_no_spline_alone() -> None:
    for job, words in (
        ("fit.clinical.candidates=[epilepsy]", "among terms and among candidates"),
        ("fit.clinical.splines=[age]", "neither among terms nor among candidates"),
    ):
        with pytest.raises(InputError, match=words):
            settings(job)
