"""X, y and groups: the rows of `wide`, without those that cannot be fitted on, and nothing mixed."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cvtbatch import contracts
from cvtbatch.errors import InputError, ResourceError
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.store import FeatureStore, Selection, create_snapshot, wide_columns
from cvtbatch.store.design_matrix import LeftOutWarning
from cvtbatch.store.wide import PRIMARY
from tests.support.model_store import LENGTH, fill
from tests.support.store_rows import RADIOMICS_SPEC, radiomics_spec_of, row


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a store in which, of C1, case 41 has no outcome, 42 no embedding and 43 no features."""
    store = fill(tmp_path_factory.mktemp("filled") / "store")
    create_snapshot(store, "before", Selection(), "test")
    return store


def test_values_are_those_that_a_fit_reads(store: FeatureStore) -> None:
    with pytest.warns(LeftOutWarning, match=r"cvt is unknown \(1\), embedding is unknown \(1\)$"):
        X, y, groups = store.X_y(features=[*contracts.feature_names(), "embedding", "epilepsy"], center="C1")
    source = CohortSource(store.location.url, "before", ("C1",), PRIMARY, (), reviewed=False, clinical=("epilepsy",))
    cohort = read_training(source).cohort
    # A fit leaves out who does not belong to the study too: case 40 is traumatic.
    assert [key for key in X.index if key not in cohort.keys] == ["C1/040/hematoma/A/1"]
    own = X.loc[list(cohort.keys)]
    assert np.array_equal(own[list(contracts.feature_names())].to_numpy(), cohort.radiomics)
    embedding = own[[f"emb_{number:04d}" for number in range(LENGTH)]].to_numpy(np.float32)
    assert np.array_equal(embedding, cohort.embedding)
    assert np.array_equal(own["epilepsy"].to_numpy(), cohort.clinical["epilepsy"], equal_nan=True)
    assert np.array_equal(y.loc[list(cohort.keys)], cohort.outcome)
    assert tuple(groups.loc[list(cohort.keys)]) == cohort.patients
    assert (X.index.name, y.name, y.dtype.kind) == ("roi_key", "cvt", "i")


def test_radiomics_need_no_embedding_and_one_reader_counts(store: FeatureStore) -> None:
    with pytest.warns(LeftOutWarning, match=r"left out: cvt is unknown \(1\)$"):
        X, y, groups = store.X_y(snapshot="before")
    assert len(X) == 56
    assert list(X.columns) == list(contracts.feature_names())
    assert X.index.equals(y.index)
    assert X.index.equals(groups.index)
    assert X.index.is_monotonic_increasing
    assert all(key.endswith("/A/1") for key in X.index)
    X, _, _ = store.X_y(primary_reader="B")
    assert len(X) == 12
    assert all(key.endswith("/B/1") for key in X.index)


def test_centres_and_filters_choose_rows(store: FeatureStore) -> None:
    X, y, _ = store.X_y(features="embeddings", center=["C2"], where="cvt = 1")
    assert X.shape == (7, LENGTH)
    assert X.columns[0] == "emb_0000"
    assert set(y) == {1}
    assert X.equals(store.X_y(features="embeddings", where=(pc.field("center") == "C2") & (pc.field("cvt") == 1))[0])


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({"target": "cvtt"}, "no_such_column", "nearest one is cvt"),
        ({"features": "radiomic"}, "no_such_column", "'radiomic' names none"),
        ({"features": []}, "no_such_column", "names none"),
        ({"features": ["agee"]}, "no_such_column", "nearest one is age"),
        ({"features": ["age", "cvt"]}, "target_among_features", "column cvt"),
        ({"center": "Berlin"}, "no_such_center", "'Berlin'; there are C1, C2"),
        ({"target": "etiology"}, "no_rows", r"etiology is unknown \(57\)"),
        ({"where": "center = 'C9'"}, "no_rows", "no outline of A, reading 1"),
        ({"primary_reader": "Z"}, "no_rows", "no outline of Z, reading 1"),
        ({"snapshot": "befor"}, "no_such_snapshot", "before"),
        ({"spec": "rad-0"}, "no_such_spec", RADIOMICS_SPEC.spec_id),
    ],
)
def test_what_cannot_be_answered_is_refused(
    store: FeatureStore, arguments: dict[str, object], kind: str, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        store.X_y(**arguments)
    assert caught.value.kind == kind


def test_specifications_do_not_mix(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    other = radiomics_spec_of(binWidth=10)
    columns = ("spec_id", "kind", "parent_id", "settings")
    store.table("specs").append([row("specs", **{name: getattr(other, name) for name in columns})])
    rows = store.radiomics(where="center = 'C2'").to_pylist()
    store.table("radiomics").append([{**entry, "radiomics_spec_id": other.spec_id} for entry in rows])
    with pytest.raises(InputError, match="do not mix") as caught:
        store.X_y()
    assert caught.value.kind == "several_specs"
    assert len(store.X_y(spec=other.spec_id)[0]) == 14


def test_pandas_comes_with_an_extra(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ResourceError, match=r"X_y needs pandas: pip install 'cvtbatch\[fit\]'"):
        store.X_y()


def test_tables_are_filtered_once_they_are_current(store: FeatureStore) -> None:
    assert store.cases(where="center = 'C2'").num_rows == 14
    assert store.rois(where="reader = 'B'").num_rows == 12
    assert store.scores().num_rows == 0
    assert dict(zip(*store.tables().to_pydict().values(), strict=True))["radiomics"] == 69
    assert store.snapshots()["name"].to_pylist() == ["before"]
    where = "center = 'C1' AND cvt = 1 AND original_firstorder_Mean > 0"
    wide = store.wide(columns=["roi_key", "cvt", "original_firstorder_Mean"], where=where)
    everything = store.wide()
    kept = pc.and_(pc.equal(everything["center"], "C1"), pc.equal(everything["cvt"], 1))
    kept = pc.and_kleene(kept, pc.greater(everything["original_firstorder_Mean"], 0))
    assert wide["roi_key"].to_pylist() == everything.filter(kept)["roi_key"].to_pylist()
    assert [field.type for field in everything.schema if field.name in wide_columns()].count(pa.float64()) > len(
        contracts.feature_names()
    )


def test_a_case_that_changed_is_filtered_by_what_it_says_now(tmp_path: Path) -> None:
    store = fill(tmp_path / "store")
    [case] = store.cases(where="case_key = 'C2/000'").to_pylist()
    store.table("cases").append([{**case, "cvt": 1, "clinical_digest": "new"}])
    assert store.cases(where="case_key = 'C2/000' AND cvt = 0").num_rows == 0
    assert store.cases(where="case_key = 'C2/000' AND cvt = 1").num_rows == 1


def test_a_store_says_where_it_is_and_refuses_what_it_has_not(store: FeatureStore) -> None:
    assert repr(store) == f"FeatureStore({store.location.url!r})"
    assert FeatureStore(Path(store.location.path)).location == store.location
    with pytest.raises(InputError, match="no table 'radiomic'; there are arrivals, cases"):
        store.current("radiomic")
