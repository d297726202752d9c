"""A store that a command reads is pinned to a snapshot: named, or recorded for it."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError, StorageError
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.store import FeatureStore, Selection, create_snapshot, read_snapshots
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, add_cases, add_specs, case_rows


@pytest.fixture
def url(tmp_path: Path) -> str:
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC)
    add_cases(store, case_rows(store, 0, "A"))
    create_snapshot(store, "first", Selection(), "test")
    add_cases(store, case_rows(store, 1, "A"))
    return store.location.url


def test_a_named_snapshot_is_read_and_none_is_recorded(url: str) -> None:
    pinned = open_pinned(url, "first", "fit")
    [first] = read_snapshots(FeatureStore(url))
    assert (pinned.name, pinned.snapshot, pinned.content_digest) == ("first", first, first.content_digest)
    assert pinned.view.rows("cases").num_rows == 1
    assert pinned.store.at(None).rows("cases").num_rows == 2


def test_without_a_name_the_rows_of_now_are_recorded_once(url: str) -> None:
    one, other = open_pinned(url, None, "fit"), open_pinned(f"file://{url}", None, "score")
    assert one.view.rows("cases").num_rows == 2
    assert (one.snapshot.automatic, one.snapshot.made_by) == (True, "fit")
    assert other.snapshot == one.snapshot == read_snapshots(FeatureStore(url))[-1]


def test_what_is_not_there_is_refused_and_not_made(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the nearest of its 1 is first"):
        open_pinned(url, "frist", "fit")
    for snapshot in (None, "first"):
        with pytest.raises(StorageError, match="there is no store"):
            open_pinned(str(tmp_path / "other"), snapshot, "fit", for_writing=True)
    assert not (tmp_path / "other").exists()


def test_a_store_that_cannot_be_written_is_read_at_a_snapshot_that_it_has(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("store_not_writable", "the file system is read-only")

    monkeypatch.setattr(FeatureStore, "open_for_writing", refuse)
    assert open_pinned(url, "first", "export").name == "first"
    with pytest.raises(StorageError, match="name it by --snapshot"):
        open_pinned(url, None, "export")
    with pytest.raises(StorageError, match=r"read-only$"):
        open_pinned(url, None, "score", for_writing=True)
