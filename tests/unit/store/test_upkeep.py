"""Compaction and garbage: no value changes, and nothing that anybody needs goes.

Objects go on S3 too; that it bears a compaction, `tests/faults/test_writers.py` shows, and a snapshot, `test_erasure.py`.
"""

import datetime
import json
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
from click.testing import CliRunner
from deltalake import DeltaTable

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.pipelines.stores.upkeep import collect_garbage, compact_store
from cvtbatch.store import FeatureStore, StoredArray
from cvtbatch.store.erasure import erase_case
from cvtbatch.store.objects import list_objects, put
from cvtbatch.store.reading import Selection
from cvtbatch.store.rewriting import compact
from cvtbatch.store.snapshots import create_snapshot, read_snapshot
from cvtbatch.store.verification import verify_snapshot
from tests.support.store_rows import GRID, RADIOMICS_SPEC, add_cases, add_specs, case_rows, row, same

TOMORROW = datetime.timedelta(hours=25)


def keys(store: FeatureStore) -> set[str]:
    return {entry.key for entry in list_objects(store.location)}


def ordered(store: FeatureStore, name: str) -> pa.Table:
    return store.table(name).read().sort_by([(column, "ascending") for column in contracts.table(name).key])


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def orphans(store: FeatureStore) -> set[str]:
    """Leave in a store what interrupted writes leave, and return the keys."""
    before = keys(store)
    store.write_volume(np.zeros(GRID.shape_zyx, np.int16), GRID)
    store.write_mask(np.zeros(GRID.shape_zyx, np.uint8), GRID)
    half = uuid.uuid4().hex
    put(store.location, f"volumes/{half[:2]}/{half}.ome.zarr/zarr.json", b"{}")
    put(store.location, "tables/radiomics/part-00000-of-no-commit.snappy.parquet", b"PAR1")
    if store.location.scheme == "file":
        root = Path(store.location.path)
        for name in ("tables/radiomics/part-00001.snappy.parquet#1", "masks/zarr.json#12", "cvtbatch-store.json.probe"):
            (root / name).write_bytes(b"half")
    return keys(store) - before


def foreign(store: FeatureStore) -> set[str]:
    """Leave in a store what it knows nothing of, and return the keys."""
    names = {"notes.txt", "volumes/README", "tables/of_a_later_revision/part-0.parquet", "tables/radiomics/notes.txt"}
    for name in names:
        put(store.location, name, b"mine")
    return names


def test_compaction_changes_files_alone(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path))
    add_specs(store, RADIOMICS_SPEC)
    for number in range(3):
        add_cases(store, case_rows(store, number))
    names = ("volumes", "cases", "rois", "radiomics", "embeddings", "specs")
    before = {name: ordered(store, name) for name in names}
    opened = FeatureStore(str(tmp_path)).table("radiomics").dataset()
    document = compact_store(str(tmp_path))
    assert contracts.problems_of(document, "commands/compact.json") == []
    counts = {row["table"]: (row["files_before"], row["files_after"]) for row in document["tables"]}
    assert set(counts) == set(contracts.table_names())
    # Embeddings lie in two partitions.
    assert counts == {**counts, "radiomics": (3, 1), "cases": (3, 1), "embeddings": (6, 2), "specs": (1, 1)}
    again = FeatureStore(str(tmp_path))
    for name in names:
        after = ordered(again, name)
        assert after.schema == before[name].schema
        assert same(after, before[name]), name
    assert opened.count_rows() == 3
    assert opened.to_table(columns=["roi_key"]).num_rows == 3
    # A writer that knew every row before reads none of them again, and one that comes anew finds them.
    assert store.table("radiomics").append(case_rows(store, 2)["radiomics"]) == 0
    assert again.table("cases").append(case_rows(store, 1)["cases"]) == 0
    assert [row["files_after"] for row in compact_store(str(tmp_path))["tables"]] == [
        after for _, after in counts.values()
    ]


def test_statistics_stay_with_the_keys(tmp_path: Path) -> None:
    """Of every feature's column they double the time of a commit."""
    store = FeatureStore.open_for_writing(str(tmp_path))
    for number in range(2):
        store.table("radiomics").append(case_rows(store, number)["radiomics"])
    for compacted in (False, True):
        if compacted:
            compact(store.table("radiomics"), 2**26)
        actions = pa.table(DeltaTable(store.location.table_uri("radiomics")).get_add_actions(flatten=True))
        assert actions.num_rows == 2 - compacted
        columns = {name.partition(".")[2] for name in actions.column_names if name.startswith("min.")}
        assert {"roi_key", "radiomics_spec_id", "input_digest", "sequence"} <= columns
        assert not columns & set(contracts.feature_names())


