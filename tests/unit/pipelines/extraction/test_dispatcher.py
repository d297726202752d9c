"""Tasks of a run: counted while they are in flight, told before they count, and given up at once where the run is interrupted."""

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from cvtbatch import engine
from cvtbatch.engine import Cluster, Done, Outcome
from cvtbatch.pipelines.extraction.dispatcher import Dispatcher
from cvtbatch.pipelines.extraction.report import Progress
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.extraction.run_monitor import RunMonitor
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.store import FeatureStore

HERE = Cluster(None, "inline", threads=None)


@pytest.fixture
def batch(tmp_path: Path) -> RowBatch:
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    return RowBatch(store, "run-1", RunLog("run-1", tmp_path / "log.jsonl"), 100, 1000.0)


def limit(_: int, stated_s: float | None) -> float:
    return stated_s or 60.0


def square(number: int) -> int:
    return number * number


def test_progress_is_told_before_an_outcome_counts(batch: RowBatch) -> None:
    told: list[int] = []
    monitor = RunMonitor(3, 3, HERE, lambda progress: told.append(progress.done), lambda _: None)
    dispatcher = Dispatcher(HERE, monitor, batch, None)
    for outcome in dispatcher.run(square, [2, 3], limit):
        assert isinstance(outcome, Done)
        assert monitor.figures("run-1", batch).in_flight == 1
        monitor.take_back(None)
        monitor.finish(failed=False)
    assert told == [0, 1]
    assert monitor.figures("run-1", batch).in_flight == 0


def test_what_is_in_flight_is_given_up_before_the_rest_is_committed(
    batch: RowBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    def run(
        _: Cluster, function: object, items: Iterable[int], **options: object
    ) -> Generator[Outcome[int, int], None, None]:
        try:
            yield from (Done(item, item) for item in items)
        finally:
            closed.append(True)

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", run)
    monitor = RunMonitor(3, 3, HERE, interrupt, lambda _: None)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        list(Dispatcher(HERE, monitor, batch, None).run(square, [1, 2, 3], limit))
    # The traceback, which holds the frames, is alive as it is where a run commits what it has.
    assert interrupted.tb is not None
    assert closed == [True]


def test_the_limit_that_a_job_states_reaches_every_task(batch: RowBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []

    def run(
        _: Cluster, function: object, items: Iterable[int], **options: object
    ) -> Generator[Outcome[int, int], None, None]:
        limit_s = options["limit_s"]
        assert callable(limit_s)
        for item in items:
            limits.append(limit_s(item))
            yield Done(item, item)

    monkeypatch.setattr(engine, "run", run)
    monitor = RunMonitor(3, 3, HERE, lambda _: None, lambda _: None)
    list(Dispatcher(HERE, monitor, batch, 5.0).run(square, [1], limit))
    list(Dispatcher(HERE, monitor, batch, None).run(square, [1], limit))
    assert limits == [5.0, 60.0]
