"""What a run holds is appended in order, once it is many, old or heavy; of what cannot be appended nothing is lost."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cvtbatch.errors import StorageError
from cvtbatch.pipelines.extraction import row_batch
from cvtbatch.pipelines.extraction.row_batch import BATCH_ORDER, RowBatch
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.store import FEATURES, FeatureStore
from cvtbatch.store.tables import Table
from tests.support.store_rows import Row, case_rows, row


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.open_for_writing(str(tmp_path / "store"))


def batch_of(store: FeatureStore, tmp_path: Path, items: int = 100, seconds: float = 1000.0) -> RowBatch:
    return RowBatch(store, "run-1", RunLog("run-1", tmp_path / "log.jsonl"), items, seconds)


def hold_case(batch: RowBatch, store: FeatureStore, number: int) -> None:
    for name, rows in case_rows(store, number).items():
        if name in BATCH_ORDER:
            batch.hold(name, rows)
    batch.count_item()


def commits(tmp_path: Path) -> list[dict[str, object]]:
    path = tmp_path / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_rows_wait_until_so_many_cases_are_together(store: FeatureStore, tmp_path: Path) -> None:
    batch = batch_of(store, tmp_path, items=2)
    hold_case(batch, store, 1)
    batch.commit_if_due()
    assert batch.commits == 0
    hold_case(batch, store, 2)
    batch.commit_if_due()
    assert [batch.appended[name] for name in ("volumes", "cases", "rois", "radiomics")] == [2, 2, 2, 2]
    assert set(store.table("rois").read(["run_id"])["run_id"].to_pylist()) == {"run-1"}
    [commit] = commits(tmp_path)
    assert (commit["event"], commit["cases"]) == ("committed", 2)
    batch.commit()
    assert len(commits(tmp_path)) == 1


def test_rows_do_not_wait_longer_than_the_job_says(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    batch = batch_of(store, tmp_path, seconds=30.0)
    hold_case(batch, store, 1)
    now = 129.0
    batch.commit_if_due()
    assert batch.commits == 0
    now = 130.0
    batch.commit_if_due()
    assert batch.appended["cases"] == 1


def test_wide_rows_are_appended_before_they_fill_the_memory(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features as they come of workers, each row one object, weigh what they take."""
    batch = batch_of(store, tmp_path)
    features = np.zeros(len(store.table("radiomics").contract.features))
    monkeypatch.setattr(row_batch, "HELD_BYTES", 2 * features.nbytes)
    for number in (1, 2):
        batch.hold("radiomics", [row("radiomics", roi_key=str(number), **{FEATURES: features})])
        batch.commit_if_due()
        assert batch.appended["radiomics"] == (0, 2)[number - 1]


def test_what_could_not_be_appended_is_held_and_appended_later(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(store, tmp_path)
    hold_case(batch, store, 1)
    append, seen = Table.append, []

    def full(table: Table, rows: Sequence[Row]) -> int:
        seen.append(table.contract.name)
        if table.contract.name == "rois":
            raise StorageError("no_space", "the disk is full")
        return append(table, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Table, "append", full)
        with pytest.raises(StorageError):
            batch.commit()
    # A row is never there before the rows that it stands on.
    assert seen == ["volumes", "cases", "rois"]
    assert (batch.appended["cases"], batch.appended["rois"], batch.appended["radiomics"]) == (1, 0, 0)
    batch.commit()
    assert [batch.appended[name] for name in ("volumes", "cases", "rois", "radiomics")] == [1, 1, 1, 1]