def test_garbage_goes_and_nothing_else(store_url: str) -> None:
    store = FeatureStore.open_for_writing(store_url)
    add_cases(store, case_rows(store, 0, specs=()), case_rows(store, 1, specs=()))
    needed = keys(store) | foreign(store)
    garbage = orphans(store)
    assert collect_garbage(store_url, 24, False)["objects"] == 0, "young objects may be about to get their rows"
    for dry_run in (True, False):
        document = collect_garbage(store_url, 24, dry_run, now() + TOMORROW)
        assert contracts.problems_of(document, "commands/gc.json") == []
        assert set(document["keys"]) == garbage
        assert document["objects"] == len(garbage) == sum(found["objects"] for found in document["removed"])
        kinds = {found["kind"]: found["objects"] for found in document["removed"]}
        assert (kinds["volume"], kinds["mask"], kinds["data_file"]) == (4, 3, 1)
        assert keys(store) == needed | (garbage if dry_run else set())
    for name in ("volumes", "rois"):
        for stored in store.table(name).read().to_pylist():
            store.read_array(StoredArray(stored["path"], stored["checksum"]))
    if store.location.scheme == "file":
        groups = {key.split("/")[2] for key in needed if ".ome.zarr" in key}
        assert {path.name for path in Path(store_url).glob("*/*/*.ome.zarr")} == groups, "empty folders are left"


def test_what_snapshots_and_open_readers_need_stays(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path))
    # Narrow tables alone: what holds for one holds for all.
    for number in range(2):
        add_cases(store, case_rows(store, number, specs=()))
    snapshot, *_ = create_snapshot(store, "frozen", Selection(), "test")
    frozen = FeatureStore(str(tmp_path)).rois(snapshot="frozen")
    add_cases(store, case_rows(store, 2, specs=()))
    opened = FeatureStore(str(tmp_path)).table("rois").dataset()
    assert opened.count_rows() == 3
    compact_store(str(tmp_path))
    # The reader opened it an hour before the compaction, and an hour is within the time that is left to it.
    assert collect_garbage(str(tmp_path), 24, False, now() + datetime.timedelta(hours=23))["objects"] == 0
    assert opened.to_table(columns=["roi_key", "sequence"]).num_rows == 3
    removed = collect_garbage(str(tmp_path), 24, False, now() + TOMORROW)
    assert {found["kind"] for found in removed["removed"]} == {"data_file"}
    assert sum(key.startswith("tables/rois/") for key in removed["keys"]) == 1, "only the third append"
    again = FeatureStore(str(tmp_path))
    found = verify_snapshot(again, read_snapshot(again, "frozen"), checksums=True)
    assert {discrepancy.table for discrepancy in found} <= {"specs"}, "the rows name more of them than were written"
    assert same(again.rois(snapshot="frozen"), frozen)
    assert snapshot.content_digest == read_snapshot(again, "frozen").content_digest
    assert again.rois().num_rows == 3


def test_after_an_erasure_from_all_history_nothing_that_is_left_goes(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path))
    for number in range(2):
        add_cases(store, case_rows(store, number, specs=()))
    erase_case(store, "A/0", from_snapshots=True)
    left = keys(store)
    for hours in (25, 1):
        assert collect_garbage(str(tmp_path), 0, False, now() + datetime.timedelta(hours=hours))["objects"] == 0
    # As if the erasure were younger than the cut: the versions before it are gone, and nobody can be reading them.
    assert collect_garbage(str(tmp_path), 48, False)["objects"] == 0
    assert keys(store) == left
    assert FeatureStore(str(tmp_path)).table("cases").read(["case_key"])["case_key"].to_pylist() == ["A/1"]


def test_objects_of_a_run_that_has_not_ended_stay(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path))
    began = now()
    run = {"run_id": "20260101T000000-abcdef", "recorded_at": began}
    store.table("runs").append([row("runs", **run, state="started")])
    garbage = orphans(store)
    kept = collect_garbage(str(tmp_path), 0, False, now() + TOMORROW)
    assert (kept["keys"], kept["unended_runs"]) == ([], [run["run_id"]])
    assert datetime.datetime.fromisoformat(kept["written_before"]) == began
    week = datetime.timedelta(days=7, minutes=1)
    assert set(collect_garbage(str(tmp_path), 0, True, now() + week)["keys"]) == garbage, "it was killed"
    store.table("runs").append([row("runs", **run, state="completed")])
    assert set(collect_garbage(str(tmp_path), 0, False, now() + TOMORROW)["keys"]) == garbage


def test_the_commands(tmp_path: Path) -> None:
    store = FeatureStore.open_for_writing(str(tmp_path))
    for number in range(2):
        store.table("specs").append([row("specs", spec_id=f"vol-{number}", kind="volume")])

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, [*arguments, "--store", str(tmp_path)])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    assert "Compacted in" in run("compact")
    assert json.loads(run("compact", "--json"))["tables"][-2] == {"table": "specs", "files_before": 1, "files_after": 1}
    assert "tables/specs/part" in run("gc", "--dry-run", "--older-than", "0")
    assert json.loads(run("gc", "--older-than", "0", "--json"))["objects"] == 2
    assert "Removed" in run("gc")
    assert sorted(FeatureStore(str(tmp_path)).table("specs").read()["spec_id"].to_pylist()) == ["vol-0", "vol-1"]
