"""What a snapshot freezes, and that it is the same later, elsewhere, and however the files are cut."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.spec import outline_spec
from cvtbatch.store import FeatureStore, Selection, automatic_snapshot, create_snapshot, read_snapshots, verify_snapshot
from cvtbatch.store.snapshots import pinned_versions
from tests.support.store_rows import (
    EMBEDDING_SPEC,
    RADIOMICS_SPEC,
    VOLUME_SPEC,
    add_cases,
    add_specs,
    case_rows,
    radiomics_spec_of,
    row,
    same,
)

OTHER_SPEC = radiomics_spec_of(binWidth=10)
EVERYTHING = Selection()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of four cases in two centres, with a snapshot; one ROI has features of a second specification."""
    path = tmp_path_factory.mktemp("made") / "store"
    store = FeatureStore.open_for_writing(str(path))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, OTHER_SPEC, EMBEDDING_SPEC)
    cases = [case_rows(store, number, "AB"[number % 2]) for number in range(3)]
    add_cases(store, *cases, case_rows(store, 3, "B", specs=(RADIOMICS_SPEC, OTHER_SPEC)))
    create_snapshot(store, "first", EVERYTHING, "test")
    return path


@pytest.fixture
def store(made: Path, tmp_path: Path) -> FeatureStore:
    shutil.copytree(made, tmp_path / "store")
    return FeatureStore(str(tmp_path / "store"))


def digest_of(store: FeatureStore, name: str) -> str:
    """Freeze everything again and return the digest."""
    return create_snapshot(store, name, EVERYTHING, "test")[0].content_digest


def test_appends_compaction_vacuum_and_a_copy_change_no_digest(store: FeatureStore, tmp_path: Path) -> None:
    first = read_snapshots(store)[0]
    cases = store.at("first").rows("cases")
    roi = store.at("first").rows("rois").to_pylist()[0]
    for number in range(20):
        # Others' rows, and corrected values of those that are frozen.
        store.table("cases").append(
            [{**cases.to_pylist()[0], "clinical_digest": f"new {number}", "age": 90.0 + number}]
        )
        store.table("rois").append([{**roi, "input_digest": f"outlined anew {number}"}])
    add_cases(store, case_rows(store, 9, "A"))
    for name in contracts.table_names():
        table = DeltaTable(store.location.table_uri(name))
        table.optimize.compact()
        kept = pinned_versions(store, name) if name != "snapshots" else [table.version()]
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True, keep_versions=kept)
    elsewhere = tmp_path / "other" / "place"
    shutil.copytree(store.location.path, elsewhere)
    shutil.rmtree(store.location.path)
    copy = FeatureStore(str(elsewhere))
    assert verify_snapshot(copy, first, checksums=True) == []
    assert same(copy.at("first").rows("cases"), cases)
    assert copy.radiomics(columns=["case_key"], snapshot="first", spec=RADIOMICS_SPEC.spec_id).num_rows == 4
    assert copy.at(None).rows("cases", ["age"])["age"].to_pylist().count(109.0) == 1
    assert copy.rois().num_rows == 5
    assert digest_of(copy, "later") != first.content_digest


def test_short_retention_takes_nothing_that_a_snapshot_needs(store: FeatureStore) -> None:
    """Delta's own clean-up of log and files, told to keep nothing: what its tables were created with holds it off."""
    shortest = {
        "delta.logRetentionDuration": "interval 0 seconds",
        "delta.deletedFileRetentionDuration": "interval 0 seconds",
    }
    cases = store.table("cases")
    delta = DeltaTable(store.location.table_uri("cases"))
    delta.alter.set_table_properties(shortest)
    rows = store.at("first").rows("cases").to_pylist()
    for number in range(101):  # past a checkpoint, at which Delta cleans its log
        cases.append([{**rows[0], "clinical_digest": str(number)}])
    delta = DeltaTable(store.location.table_uri("cases"))
    delta.optimize.compact()
    delta.create_checkpoint()
    assert (Path(store.location.path) / "tables" / "cases" / "_delta_log" / f"{0:020d}.json").exists()
    kept = pinned_versions(store, "cases")
    assert kept == [1]
    delta.vacuum(dry_run=False, enforce_retention_duration=False, full=True, keep_versions=kept)
    fresh = FeatureStore(store.location.path)
    assert verify_snapshot(fresh, read_snapshots(fresh)[0]) == []
    # And so it is the kept versions that keep it.
    delta.vacuum(dry_run=False, enforce_retention_duration=False, full=True)
    fresh = FeatureStore(store.location.path)
    [found] = verify_snapshot(fresh, read_snapshots(fresh)[0])
    assert (found.table, found.what) == ("cases", "readable")


