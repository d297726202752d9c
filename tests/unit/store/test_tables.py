import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.errors import InputError, InternalError
from cvtbatch.store import FeatureStore, open_files, table_log
from cvtbatch.store.data_files import StoredRows
from cvtbatch.store.location import Location
from cvtbatch.store.rewriting import compact
from cvtbatch.store.tables import Table

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def spec(name: str) -> dict[str, object]:
    return {"spec_id": name, "kind": "volume", "parent_id": "", "settings": "{}", "run_id": "r", "recorded_at": NOW}


def event(key: str, kind: str, resolved: bool = False, run: str = "r") -> dict[str, object]:
    identity = {"case_key": key, "center": "A", "case_id": key, "roi_key": "", "spec_id": "vol-1"}
    what = {
        "scope": "extraction",
        "input_digest": "",
        "stage": "read",
        "kind": kind,
        "message": kind,
        "traceback_digest": "",
        "source_fingerprint": "f",
    }
    return {**identity, **what, "resolved": resolved, "manifest_row": 1, "run_id": run, "recorded_at": NOW}


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.open_for_writing(str(tmp_path / "store"))


def names(table: Table) -> list[str]:
    return sorted(table.read(["spec_id"])["spec_id"].to_pylist())


def test_a_key_is_appended_once(store: FeatureStore) -> None:
    table = store.table("specs")
    assert table.append([spec("a"), spec("b"), spec("a")]) == 2
    assert table.append([spec("b"), spec("c")]) == 1
    assert table.append([spec("c")]) == 0
    assert names(table) == ["a", "b", "c"]


def test_another_handle_sees_what_is_there(store: FeatureStore) -> None:
    """As a coordinator that starts again, or another one beside it."""
    store.table("specs").append([spec("a")])
    other = FeatureStore(store.location.path)
    assert other.table("specs").append([spec("a"), spec("b")]) == 1
    assert store.table("specs").append([spec("b")]) == 0


def test_the_newest_row_of_a_key_is_current(store: FeatureStore) -> None:
    table = store.table("failures")
    assert table.append([event("1", "empty_mask"), event("2", "single_slice")]) == 2
    assert table.append([event("1", "empty_mask")]) == 0
    assert table.append([event("1", "succeeded", resolved=True)]) == 1
    assert table.append([event("1", "empty_mask", run="later")]) == 1
    assert [row["kind"] for row in table.current().sort_by("case_key").to_pylist()] == ["empty_mask", "single_slice"]
    assert table.append([event("1", "succeeded", resolved=True)]) == 1
    assert store.failures()["case_key"].to_pylist() == ["2"]


def test_of_two_rows_of_a_key_in_one_append_the_last_counts(store: FeatureStore) -> None:
    table = store.table("failures")
    assert table.append([event("1", "ended", resolved=True), event("1", "empty_mask")]) == 1
    assert store.failures()["kind"].to_pylist() == ["empty_mask"]
    assert FeatureStore(store.location.path).table("failures").append([event("1", "empty_mask")]) == 0


def test_order_is_the_sequence_and_not_the_clock(store: FeatureStore) -> None:
    table = store.table("failures")
    table.append([event("1", "empty_mask")])
    table.append([{**event("1", "succeeded", resolved=True), "recorded_at": NOW - datetime.timedelta(days=9)}])
    assert store.failures().num_rows == 0


