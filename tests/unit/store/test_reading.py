"""What readers get: current rows of one specification, of the asked columns alone, side by side, in other programs too."""

import os
import shutil
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from cvtbatch import contracts
from cvtbatch.errors import InputError, InternalError
from cvtbatch.store import (
    FeatureStore,
    Selection,
    create_snapshot,
    fingerprints_of,
    open_files,
    reading,
    tables,
    wide_columns,
)
from cvtbatch.store.tables import Pin
from tests.support.paths import ROOT
from tests.support.store_rows import (
    EMBEDDING_SPEC,
    RADIOMICS_SPEC,
    VOLUME_SPEC,
    add_cases,
    add_specs,
    case_rows,
    feature_values,
    radiomics_spec_of,
    row,
    same,
)

NORMALISED = radiomics_spec_of(binWidth=10, normalize=True)
MEAN = "original_firstorder_Mean"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a store of four cases in two centres, frozen as "before"; one ROI has features of a second specification too."""
    store = FeatureStore.open_for_writing(str(tmp_path_factory.mktemp("made") / "store"))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, NORMALISED, EMBEDDING_SPEC)
    add_cases(store, *(case_rows(store, number, "AB"[number % 2]) for number in range(3)))
    create_snapshot(store, "before", Selection(), "test")
    last = case_rows(store, 3, "B", specs=(RADIOMICS_SPEC, NORMALISED))
    add_cases(store, {**last, "embeddings": []})
    return store


@pytest.fixture
def store(made: FeatureStore, tmp_path: Path) -> FeatureStore:
    """Return a copy that may be changed."""
    shutil.copytree(made.location.path, tmp_path / "store")
    return FeatureStore(str(tmp_path / "store"))


def bytes_read() -> int:
    """Return how many bytes this process has read by system calls."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="needs Linux's count of bytes read")  # noqa: PTH110
def test_only_asked_columns_and_row_groups_are_read_from_storage(tmp_path: Path) -> None:
    """Ten thousand rows of all features would take minutes to make: 2,000 rows, of which the values are 29 MB."""
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    table, names = store.table("radiomics"), contracts.feature_names()
    rng = np.random.default_rng(0)
    for center in "AB":
        filler = row("radiomics", center=center)
        columns = {field.name: [filler.get(field.name)] * 1000 for field in table.contract.arrow()}
        columns |= {name: rng.normal(size=1000) for name in names}
        columns["roi_key"] = [f"{center}/{number}" for number in range(1000)]
        rows = pa.table(columns, schema=table.contract.arrow())
        write_deltalake(table.log.newest(), rows, mode="append")
    size = sum(path.stat().st_size for path in (tmp_path / "store/tables/radiomics").glob("*.parquet"))
    assert size > 29e6
    footers = sum(
        pq.read_metadata(path).serialized_size for path in (tmp_path / "store/tables/radiomics").glob("*.parquet")
    )
    whole, few, filtered = (
        _bytes_of(store, columns, where)
        for columns, where in ((None, None), (names[:20], None), (names[:20], pc.field("center") == "B"))
    )
    assert whole > 29e6
    assert few < 1.2 * 20 / len(names) * 29.4e6 + 3 * footers
    # The row groups of the other centre, all but their footers.
    assert filtered < few - 0.8 * 20 * 8 * 1000


def _bytes_of(store: FeatureStore, columns: tuple[str, ...] | None, where: pc.Expression | None) -> int:
    before = bytes_read()
    store.table("radiomics").read(columns, where)
    return bytes_read() - before


def test_rows_of_several_specifications_never_mix(made: FeatureStore) -> None:
    with pytest.raises(InputError) as raised:
        made.radiomics(columns=[MEAN])
    assert raised.value.kind == "several_specs"
    for part in (RADIOMICS_SPEC.spec_id, NORMALISED.spec_id, "settings.binWidth: ", "settings.normalize: "):
        assert part in raised.value.message
    assert "features" not in raised.value.message.split("differ in")[1]
    with pytest.raises(InputError):
        made.wide()
    # Named, or left out by a filter, or not there when it was frozen.
    assert made.radiomics(columns=[MEAN], spec=NORMALISED.spec_id).num_rows == 1
    assert made.radiomics(columns=[MEAN], spec=[RADIOMICS_SPEC.spec_id, EMBEDDING_SPEC.spec_id]).num_rows == 4
    assert made.radiomics(columns=[MEAN], where=pc.field("case_id") == "2").num_rows == 1
    assert made.radiomics(columns=[MEAN], snapshot="before").num_rows == 3
    with pytest.raises(InputError, match="rad-0") as raised:
        made.radiomics(spec="rad-0")
    assert raised.value.kind == "no_such_spec"


