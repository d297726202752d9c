"""A failure is a row, a line of the user's log and a text for the terminal; what may not be shared stays out of the row."""

import json
from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.extraction.failure import FailureKey, failure_of
from cvtbatch.pipelines.extraction.failure_events import FailureEvents
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.store import FeatureStore

KEY = FailureKey("A/1/hematoma/A/1", "vol-1")


class Subject:
    case_key, center, case_id, manifest_row = "A/1", "A", "1", 4


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.open_for_writing(str(tmp_path / "store"))


@pytest.fixture
def batch(store: FeatureStore, tmp_path: Path) -> RowBatch:
    return RowBatch(store, "run-1", RunLog("run-1", tmp_path / "log.jsonl"), 100, 1000.0)


def test_a_failure_is_told_whole_and_stored_without_what_is_private(
    store: FeatureStore, batch: RowBatch, tmp_path: Path
) -> None:
    told: list[str] = []
    events = FailureEvents(batch, RunLog("run-1", tmp_path / "log.jsonl"), told.append)
    error = InputError("empty_mask", "the mask is empty", "/archive/name/mask.nii")
    events.add(Subject(), failure_of(error, KEY, stage="mask", source_fingerprint="f", manifest_row=5))
    batch.commit()
    [row] = store.failures().to_pylist()
    assert (row["roi_key"], row["stage"], row["kind"], row["resolved"], row["manifest_row"]) == (
        KEY.roi_key,
        "mask",
        "empty_mask",
        False,
        5,
    )
    assert "/archive" not in json.dumps(row, default=str)
    assert told == [f"failed: row 5, {KEY.roi_key}: mask: empty_mask: the mask is empty [/archive/name/mask.nii]"]
    logged = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert (logged["event"], logged["private"]) == ("failed", "/archive/name/mask.nii")


def test_the_first_of_a_kind_is_told_whole_and_the_others_by_their_number(batch: RowBatch, tmp_path: Path) -> None:
    told: list[str] = []
    events = FailureEvents(batch, RunLog("run-1", tmp_path / "log.jsonl"), told.append)
    for row, kind in enumerate(("empty_mask", "missing_file", "empty_mask", "empty_mask")):
        events.add(
            Subject(),
            failure_of(InputError(kind, "it is so"), KEY, stage="mask", source_fingerprint="", manifest_row=row),
        )
    assert [text.split(": ")[3] for text in told] == ["empty_mask", "missing_file"]
    events.tell_rest()
    assert told[2:] == ["+ 2 more of empty_mask"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_an_end_closes_the_failure_that_it_names(store: FeatureStore, batch: RowBatch, tmp_path: Path) -> None:
    events = FailureEvents(batch, RunLog("run-1", tmp_path / "log.jsonl"), lambda _: None)
    error = InputError("empty_mask", "the mask is empty")
    for spec_id in ("vol-1", "rad-1"):
        key = FailureKey(KEY.roi_key, spec_id)
        events.add(Subject(), failure_of(error, key, stage="mask", source_fingerprint="f", manifest_row=4))
    events.end(Subject(), KEY)
    batch.commit()
    assert store.failures()["spec_id"].to_pylist() == ["rad-1"]
    ended = [row for row in store.table("failures").read().to_pylist() if row["resolved"]]
    assert [(row["spec_id"], row["kind"], row["manifest_row"]) for row in ended] == [("vol-1", "ended", 4)]