def test_a_name_is_given_once(store: FeatureStore) -> None:
    first, new, _ = create_snapshot(store, "first", EVERYTHING, "test")
    assert not new
    assert first.revision == 0
    with pytest.raises(InputError, match="choose another name") as raised:
        create_snapshot(store, "first", Selection(centers=("A",)), "test")
    assert raised.value.kind == "snapshot_exists"
    assert [snapshot.name for snapshot in read_snapshots(store)] == ["first"]


@pytest.mark.parametrize("name", ["", "a b", "../x", "auto-mine", ".hidden", "x" * 65, "ä"])
def test_names_are_checked(store: FeatureStore, name: str) -> None:
    with pytest.raises(InputError) as raised:
        create_snapshot(store, name, EVERYTHING, "test")
    assert raised.value.kind == "bad_snapshot_name"


def test_of_two_at_once_under_one_name_the_first_counts(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    table, append = store.table("snapshots"), store.table("snapshots").append
    other = FeatureStore(store.location.path)

    def after_the_other(rows: list[dict[str, object]]) -> int:
        monkeypatch.undo()
        create_snapshot(other, "second", Selection(centers=("B",)), "test")
        return append(rows)

    monkeypatch.setattr(table, "append", after_the_other)
    with pytest.raises(InputError) as raised:
        create_snapshot(store, "second", Selection(centers=("A",)), "test")
    assert raised.value.kind == "snapshot_exists"
    assert read_snapshots(store)[-1].selection.centers == ("B",)


def test_a_selection_restricts_what_is_read(store: FeatureStore) -> None:
    chosen = Selection(centers=("B",), spec_ids=(OTHER_SPEC.spec_id,), rois=("hematoma",))
    snapshot, *_ = create_snapshot(store, "b", chosen, "test")
    assert snapshot.selection.spec_ids == tuple(sorted((OTHER_SPEC.spec_id, VOLUME_SPEC.spec_id)))
    assert snapshot.named_specs == tuple(sorted((OTHER_SPEC.spec_id, VOLUME_SPEC.spec_id, EMBEDDING_SPEC.spec_id)))
    assert {name: frozen.rows for name, frozen in snapshot.tables.items() if frozen.rows} == {
        "cases": 2,
        "volumes": 2,
        "rois": 2,
        "radiomics": 1,
        "embeddings": 4,
    }
    assert store.radiomics(columns=["case_key"], snapshot="b")["case_key"].to_pylist() == ["B/3"]
    assert set(store.rois("b")["center"].to_pylist()) == {"B"}
    for wrong, kind in ((Selection(("C",)), "no_such_center"), (Selection((), ("rad-0",)), "no_such_spec")):
        with pytest.raises(InputError) as raised:
            create_snapshot(store, "wrong", wrong, "test")
        assert raised.value.kind == kind


def test_a_selection_of_found_outlines_leaves_those_of_people_and_no_other_method_s(store: FeatureStore) -> None:
    ours, others = (outline_spec(VOLUME_SPEC, {"method": name}) for name in ("threshold", "command"))
    add_specs(store, ours, others)
    case = {"case_key": "B/1", "center": "B", "case_id": "1", "volume_spec_id": VOLUME_SPEC.spec_id}
    image = {"image_digest": "image-B-1"}
    for spec in (ours, others):
        found = {"roi_key": f"B/1/hematoma/{spec.spec_id}/1", "roi": "hematoma", "reader": spec.spec_id}
        store.table("rois").append([row("rois", **case, **image, **found, outline_spec_id=spec.spec_id)])
        store.table("outlines").append([row("outlines", **case, **image, outline_spec_id=spec.spec_id)])
    # Of an image that is not the case's any more.
    stale = {**case, "case_key": "B/3", "case_id": "3", "image_digest": "another", "outline_spec_id": ours.spec_id}
    store.table("outlines").append([row("outlines", **stale)])
    snapshot, *_ = create_snapshot(store, "found", Selection(centers=("B",), spec_ids=(ours.spec_id,)), "test")
    assert ours.spec_id in snapshot.named_specs
    assert others.spec_id not in snapshot.named_specs
    rois = {"B/1/hematoma/A/1", "B/3/hematoma/A/1", f"B/1/hematoma/{ours.spec_id}/1"}
    assert set(store.rois("found")["roi_key"].to_pylist()) == rois
    outlines = store.at("found").rows("outlines")
    assert [(line["case_key"], line["outline_spec_id"]) for line in outlines.to_pylist()] == [("B/1", ours.spec_id)]
    assert store.at(None).rows("outlines").num_rows == 2


def test_nothing_cannot_be_frozen(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path / "empty"))
    with pytest.raises(InputError) as raised:
        create_snapshot(store, "first", EVERYTHING, "test")
    assert raised.value.kind == "empty_snapshot"
    assert automatic_snapshot(store, "test").automatic
    with pytest.raises(InputError, match="the nearest of its 1 is auto-") as raised:
        store.rois("first")
    assert raised.value.kind == "no_such_snapshot"


