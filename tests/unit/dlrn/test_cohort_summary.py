"""What a bundle keeps of its cohort: aggregates of what it was fitted on, and nothing that does not hold together."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import shapiro

from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.dlrn.cohort_summary import summarise_cohort
from cvtbatch.dlrn.soundness import summary_problems
from cvtbatch.validation.cohort_baseline import CLINICAL
from tests.support.cohorts import made_columns, small_fit, write


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    cohort, fit = small_fit()
    out = tmp_path_factory.mktemp("summary") / "bundle"
    write(out, fit, cohort)
    return load_bundle(out)


def test_features_are_summed_up_as_numpy_does(bundle: Bundle) -> None:
    cohort, summary = small_fit()[0], bundle.description.cohort_summary
    assert summary is not None
    assert set(summary.features) == set(bundle.model.columns)
    for name in bundle.model.radiomics:
        values, kept = cohort.radiomics[:, cohort.radiomics_names.index(name)], summary.features[name]
        assert (kept.known, kept.unknown, kept.mean, kept.sd) == (90, 0, values.mean(), values.std(ddof=1))
        assert np.abs(np.quantile(values, kept.shares) - kept.quantiles).max() <= kept.sd / 1000
        assert kept.normal == (shapiro(values).pvalue >= 0.05)


def test_clinical_values_and_scanners_are_told_in_aggregates(bundle: Bundle) -> None:
    summary, columns = bundle.description.cohort_summary, made_columns(small_fit()[0])
    assert summary is not None
    assert (set(summary.numbers), set(summary.levels)) == (
        {"age", "volume_ml", "noise (HU)"},
        {"sex", "epilepsy", "scanner"},
    )
    assert summary.levels["sex"].counts == {level: columns["sex"].count(level) for level in ("F", "M")}
    assert summary.levels["epilepsy"].counts == {
        "no": columns["epilepsy"].count(0),
        "yes": columns["epilepsy"].count(1),
    }
    assert summary.levels["epilepsy"].unknown == 6
    assert (summary.levels["scanner"].counts, summary.levels["scanner"].rarer) == ({"Philips Brilliance": 81}, 9)
    assert (summary.numbers["noise (HU)"].known, summary.numbers["noise (HU)"].unknown) == (85, 5)


def test_moments_are_those_of_the_embeddings(bundle: Bundle) -> None:
    embedding, moments = small_fit()[0].embedding.astype(np.float64), bundle.moments
    assert moments is not None
    assert moments.mean == pytest.approx(embedding.mean(axis=0), rel=1e-6)
    assert moments.sd == pytest.approx(embedding.std(axis=0, ddof=1), rel=1e-6)


def test_a_summary_is_small(bundle: Bundle) -> None:
    cohort, fit = small_fit()
    summary, _ = summarise_cohort(cohort, fit.model, {}, CLINICAL)
    assert (dict(summary.numbers), dict(summary.levels)) == ({}, {})
    assert len(summary.features) == len(bundle.model.columns) < 20


def test_what_does_not_hold_together_is_found(bundle: Bundle) -> None:
    summary, moments, length = bundle.description.cohort_summary, bundle.moments, bundle.description.embedding_length
    assert summary is not None
    assert moments is not None
    assert summary.embedding is not None
    age = summary.numbers["age"]
    scanner = summary.levels["scanner"]
    broken = [
        replace(summary, numbers={"age": replace(age, quantiles=age.quantiles[::-1])}),
        replace(summary, numbers={"age": replace(age, quantiles=age.quantiles[1:])}),
        replace(summary, numbers={"age": replace(age, known=30)}),
        replace(summary, levels={"scanner": replace(scanner, rarer=8)}),
        replace(summary, embedding=replace(summary.embedding, distances=summary.embedding.distances[::-1])),
    ]
    for found in broken:
        assert len(list(summary_problems(found, moments, length))) == 1
    for other in (
        replace(moments, sd=-moments.sd),
        replace(moments, mean=moments.mean[1:]),
        replace(moments, mean=moments.mean * np.float32(np.nan)),
    ):
        assert len(list(summary_problems(summary, other, length))) == 1
    assert list(summary_problems(summary, moments, length)) == []