def test_features_say_class_image_type_and_unit(made: FeatureStore) -> None:
    ours = made.radiomics(spec=RADIOMICS_SPEC.spec_id).schema
    assert len(ours) == len(contracts.table("radiomics").arrow())
    texts = {name: ours.field(name).metadata for name in contracts.feature_names()}
    assert texts["original_shape_MeshVolume"][b"unit"] == b"mm3"
    assert texts[MEAN] == {b"feature_class": b"firstorder", b"image_type": b"original", b"unit": b"HU"}
    assert texts["log-sigma-1-0-mm-3D_glcm_Contrast"] == {
        b"feature_class": b"glcm",
        b"image_type": b"log-sigma-1-0-mm-3D",
    }
    assert texts["wavelet-LLL_firstorder_Entropy"][b"unit"] == b"bit"
    assert b"unit" not in texts["wavelet-LLL_firstorder_Mean"]
    normalised = made.radiomics(spec=NORMALISED.spec_id).schema
    assert b"unit" not in normalised.field(MEAN).metadata
    assert normalised.field("original_shape_Sphericity").metadata[b"unit"] == b"1"


def test_wide_has_clinical_values_features_and_the_largest_slice(made: FeatureStore) -> None:
    wide = made.wide(spec=RADIOMICS_SPEC.spec_id).sort_by("roi_key")
    assert wide.column_names == wide_columns()
    assert wide["age"].to_pylist() == [40.0, 42.0, 41.0, 43.0]
    assert wide["clinical_digest"].to_pylist() == ["clinical-0", "clinical-2", "clinical-1", "clinical-3"]
    for index, number in enumerate((0, 2, 1, 3)):
        values = feature_values(number)
        stored = {name: wide[name][index].as_py() for name in contracts.feature_names()}
        assert repr(stored) == repr(values)
        expected = None
        if number != 3:
            expected = np.random.default_rng(number * 10 + 2).normal(size=8).astype(np.float32).tolist()
        assert wide["embedding"][index].as_py() == expected
    assert wide["embedding_spec_id"].to_pylist() == [EMBEDDING_SPEC.spec_id] * 3 + [None]
    assert wide.schema.field("embedding").type == pa.list_(pa.float32())


def test_wide_reads_what_is_asked(made: FeatureStore) -> None:
    where = (pc.field("age") > 40) & (pc.field(MEAN) == feature_values(2)[MEAN])
    rows = made.wide(columns=["case_id", "patient"], where=where, snapshot="before")
    assert rows.to_pylist() == [{"case_id": "2", "patient": "p2"}]
    assert made.wide(columns=["case_id"], where=pc.field("center") == "B", snapshot="before").num_rows == 1
    assert made.wide(columns=["case_id"], snapshot="before", primary_reader="B").num_rows == 0
    with pytest.raises(InputError, match="original_firstorder_Mean") as raised:
        made.wide(columns=["original_firstorder_Meen"])
    assert raised.value.kind == "no_such_column"


def test_features_of_a_former_outline_are_not_current(store: FeatureStore) -> None:
    roi = next(row for row in store.rois().to_pylist() if row["case_key"] == "A/0")
    store.table("rois").append([{**roi, "input_digest": "outlined anew"}])
    assert store.radiomics(columns=["case_key"], spec=RADIOMICS_SPEC.spec_id).num_rows == 3
    assert {row["case_key"] for row in store.embeddings(columns=["case_key"]).to_pylist()} == {"A/2", "B/1"}
    assert store.wide(columns=["case_key"], spec=RADIOMICS_SPEC.spec_id).num_rows == 3
    assert store.radiomics(columns=["case_key"], snapshot="before").num_rows == 3


def test_tables_open_in_duckdb(made: FeatureStore) -> None:
    radiomics = made.table("radiomics").dataset()
    cases = made.table("cases").dataset()
    assert radiomics.count_rows() == cases.count_rows() + 1
    found = duckdb.sql(
        f"SELECT case_id, age, {MEAN} FROM radiomics JOIN cases USING (case_key, case_id) "
        f"WHERE radiomics_spec_id = '{RADIOMICS_SPEC.spec_id}' AND age > 41 ORDER BY age"
    ).fetchall()
    assert found == [("2", 42.0, feature_values(2)[MEAN]), ("3", 43.0, feature_values(3)[MEAN])]


def test_tables_open_in_polars(made: FeatureStore) -> None:
    lazy = pl.scan_delta(made.location.table_uri("radiomics"))
    found = lazy.filter(pl.col("center") == "B").select("case_id", MEAN).sort("case_id").collect()
    assert found.rows() == [(number, feature_values(int(number))[MEAN]) for number in ("1", "3", "3")]
    slices = pl.scan_delta(made.location.table_uri("embeddings")).filter(pl.col("is_largest")).collect()
    assert slices["slice_index"].to_list() == [2, 2, 2]
    assert slices["embedding"].dtype == pl.List(pl.Float32)
    wide = pl.from_arrow(made.wide(columns=["case_id", "age", MEAN, "embedding"], snapshot="before"))
    assert isinstance(wide, pl.DataFrame)
    assert wide.shape == (3, 4)


