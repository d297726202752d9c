"""What a report shows of bundles of every format."""

import pyarrow.parquet as pq
import pytest

from cvtbatch.dlrn import load_bundle
from cvtbatch.pipelines.centers.bundle_facts import bundle_facts, recalibrated
from cvtbatch.validation.inputs import NO_OUT_OF_FOLD
from cvtbatch.validation.nomogram import Nomogram
from cvtbatch.validation.values import Interval, NotComputable, Scored
from tests.support.paths import ROOT

COMPAT = ROOT / "tests" / "compat"


@pytest.mark.parametrize("name", ["bundle-1", "bundle-2"])
def test_models_thresholds_and_estimates_of_a_fitted_bundle(name: str) -> None:
    bundle = load_bundle(COMPAT / name)
    facts = bundle_facts(bundle)
    assert [model.name for model in facts.models] == ["Rad", "DL", "DLR", "DLRN"]
    primary = facts.models[-1]
    assert dict(primary.thresholds) == bundle.document["thresholds"]["dlrn"]
    estimates = {estimate.protocol: estimate for estimate in primary.training}
    own = bundle.document["metrics"]["out_of_fold"]["dlrn"]
    found = estimates["out of fold"].auc
    assert not isinstance(found, NotComputable)
    assert (found.value, found.interval) == (own["auc"], Interval(own["auc_low"], own["auc_high"]))
    assert "the nomogram was fitted on these scores" in estimates["out of fold"].caution
    assert "optimistic" in estimates["study protocol"].caution
    assert recalibrated(bundle.description) is None


@pytest.mark.parametrize("name", ["bundle-1", "bundle-2"])
def test_the_development_had_every_column_that_was_offered_and_epilepsy(name: str) -> None:
    bundle = load_bundle(COMPAT / name)
    found, cohort = bundle_facts(bundle).development, bundle.document["cohort"]
    columns = pq.read_table(COMPAT / name / "selection.parquet").to_pylist()
    assert found.parameters == sum(row["signature"] == "dlr" for row in columns) + 1
    assert (found.cases, found.patients, found.events) == (cohort["cases"], cohort["patients"], cohort["positive"])


def test_scores_of_training_are_shown_where_the_format_keeps_them() -> None:
    old, new = (bundle_facts(load_bundle(COMPAT / name)).models[-1].out_of_fold for name in ("bundle-1", "bundle-2"))
    assert old is NO_OUT_OF_FOLD
    assert isinstance(new, Scored)


def test_a_slope_takes_the_fits_odds_ratios_away() -> None:
    parent, child = (load_bundle(COMPAT / name) for name in ("bundle-2", "bundle-2-recalibrated"))
    before, after = (bundle_facts(bundle).nomogram for bundle in (parent, child))
    assert isinstance(before, Nomogram)
    assert isinstance(after, Nomogram)
    assert all(term.odds_ratio is not None for term in before.terms)
    assert all(term.odds_ratio is None for term in after.terms)
    found = recalibrated(child.description)
    assert found is not None
    assert found.slope is not None
    assert found.parent_digest == parent.digest