def test_two_coordinators_from_one_version_conflict_and_double_nothing(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = store.table("specs"), FeatureStore(store.location.path).table("specs")
    refresh = mine._refresh
    interfered = False

    def and_then_the_other_commits() -> DeltaTable:
        nonlocal interfered
        delta = refresh()
        if not interfered:
            interfered = True
            assert theirs.append([spec("a"), spec("b")]) == 2
        return delta

    monkeypatch.setattr(mine, "_refresh", and_then_the_other_commits)
    assert mine.append([spec("b"), spec("c")]) == 1
    assert names(mine) == ["a", "b", "c"]


def test_a_commit_that_was_not_acknowledged_does_no_harm(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit lands, and the coordinator hears of an error."""
    commit = DeltaTable.create_write_transaction

    def lands_and_fails(*arguments: object, **keywords: object) -> None:
        commit(*arguments, **keywords)
        monkeypatch.setattr(DeltaTable, "create_write_transaction", commit)
        raise CommitFailedError("connection lost")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", lands_and_fails)
    assert store.table("specs").append([spec("a")]) == 0
    assert names(store.table("specs")) == ["a"]


def test_tables_keep_their_history_and_statistics_of_keys_only(store: FeatureStore) -> None:
    for name in contracts.table_names():
        configuration = DeltaTable(store.location.table_uri(name)).metadata().configuration
        assert configuration["delta.enableExpiredLogCleanup"] == "false"
        assert configuration["delta.dataSkippingNumIndexedCols"] == str(contracts.table(name).key_field_count())


def test_counts_need_no_rows_where_the_log_tells_them(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    table, long = store.table("specs"), "x" * 40
    assert (table.count(), table.counts("kind")) == (0, {})
    for number, kinds in enumerate([["volume"] * 3, ["radiomics"] * 2, ["volume", "radiomics"], [long]]):
        table.append([{**spec(f"{number}-{index}"), "kind": kind} for index, kind in enumerate(kinds)])
    expected = {"volume": 4, "radiomics": 3, long: 1}
    assert (table.count(), table.counts("kind")) == (8, expected)
    compact(table, 2**20)
    assert len(table.files_at(table.pin().version)) == 1  # type: ignore[union-attr]
    assert (table.count(), table.counts("kind")) == (8, expected)
    monkeypatch.setattr(Table, "scan", None)
    assert store.table("runs").counts("state") == {}
    agreeing = store.table("failures")
    agreeing.append([event("1", "unreadable"), event("2", "unreadable")])
    assert agreeing.counts("kind") == {"unreadable": 2}


def test_a_filter_that_does_not_fit_is_the_users_mistake_with_rows_and_without(store: FeatureStore) -> None:
    for _ in range(2):
        for where, told in (
            (pc.field("nope") == 1, "no column 'nope'"),
            (pc.field("kind") == 1, "does not fit the table"),
        ):
            with pytest.raises(InputError, match=told):
                store.table("specs").read(where=where)
        store.table("specs").append([spec("a")])


def test_a_row_that_lacks_what_every_row_has_is_a_defect_and_not_damage(store: FeatureStore) -> None:
    with pytest.raises(InternalError, match="a row of table specs has no kind"):
        store.table("specs").append([{**spec("a"), "kind": None}])
    assert store.table("specs").count() == 0


def test_a_table_says_when_it_was_written(store: FeatureStore) -> None:
    store.table("specs").append([spec("a")])
    written = store.table("specs").written_at()
    assert written is not None
    assert abs((datetime.datetime.now(datetime.UTC) - written).total_seconds()) < 60


def test_rows_of_outlines_are_found_in_few_files(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long keys that begin alike, whose bounds the log cuts short, and keys that are hard to quote, among them."""
    table = store.table("failures")
    starts = [
        'B\'ern "1" % _ \\',
        "Zürich/\u00e9\U0001f9e0",
        *(f"{'hospital' * 9}/{number:03}" for number in range(12)),
    ]
    keys = [f"{start}/hematoma/A/{reading}" for start in starts for reading in (1, 2)]
    for first in range(0, len(keys), 4):
        table.append([{**event(key, "empty_mask"), "roi_key": key} for key in keys[first : first + 4]])
    opened: list[int] = []
    scan = Table.scan

    def counted(table: Table, files: list[str], *arguments: object) -> pa.Table:
        opened.append(len(files))
        return scan(table, files, *arguments)

    monkeypatch.setattr(Table, "scan", counted)
    for pin in (None, table.pin()):
        for wanted in [[key] for key in keys] + [keys[:1] + keys[-1:], keys, ["none", "of these"]]:
            found = table.read(["roi_key"], None, pin, pa.array(wanted))["roi_key"].to_pylist()
            assert sorted(found) == sorted({*wanted} & {*keys})
    assert (opened[0], opened[-1]) == (1, 0)
    where = pc.field("roi_key") != keys[0]
    assert table.read(["roi_key"], where, None, pa.array(keys[:2]))["roi_key"].to_pylist() == keys[1:2]


def test_rows_of_runs_are_found_in_their_files(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    table = store.table("failures")
    runs = [f"20261130T12000{number}-d886ab" for number in range(4)]
    for run in runs:
        table.append([event(f"{run}/{number}", "empty_mask", run=run) for number in range(2)])
    opened: list[str] = []

    def noting(location: Location, contract: TableContract, path: str) -> StoredRows:
        opened.append(path)
        return StoredRows(location, contract, path)

    monkeypatch.setattr(open_files, "StoredRows", noting)
    for pin in (None, table.pin()):
        for wanted, files in ((runs[1:2], 1), ([runs[3], runs[0]], 2), (["none's"], 0)):
            opened.clear()
            found = [
                text for rows in table.stream(["run_id"], None, pin, wanted) for text in rows["run_id"].to_pylist()
            ]
            assert (sorted(found), len(opened)) == (sorted(2 * [run for run in wanted if run in runs]), files)


def test_a_pinned_version_keeps_its_order_where_its_handle_moves_on(store: FeatureStore) -> None:
    """Rows are found again by their places in it."""
    table = store.table("specs")
    for name in "abc":
        table.append([spec(name)])
    pin = table.pin()
    before = table.read(["spec_id"], pin=pin)
    for name in "de":
        table.append([spec(name)])
    assert table.pin() != pin
    assert table.read(["spec_id"], pin=pin) == before
    assert sorted(before["spec_id"].to_pylist()) == ["a", "b", "c"]
    other = FeatureStore(store.location.path).table("specs")
    assert sorted(other.read(["spec_id"], pin=pin)["spec_id"].to_pylist()) == ["a", "b", "c"]


def test_a_table_that_nobody_writes_to_is_opened_once(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.table("specs").append([spec("a")])
    opened: list[str] = []

    def open_table(uri: str, **how: object) -> DeltaTable:
        opened.append(uri)
        return DeltaTable(uri, **how)

    monkeypatch.setattr(table_log, "DeltaTable", open_table)
    table = FeatureStore(store.location.path).table("specs")
    for _ in range(2):
        pin = table.pin()
        assert table.read(["spec_id"], pin=pin, where=pc.field("kind") == "volume").num_rows == table.count() == 1
    assert opened == [store.location.table_uri("specs")]
