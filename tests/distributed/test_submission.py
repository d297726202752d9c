"""The engine on real processes: equal to the inline executor, bounded, and fair when workers die."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

import cvtbatch
from cvtbatch import compiled_code
from cvtbatch.engine import Cluster, Done, Expired, Lost, batch, open_cluster, run
from cvtbatch.engine.execution import run_inline
from cvtbatch.errors import ResourceError, StorageError
from cvtbatch.library_versions import library_versions

NOTICES: list[str] = []


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster(2, on_notice=NOTICES.append) as opened:
        yield opened


def square(number: int) -> int:
    return number * number


def test_workers_give_what_inline_gives(cluster: Cluster) -> None:
    items = range(50)
    inline = [(outcome.item, outcome.result) for outcome in run_inline(square, items)]
    spread = [(outcome.item, outcome.result) for outcome in run(cluster, square, items)]
    assert sorted(spread) == inline


def test_a_worker_of_another_version_computes_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {**library_versions(), "cvtbatch": "99.1"}
    monkeypatch.setattr("cvtbatch.engine.submission.library_versions", lambda: ours)
    with pytest.raises(ResourceError) as refused:
        list(run(cluster, Path.touch, [tmp_path / "computed"]))
    assert refused.value.kind == "worker_version"
    assert f"cvtbatch {cvtbatch.__version__} (here 99.1)" in refused.value.message
    assert "worker tcp://127.0.0.1:" in refused.value.message
    assert not list(tmp_path.iterdir())


def run_batch(pickled: bytes) -> None:
    """As workers of 0.2.0 are called."""


def test_a_worker_or_a_driver_of_before_versions_were_looked_at_computes_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.client is not None
    before = cluster.client.submit(batch.run_batch, b"never looked at", pure=False)
    with pytest.raises(ResourceError, match="here an earlier one") as refused:
        before.result()
    assert refused.value.kind == "worker_version"
    monkeypatch.setattr("cvtbatch.engine.submission.run_batch", run_batch)
    with pytest.raises(ResourceError, match="a worker has an earlier version, and this command is of") as refused:
        list(run(cluster, Path.touch, [tmp_path / "computed"]))
    assert refused.value.kind == "worker_version"
    monkeypatch.setattr("cvtbatch.engine.submission.library_versions", lambda: {"cvtbatch": "99.1"})
    told = (
        rf"worker tcp://127\.0\.0\.1:\d+ has cvtbatch {re.escape(cvtbatch.__version__)}, .*and this command is of 99\.1"
    )
    with pytest.raises(ResourceError, match=told) as refused:
        list(run(cluster, Path.touch, [tmp_path / "computed"]))
    assert refused.value.kind == "worker_version"
    assert not list(tmp_path.iterdir())


def compile_as_the_third(number: int) -> int:
    with mock.patch("cvtbatch.engine.compilation.kept_loops", return_value=3):
        assert compiled_code._on_compiled is not None
        compiled_code._on_compiled()
    return number


def test_a_worker_tells_what_it_compiles(cluster: Cluster) -> None:
    list(run(cluster, compile_as_the_third, [1]))
    end = time.monotonic() + 30
    while not NOTICES and time.monotonic() < end:
        time.sleep(0.05)
    assert NOTICES == ["compiling, once for this user and version: 3 of up to 36 loops"]


def test_the_window_is_bounded(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvtbatch.engine.submission.TASK_ITEMS", 5)
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(200):
            drawn += 1
            yield number

    ahead = []
    for done, _ in enumerate(run(cluster, square, items()), start=1):
        ahead.append(drawn - done)
    assert 4 < max(ahead) <= 4 * 5


def test_small_items_share_a_task_and_long_ones_do_not(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[str] = []
    submit = cluster.client.submit

    def counting(*args: object, **options: object) -> object:
        tasks.append(str(options["key"]))
        return submit(*args, **options)

    monkeypatch.setattr(cluster.client, "submit", counting)
    outcomes = list(run(cluster, square, range(3000)))
    assert sorted(outcome.item for outcome in outcomes) == list(range(3000))
    assert len(tasks) < 100
    tasks.clear()
    # The pace is found with the first items, so that the last ones begin in large tasks; these give back what takes too long.
    seconds = [0.0] * 300 + [0.6] * 12
    outcomes = list(run(cluster, sleep, list(enumerate(seconds))))
    assert sorted(outcome.item[0] for outcome in outcomes) == list(range(312))
    places = [{outcome.result for outcome in outcomes if outcome.item[1] == length} for length in (0.0, 0.6)]
    assert [len(workers) for workers in places] == [2, 2], "one worker did it all"


def sleep(item: tuple[int, float]) -> int:
    time.sleep(item[1])
    return os.getpid()


def test_one_compute_thread_a_worker(cluster: Cluster) -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"]
    [outcome] = run(cluster, threads_of, [names])
    assert outcome.result == ["1", "1", "1", 1]
    assert list(cluster.client.nthreads().values()) == [1, 1]


def threads_of(names: list[str]) -> list[object]:
    import SimpleITK as sitk

    return [*(os.environ.get(name) for name in names), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()]


def kill_own_worker(item: tuple[int, bool]) -> int:
    number, deadly = item
    if deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_deadly_item_is_lost_and_no_neighbour_with_it(cluster: Cluster) -> None:
    items = [(number, number == 30) for number in range(60)]
    outcomes = list(run(cluster, kill_own_worker, items))
    lost = [outcome for outcome in outcomes if isinstance(outcome, Lost)]
    assert [(outcome.item, outcome.workers_lost) for outcome in lost] == [((30, True), 3)]
    assert sorted(outcome.result for outcome in outcomes if isinstance(outcome, Done)) == [*range(30), *range(31, 60)]


def kill_once(item: tuple[int, str]) -> int:
    number, marker = item
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_the_loss_of_a_worker_is_transient(cluster: Cluster, tmp_path: Path) -> None:
    items = [(number, str(tmp_path / "died")) for number in range(6)]
    outcomes = list(run(cluster, kill_once, items))
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert sorted(outcome.result for outcome in outcomes) == list(range(6))


def full(number: int) -> int:
    if number == 200:
        raise StorageError("store_full", "the disk of the store is full")
    return number


def test_a_fault_of_the_run_is_raised_with_its_type_and_what_was_done_before_is_kept(cluster: Cluster) -> None:
    done: list[int] = []
    with pytest.raises(StorageError) as raised:
        done.extend(outcome.item for outcome in run(cluster, full, range(201)))
    assert raised.value.kind == "store_full"
    # But for what is with the other worker at that moment.
    assert len(done) >= 50
    assert set(done) <= set(range(200))


def hang(number: int) -> int:
    if number == 30:
        time.sleep(60)
    return number


def test_an_item_beyond_its_limit_expires_and_no_neighbour_with_it(cluster: Cluster) -> None:
    outcomes = list(run(cluster, hang, range(60), limit_s=lambda _: 0.5))
    expired = [outcome for outcome in outcomes if isinstance(outcome, Expired)]
    assert [(outcome.item, outcome.limit_s) for outcome in expired] == [(30, 0.5)]
    assert "in hang" in expired[0].where
    assert sorted(outcome.result for outcome in outcomes if isinstance(outcome, Done)) == [*range(30), *range(31, 60)]


def stop_once(item: tuple[int, str]) -> int:
    number, marker = item
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def test_a_worker_that_hangs_is_given_up(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvtbatch.engine.pool.SILENT_SECONDS", 1.0)
    items = [(number, str(tmp_path / "hung")) for number in range(6)]
    outcomes = list(run(cluster, stop_once, items))
    assert sorted(outcome.result for outcome in outcomes if isinstance(outcome, Done)) == list(range(6))
