"""Values that describe outlines beside features, each kind a table of its own, in the store: signs and geometry."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import pyarrow.csv as pa_csv
import pytest

from cvtbatch import contracts, units
from cvtbatch.errors import InputError, StorageError
from cvtbatch.pipelines.extraction import descriptions
from cvtbatch.pipelines.extraction.descriptions import Description
from cvtbatch.signs.signs import find_signs
from cvtbatch.store import FeatureStore, StoredArray, read_snapshots
from cvtbatch.store.known_rows import Row
from cvtbatch.store.tables import Table
from tests.support.archives import skulled_archive, tiny_archive, write_rows
from tests.support.commands import appended, cvtbatch, extract_json
from tests.support.store_contents import grid_of

SIGNS = ("--set", "describe=[signs]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases in a store that is finished without signs, and then gets them."""
    folder = tmp_path_factory.mktemp("signs")
    tiny_archive(folder / "archive", 2)
    first = _extract(folder)
    assert first["descriptions"] == {}
    assert "signs" not in first["rows"]  # type: ignore[operator]
    document = _extract(folder, *SIGNS)
    assert document["plan"] == [{"reason": "no features under this specification", "cases": 2}]
    assert appended(document) == {"signs": 2}
    assert (document["decoded"], document["computed"]) == (0, 2)
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(folder, tmp_path / "signs"))


