"""Where a store may lie."""

from pathlib import Path

import pytest

from cvtbatch.errors import StorageError
from cvtbatch.store import FeatureStore, Location
from tests.support.store_rows import row

SPEC = row("specs", spec_id="a", kind="volume")


@pytest.mark.parametrize("name", ["with space", "Müller", "a#b", "a?b", "a&b=c", "+plus", "ünï © 株"])
def test_a_store_may_lie_under_any_name(tmp_path: Path, name: str) -> None:
    url = str(tmp_path / name / "store")
    store = FeatureStore.open_for_writing(url)
    assert store.table("specs").append([SPEC]) == 1
    assert FeatureStore(url).table("specs").read(["spec_id"])["spec_id"].to_pylist() == ["a"]
    assert FeatureStore(url).table("specs").append([SPEC]) == 0


@pytest.mark.parametrize("name", ["100%", "a[b]", "a{b"])
def test_names_that_delta_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError) as raised:
        FeatureStore.open_for_writing(str(tmp_path / name))
    assert raised.value.kind == "unusable_path"
    assert not (tmp_path / name).exists()


def test_a_file_url_is_decoded(tmp_path: Path) -> None:
    FeatureStore.open_for_writing((tmp_path / "a b").as_uri())
    assert FeatureStore(str(tmp_path / "a b")).format_version == 1


def test_a_path_through_the_parent_folder_is_that_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere" / "work").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "work")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Location.of("../store") == Location.of(str(tmp_path / "store"))
    assert Location.of(f"{tmp_path}/link/../store") == Location.of(str(tmp_path / "elsewhere" / "store"))