def test_the_page_on_values_shows_both(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it shows runs as it stands there."""
    monkeypatch.chdir(Path(store.location.path).parent)
    blocks = (ROOT / "docs" / "how-to" / "read-values.md").read_text(encoding="utf-8").split("```python\n")[1:]
    [code] = [code for block in blocks if "import duckdb" in (code := block.partition("```")[0])]
    names: dict[str, object] = {"store": store}
    exec(code, names)
    assert len(names["means"]) == 2
    assert names["contrast"].shape == (5, 2)


def test_rows_of_a_table_that_is_not_there_yet(made: FeatureStore, tmp_path: Path) -> None:
    """As in a store that an earlier revision wrote."""
    shutil.copytree(made.location.path, tmp_path / "store")
    shutil.rmtree(tmp_path / "store/tables/embeddings")
    shutil.rmtree(tmp_path / "store/heads")
    store = FeatureStore(str(tmp_path / "store"))
    assert store.embeddings().column_names == contracts.table("embeddings").arrow().names
    assert store.wide(columns=["case_id", "embedding"], spec=RADIOMICS_SPEC.spec_id)["embedding"].null_count == 4


def test_vectors_come_in_parts_in_the_order_of_their_keys(made: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is not there is an error, not an empty vector."""
    monkeypatch.setattr(reading, "PART_ROWS", 2)
    view, key = made.at(None), list(contracts.table("embeddings").key)
    rows = view.embeddings([*key, "embedding"]).sort_by([(name, "ascending") for name in key])
    parts = list(view.in_parts("embeddings", "embedding", rows.select(key)))
    assert len(parts) == 3
    assert pa.concat_arrays(parts).to_pylist() == rows["embedding"].to_pylist()
    foreign = rows.select(key).set_column(2, "input_digest", pa.array(["another"] * rows.num_rows))
    with pytest.raises(InternalError, match="2 rows of table embeddings were not found again"):
        next(view.in_parts("embeddings", "embedding", foreign))


def test_features_in_an_order_of_their_own_are_those_taken_at_once(made: FeatureStore) -> None:
    """A table that has newer rows than the version that is looked at is gone through column by column."""
    features, view = list(contracts.feature_names()), made.at(None)
    indices = view.indices("radiomics").take(pa.array([3, 0, 4, 2]))
    parts = list(view.in_order("radiomics", features, indices) or ())
    assert same(pa.concat_tables(parts).select(features), view.read("radiomics", features).take(indices))
    pin = view.pin("radiomics")
    assert pin is not None
    earlier = Pin(pin.version, pin.sequence - 1)
    assert made.table("radiomics").in_order(features, np.arange(3), earlier, 2**20) is None


def test_current_rows_come_in_batches_reduced_and_at_once(made: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """All say the same, of rows that are newest and of such as stand on them."""
    monkeypatch.setattr(tables, "ROWS_TOGETHER", 2)
    for snapshot in (None, "before"):
        for name in ("cases", "volumes", "rois", "radiomics", "embeddings"):
            view, key = made.at(snapshot), contracts.table(name).key
            columns = list(dict.fromkeys([*key, "case_key", "sequence"]))
            rows = view.rows(name, columns)
            assert pa.Table.from_batches(view.current(name, columns), rows.schema).to_pydict() == rows.to_pydict()
            reduced = made.at(snapshot).condensed(name, [key, ("case_key",)], ["sequence"])
            assert np.array_equal(reduced.keys[key], fingerprints_of(rows, key))
            assert np.array_equal(reduced.keys["case_key",], fingerprints_of(rows, ["case_key"]))
            assert reduced.others.to_pydict() == rows.select(["sequence"]).to_pydict()
            assert np.array_equal(made.at(snapshot).fingerprints(name, key), reduced.keys[key])


def test_a_whole_table_comes_some_columns_at_a_time(made: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there is room for, whether or not files stay open, and of an earlier version its rows alone."""
    view, columns = made.at(None), ["case_key", "image_digest", "sequence", "size_xyz"]
    whole, pin = view.read("volumes", columns), view.pin("volumes")
    assert pin is not None
    table = made.table("volumes")
    for kept in (0, 2**14):
        monkeypatch.setattr(open_files, "KEPT_COLUMNS", kept)
        assert [group.column_names for group in table.in_groups(columns, pin, 1)] == [[column] for column in columns]
        for most_bytes in (1, 300, 2**20):
            groups = list(table.in_groups(columns, pin, most_bytes))
            assert [column for group in groups for column in group.column_names] == columns
            assert all(same(group, whole.select(group.column_names)) for group in groups)
        earlier = Pin(pin.version, pin.sequence - 1)
        rows = whole.filter(pc.less(whole["sequence"], pin.sequence))
        assert 0 < rows.num_rows < whole.num_rows
        assert all(same(group, rows.select(group.column_names)) for group in table.in_groups(columns, earlier, 1))