def test_automatic_snapshots_are_recorded_once_for_one_content(store: FeatureStore) -> None:
    one = automatic_snapshot(store, "export")
    assert one.name == f"auto-{one.content_digest[:12]}"
    assert one.content_digest == read_snapshots(store)[0].content_digest
    # An append that changes no content, and one that does.
    volume = store.at(None).rows("volumes").to_pylist()[0]
    store.table("volumes").append([{**volume, "image_fingerprint": "touched"}])
    assert automatic_snapshot(store, "score").name == one.name
    case = store.at(None).rows("cases").to_pylist()[0]
    store.table("cases").append([{**case, "age": 1.0, "clinical_digest": "corrected"}])
    assert automatic_snapshot(store, "score").name != one.name
    assert [snapshot.made_by for snapshot in read_snapshots(store)] == ["test", "export", "score"]


def test_verification_says_what_differs(store: FeatureStore) -> None:
    first = read_snapshots(store)[0]
    path = Path(store.location.path)
    rois = store.rois().to_pylist()
    (path / rois[0]["path"] / "zarr.json").unlink()
    damaged = path / rois[1]["path"] / "0" / "zarr.json"
    damaged.write_text(damaged.read_text() + " ")
    found = verify_snapshot(store, first)
    assert [(problem.table, problem.what, problem.recorded) for problem in found] == [
        ("rois", "object", rois[0]["path"])
    ]
    assert {problem.found for problem in verify_snapshot(store, first, checksums=True)} == {
        "gone, wholly or in part",
        "volume_damaged",
    }
    # A value that was changed behind the store's back, in the file that holds it.
    [file] = store.table("cases").files_at(1)
    rows = pa.parquet.read_table(path / file)
    ages = pa.array([1.5] * rows.num_rows)
    pa.parquet.write_table(rows.set_column(rows.column_names.index("age"), "age", ages), path / file)
    fresh = FeatureStore(store.location.path)
    assert {(problem.table, problem.what) for problem in verify_snapshot(fresh, first)} == {("cases", "readable")}


def test_a_table_gains_columns_when_it_is_opened_for_writing(store: FeatureStore) -> None:
    """As a store of an earlier revision does: its table lacks a column, and the snapshot of it stays what it was."""
    uri = store.location.table_uri("cases")
    contract = contracts.table("cases").arrow()
    lacking = pa.schema([field for field in contract if field.name not in {"quality", "headache"}])
    kept = store.table("cases").read(lacking.names)
    shutil.rmtree(uri)
    write_deltalake(uri, kept.slice(0, 0), mode="append")
    first_append = CommitProperties(app_transactions=[Transaction("cvtbatch", 1)])
    write_deltalake(uri, kept, mode="append", commit_properties=first_append)
    assert verify_snapshot(FeatureStore(store.location.path), read_snapshots(store)[0]) == []
    newer = FeatureStore.open_for_writing(store.location.path)
    assert {field.name for field in DeltaTable(uri).schema().fields} == set(contract.names)
    assert newer.at(None).rows("cases", ["quality"])["quality"].null_count == 4
    assert newer.table("cases").append([row("cases", case_key="C/1", center="C", quality="good")]) == 1
    assert verify_snapshot(newer, read_snapshots(newer)[0]) == []
    older = FeatureStore(store.location.path).table("cases")
    assert set(older.read(["quality"])["quality"].to_pylist()) == {None, "good"}
