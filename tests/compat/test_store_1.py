"""The store that the first revision wrote: later ones read it, write it, and freeze it."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cvtbatch import contracts
from cvtbatch.store import FeatureStore, Selection, StoredArray, create_snapshot, erase_case, verify_snapshot
from tests.compat.make_store import read_plainly, write_archive
from tests.support.commands import extract_json

FOLDER = Path(__file__).parent / "store-1"
EXPECTED = json.loads(gzip.decompress((FOLDER / "expected.json.gz").read_bytes()))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / "store", tmp_path / "store"))


def rows(store: FeatureStore, name: str, columns: list[str]) -> list[dict[str, object]]:
    found = store.table(name).read(columns).to_pylist()
    return json.loads(json.dumps(sorted(found, key=str), default=str))


def test_it_is_what_was_written() -> None:
    assert repr(read_plainly(FOLDER / "store")) == repr(EXPECTED)
    assert {name: len(values) for name, values in EXPECTED.items()} == {
        "cases": 4,
        "failures": 1,
        "radiomics": 2,
        "rois": 2,
        "runs": 2,
        "specs": 2,
        "volumes": 4,
    }


def test_it_is_read_as_it_is(store: Path) -> None:
    opened = FeatureStore(str(store))
    for name, expected in EXPECTED.items():
        assert repr(rows(opened, name, list(expected[0]))) == repr(expected)
        later = set(contracts.table(name).arrow().names) - set(expected[0])
        for column in later:
            assert set(opened.table(name).read([column])[column].to_pylist()) == {None}
    assert opened.table("snapshots").read().num_rows == opened.embeddings().num_rows == 0
    assert opened.failures()["kind"].to_pylist() == ["empty_mask"]
    wide = opened.wide()
    features = {row["roi_key"]: row for row in EXPECTED["radiomics"]}
    for row in wide.to_pylist():
        for name in contracts.feature_names():
            assert repr(row[name]) == repr(features[row["roi_key"]].get(name))
    for row in EXPECTED["rois"]:
        assert int(opened.read_array(StoredArray(row["path"], row["checksum"])).sum()) == row["voxels"]


def test_only_columns_that_may_be_null_were_added() -> None:
    for name, expected in EXPECTED.items():
        added = [field for field in contracts.table(name).fields if field.name not in expected[0]]
        assert not [field.name for field in added if field.required]
        assert set(expected[0]) <= set(contracts.table(name).arrow().names)


def test_it_is_written_to_and_frozen(store: Path, tmp_path: Path) -> None:
    opened = FeatureStore.open_for_writing(str(store))
    for name in contracts.table_names():
        columns = {field.name for field in DeltaTable(opened.location.table_uri(name)).schema().fields}
        assert columns == set(contracts.table(name).arrow().names)
    snapshot, *_ = create_snapshot(opened, "first", Selection(), "test")
    document = extract_json(write_archive(tmp_path / "archive"), store, code=3)
    assert (document["cases"], document["failed"], document["awaiting_mask"]) == (4, 1, 1)
    again = FeatureStore(str(store))
    assert verify_snapshot(again, snapshot, checksums=True) == []
    erase_case(again, "A/0", from_snapshots=True)
    assert again.at("first").rows("cases").num_rows == 3
