"""A case that is forgotten: out of the current tables, or out of every byte of the tables."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch import contracts
from cvtbatch.errors import InputError, StorageError
from cvtbatch.store import FeatureStore, Selection, create_snapshot, erase_case, read_snapshot, verify_snapshot
from tests.support.store_rows import EMBEDDING_SPEC, VOLUME_SPEC, add_cases, add_specs, case_rows, same

KEY = "A/2"


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a store of four cases, appended in three batches; one shares its image with the case to forget."""
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    add_specs(store, VOLUME_SPEC, EMBEDDING_SPEC)
    cases = [case_rows(store, 0, specs=()), case_rows(store, 2, specs=(), image="shared")]
    cases += [case_rows(store, 3, specs=(), image="shared"), case_rows(store, 20, specs=())]
    add_cases(store, *cases[:2])
    create_snapshot(store, "first", Selection(), "test")
    add_cases(store, cases[2])
    create_snapshot(store, "other", Selection(rois=("hematoma",)), "test")
    store.table("volumes").log.newest().optimize.compact()
    add_cases(store, cases[3])
    return store


def files(store: FeatureStore) -> list[Path]:
    return [path for path in Path(store.location.path).rglob("*") if path.is_file()]


def telling(store: FeatureStore, text: str) -> list[str]:
    """Return the files in which a text stands, between quotes or as a column's whole value."""
    found = []
    for path in files(store):
        if ".parquet" in path.suffix:
            try:
                values = repr(pq.ParquetFile(path).read().to_pylist())
            except pa.ArrowInvalid:
                values = repr(text)
        else:
            values = path.read_bytes().decode("latin-1").replace('\\"', "'").replace('"', "'")
        if f"'{text}'" in values:
            found.append(path.name)
    return found


def keys(store: FeatureStore, name: str, snapshot: str | None = None) -> set[str]:
    return set(store.at(snapshot).rows(name, ["case_key"])["case_key"].to_pylist())


def test_a_case_leaves_the_current_tables_and_snapshots_keep_it(store: FeatureStore) -> None:
    arrays = [row["path"] for row in store.rois().to_pylist() if row["case_key"] == KEY]
    done = erase_case(store, KEY, from_snapshots=False)
    assert done.rows["volumes"] == done.rows["cases"] == done.rows["rois"] == 1
    assert (done.kept_by, done.changed_snapshots, done.volumes) == (("first", "other"), (), 0)
    again = FeatureStore(store.location.path)
    for name in ("cases", "volumes", "rois", "embeddings"):
        assert keys(again, name) == {"A/0", "A/3", "A/20"}
        assert KEY in keys(again, name, "first")
    assert all((Path(store.location.path) / path).exists() for path in arrays)
    for name in ("first", "other"):
        assert verify_snapshot(again, read_snapshot(again, name), checksums=True) == []
    with pytest.raises(InputError, match="--from-snapshots") as raised:
        erase_case(again, KEY, from_snapshots=False)
    assert raised.value.kind == "no_such_case"


def test_a_case_leaves_no_byte_where_it_leaves_the_snapshots(store: FeatureStore) -> None:
    root = Path(store.location.path)
    arrays = {row["case_key"]: row["path"] for row in store.rois().to_pylist()}
    before = {name: store.at("first").rows(name).filter(~_is_case(store, name)) for name in ("cases", "embeddings")}
    assert len(telling(store, KEY)) > 5
    leftover = root / "tables/rois/part-00009-killed.snappy.parquet#1"
    leftover.write_bytes(b"PAR1 not finished")
    with pytest.raises(StorageError) as raised:
        erase_case(store, KEY, from_snapshots=True)
    assert raised.value.kind == "store_busy"
    os.utime(leftover, (time.time() - 3600,) * 2)
    # The rows are gone by now, their history is not.
    done = erase_case(FeatureStore(store.location.path), KEY, from_snapshots=True)
    assert done.volumes == 2
    assert telling(store, KEY) == telling(store, f"{KEY}/hematoma/A/1") == telling(store, "input-A-2") == []
    assert telling(store, "shared")
    assert telling(store, "A/20")
    assert not list((root / arrays[KEY]).rglob("*.json"))
    again = FeatureStore(store.location.path)
    for name in ("first", "other"):
        snapshot = read_snapshot(again, name)
        assert snapshot.erased_cases == 1
        assert verify_snapshot(again, snapshot, checksums=True) == []
        assert KEY not in keys(again, "volumes", name)
    assert keys(again, "volumes", "first") == {"A/0"}
    assert keys(again, "cases", "other") == {"A/0", "A/3"}
    for name, rows in before.items():
        order = [(column, "ascending") for column in contracts.table(name).key]
        assert same(again.at("first").rows(name).sort_by(order), rows.sort_by(order))
    add_cases(again, case_rows(again, 7, specs=()))
    assert keys(again, "rois") == {"A/0", "A/3", "A/20", "A/7"}
    with pytest.raises(InputError):
        erase_case(again, KEY, from_snapshots=True)


def _is_case(store: FeatureStore, name: str) -> pa.compute.Expression:
    return pa.compute.field("case_key") == KEY


def test_a_key_may_hold_quotes(store: FeatureStore) -> None:
    case = case_rows(store, 9, center="d'Or", specs=())
    add_cases(store, case)
    erase_case(store, "d'Or/9", from_snapshots=True)
    assert telling(store, "d'Or/9") == []
    assert read_snapshot(store, "first").erased_cases == 0
    assert verify_snapshot(store, read_snapshot(store, "first")) == []


def test_a_case_leaves_object_storage(s3_bucket: str) -> None:
    store = FeatureStore.open_for_writing(f"{s3_bucket}/store")
    add_specs(store, VOLUME_SPEC, EMBEDDING_SPEC)
    add_cases(store, case_rows(store, 0, specs=()), case_rows(store, 2, specs=()))
    create_snapshot(store, "first", Selection(), "test")
    assert erase_case(store, KEY, from_snapshots=False).kept_by == ("first",)
    assert keys(store, "cases", "first") == {"A/0", KEY}
    done = erase_case(store, KEY, from_snapshots=True)
    assert (done.volumes, done.changed_snapshots) == (2, ("first",))
    again = FeatureStore(f"{s3_bucket}/store")
    assert keys(again, "rois", "first") == keys(again, "embeddings") == {"A/0"}
    assert verify_snapshot(again, read_snapshot(again, "first"), checksums=True) == []