def _extract(folder: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    return extract_json(folder / "archive" / "manifest.csv", folder / "store", *arguments, code=code)


def _store(folder: Path) -> FeatureStore:
    return FeatureStore(str(folder / "store"))


def _status(folder: Path) -> dict[str, dict[str, int]]:
    document: dict[str, dict[str, int]] = json.loads(
        cvtbatch("status", "--store", folder / "store", "--json", check=True).stdout
    )
    return document


def test_rows_hold_what_the_stored_volume_and_mask_give(folder: Path) -> None:
    store = _store(folder)
    rows = store.signs(where="case_id = '001'")
    [row], [roi] = rows.to_pylist(), store.rois(where="case_id = '001'").to_pylist()
    [volume] = [found for found in store.current("volumes").to_pylist() if found["case_key"] == roi["case_key"]]
    hu_zyx, mask_zyx = (store.read_array(StoredArray(found["path"], found["checksum"])) for found in (volume, roi))
    assert {name: row[name] for name in find_signs(hu_zyx, mask_zyx, grid_of(volume)).to_row()} == find_signs(  # type: ignore[arg-type]
        hu_zyx,  # type: ignore[arg-type]
        mask_zyx,  # type: ignore[arg-type]
        grid_of(volume),
    ).to_row()
    assert (row["roi_key"], row["input_digest"]) == (roi["roi_key"], roi["input_digest"])
    assert row["volume_ml"] == pytest.approx(roi["volume_ml"])
    assert row["largest_slice_area_mm2"] == pytest.approx(roi["largest_slice_area_mm2"])
    assert {name: unit for name, unit in units(rows).items() if name.startswith("largest")} == {
        "largest_slice_area_mm2": "mm2",
        "largest_slice_diameter_mm": "mm",
    }
    assert store.signs(columns=["roi_key"], where="volume_ml < 0").num_rows == 0


def test_what_is_there_is_done_and_a_run_without_leaves_it(folder: Path) -> None:
    assert _extract(folder, *SIGNS)["already_done"] == 2
    assert _extract(folder)["already_done"] == 2
    status = _status(folder)
    assert (status["cases"]["done"], status["rows"]["signs"]) == (2, 2)


def _raised(describe: Callable[..., Row] | None = None) -> AbstractContextManager[object]:
    """Return a context in which signs have another revision, and another function if one is given."""
    there = descriptions.DESCRIPTIONS["signs"]
    raised = Description({**there.settings, "revision": 99}, describe or there.describe)
    return mock.patch.dict(descriptions.DESCRIPTIONS, {"signs": raised})


def test_another_revision_lies_beside(copied: Path) -> None:
    with _raised():
        assert appended(_extract(copied, *SIGNS)) == {"signs": 2}
    store = _store(copied)
    told = r"(?s)there are signs rows of 2 specifications.*signs\.revision: (1 \| 99|99 \| 1)"
    with pytest.raises(InputError, match=told):
        store.signs()
    found = json.loads(cvtbatch("spec", "list", "--store", copied / "store", "--json", check=True).stdout)["specs"]
    mine = [spec for spec in found if spec["kind"] == "signs"]
    assert [(spec["rows"], spec["parent_id"][:4]) for spec in mine] == [(2, "vol-"), (2, "vol-")]
    assert {store.signs(spec=spec["spec_id"]).num_rows for spec in mine} == {2}


def test_what_fails_leaves_the_rest_and_is_tried_again(copied: Path) -> None:
    def fail(*_: object) -> Row:
        raise ValueError("private")

    with _raised(fail):
        document = _extract(copied, *SIGNS, code=3)
        assert document["failures"] == [{"stage": "signs", "kind": "internal_error", "cases": 2}]
        assert appended(document) == {"failures": 2}
        assert appended(_extract(copied, *SIGNS, code=3)) == {}
    status = _status(copied)
    assert (status["cases"]["failed"], status["cases"]["done"]) == (2, 0)
    assert "private" not in str(_store(copied).failures().to_pylist())
    with _raised():
        assert appended(_extract(copied, *SIGNS, "--retry-failed")) == {"signs": 2, "failures": 2}
    assert _status(copied)["cases"]["done"] == 2


def test_a_run_that_stops_before_the_table_is_continued(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Table.append

    def full(table: Table, rows: Sequence[Row]) -> int:
        if table.contract.name == "signs":
            raise StorageError("store_full", "no room")
        return append(table, rows)

    manifest, store = copied / "archive" / "manifest.csv", copied / "store"
    with _raised():
        with monkeypatch.context() as patched:
            patched.setattr(Table, "append", full)
            assert cvtbatch("extract", manifest, "--store", store, "--workers", 0, *SIGNS).returncode == 1
        assert _status(copied)["cases"]["done"] == 0
        assert appended(_extract(copied, *SIGNS)) == {"signs": 2}


def test_found_outlines_are_described_without_the_archive(tmp_path: Path) -> None:
    write_rows(tmp_path / "manifest.csv", skulled_archive(tmp_path, 1))
    arguments = ("--set", "volume.spacing_mm=[2,2,5]", "--set", "outline.method=threshold")
    extract_json(tmp_path / "manifest.csv", tmp_path / "store", *arguments)
    document = extract_json(tmp_path / "manifest.csv", tmp_path / "store", *arguments, *SIGNS)
    assert (appended(document), document["decoded"]) == ({"signs": 1}, 0)
    [row], [roi] = (FeatureStore(str(tmp_path / "store")).current(name).to_pylist() for name in ("signs", "rois"))
    assert (row["input_digest"], row["reader"].partition(":")[0]) == (roi["input_digest"], "threshold")


def test_snapshots_exports_and_erasure_know_the_table(copied: Path) -> None:
    """An erased patient is not in it, not even in its history."""
    url, out = copied / "store", copied / "signs.csv"
    cvtbatch("snapshot", "create", "before", "--store", url, check=True)
    exported = cvtbatch("export", "signs", "--store", url, "--out", out, check=True)
    assert "2 rows" in exported.stdout
    assert pa_csv.read_csv(out).column_names == contracts.table("signs").arrow().names
    forgotten = cvtbatch("forget", "A/000", "--store", url, "--from-snapshots", "--json", check=True)
    assert json.loads(forgotten.stdout)["rows"]["signs"] == 1
    store = _store(copied)
    assert store.signs()["case_id"].to_pylist() == ["001"]
    assert store.signs(snapshot="before")["case_id"].to_pylist() == ["001"]
    for file in (url / "tables" / "signs").rglob("*"):
        assert not file.is_file() or b"A/000" not in file.read_bytes()
    [snapshot] = [found for found in read_snapshots(store) if found.name == "before"]
    assert snapshot.tables["signs"].rows == 1
    cvtbatch("snapshot", "verify", "before", "--store", url, check=True)


def test_a_word_that_is_no_description_is_refused(folder: Path) -> None:
    manifest = folder / "archive" / "manifest.csv"
    refused = cvtbatch("extract", manifest, "--store", folder / "store", "--set", "describe=[sign]", "--workers", 0)
    assert refused.returncode == 1
    assert "describe.0: 'sign' is not one of signs, locations; did you mean 'signs'" in refused.stderr
