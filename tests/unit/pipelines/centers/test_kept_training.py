"""What a centre is compared with: the store's values if they are those of the bundle's cohort, else the bundle's summary."""

from dataclasses import replace

import numpy as np
import pytest

from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.pipelines.centers.kept_training import training_values
from cvtbatch.validation.inputs import Training
from cvtbatch.validation.kept_columns import NOT_KEPT, KeptLevels, KeptNumbers
from cvtbatch.validation.training_distance import KeptEmbedding
from tests.support.cohorts import made_columns, small_fit, write
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    cohort, fit = small_fit()
    out = tmp_path_factory.mktemp("kept") / "bundle"
    write(out, fit, cohort)
    return load_bundle(out)


@pytest.fixture(scope="module")
def stored(bundle: Bundle) -> Training:
    """The cohort's values as a store has them."""
    cohort, columns = small_fit()[0], made_columns(small_fit()[0])
    names = np.asarray(bundle.model.columns, dtype=object)[bundle.model.used[Model.DLR]]
    components = cohort.embedding.astype(np.float64) @ bundle.model.loadings - bundle.model.offset
    values = {name: cohort.radiomics[:, cohort.radiomics_names.index(name)] for name in bundle.model.radiomics}
    values |= {name: components[:, place] for place, name in enumerate(bundle.model.components)}
    return Training(
        cohort.outcome.astype(np.float64),
        columns,
        columns,
        {name: values[name] for name in names if name in bundle.model.radiomics},
        cohort.embedding.astype(np.float64),
    )


def test_without_the_cases_the_bundle_speaks(bundle: Bundle) -> None:
    kept = training_values(bundle, None)
    assert kept is not None
    assert (len(kept.outcome), kept.outcome.sum()) == (90, 30)
    assert isinstance(kept.embedding, KeptEmbedding)
    assert isinstance(kept.clinical["age"], KeptNumbers)
    assert isinstance(kept.clinical["epilepsy"], KeptLevels)
    assert kept.clinical["hypertension"] == NOT_KEPT
    assert set(kept.acquisition) == {"scanner", "noise (HU)"}
    assert set(kept.features) == set(np.asarray(bundle.model.columns, dtype=object)[bundle.model.used[Model.DLR]])
    cohort = small_fit()[0]
    for name in bundle.model.radiomics:
        values = cohort.radiomics[:, cohort.radiomics_names.index(name)]
        assert kept.ranges[name] == (values.min(), values.max())


def test_values_of_other_cases_of_the_same_centre_do_not_count(bundle: Bundle, stored: Training) -> None:
    summary = bundle.description.cohort_summary
    assert summary is not None
    radiomics = {name: summary.features[name] for name in stored.features}
    only = replace(bundle, description=replace(bundle.description, cohort_summary=replace(summary, features=radiomics)))
    assert training_values(only, stored) is stored
    name = next(iter(stored.features))
    moved = replace(stored, features={**stored.features, name: np.asarray(stored.features[name]) * 1.01})
    fewer = replace(stored, outcome=stored.outcome[1:])
    for other in (moved, fewer):
        found = training_values(only, other)
        assert found is not None
        assert isinstance(found.embedding, KeptEmbedding)


def test_a_bundle_of_an_earlier_format_takes_what_the_store_holds(stored: Training) -> None:
    old = load_bundle(ROOT / "tests" / "compat" / "bundle-2")
    assert training_values(old, stored) is stored
    assert training_values(old, None) is None
