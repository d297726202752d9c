"""What is a store, and one that this version can open."""

import json
from pathlib import Path

import pytest

from cvtbatch.errors import FormatError, StorageError
from cvtbatch.store import FeatureStore


def test_newer_and_damaged_formats_are_refused(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path))
    path = Path(store.location.path) / "cvtbatch-store.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "format_version": 2}))
    with pytest.raises(FormatError, match="format version 2") as raised:
        FeatureStore.open_for_writing(store.location.path)
    assert raised.value.kind == "store_too_new"
    nobody = json.dumps({**document, "created_by": 5}, indent=2) + "\n"
    for content in ("{", json.dumps({"format": "other"}), "[]", nobody):
        path.write_text(content)
        with pytest.raises(FormatError) as raised:
            FeatureStore(store.location.path)
        assert raised.value.kind == "store_damaged"


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        FeatureStore(str(tmp_path / "absent"))
    assert raised.value.kind == "no_store"
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError) as raised:
        FeatureStore.open_for_writing(str(tmp_path))
    assert raised.value.kind == "not_a_store"
    with pytest.raises(StorageError) as raised:
        FeatureStore.open_for_writing(str(tmp_path / "notes.txt" / "store"))
    assert raised.value.kind == "store_not_writable"
    with pytest.raises(StorageError) as raised:
        FeatureStore("ftp://host/store")
    assert raised.value.kind == "unknown_store_url"


def test_a_place_is_looked_at_before_any_work_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for place, kind in (
        ("", "not_a_store"),
        ("notes.txt", "store_not_writable"),
        ("notes.txt/store", "store_not_writable"),
    ):
        with pytest.raises(StorageError) as raised:
            FeatureStore.require_place(str(tmp_path / place))
        assert raised.value.kind == kind
    FeatureStore.require_place(str(tmp_path / "new" / "store"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    FeatureStore.open_for_writing(str(tmp_path / "new" / "store"))
    FeatureStore.require_place(str(tmp_path / "new" / "store"))
