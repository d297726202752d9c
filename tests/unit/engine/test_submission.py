"""The engine on real processes: equal to the inline executor, bounded, and fair when workers die."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvtbatch.engine import Cluster, Done, External, Lost, open_cluster, run_inline, run_on_workers
from cvtbatch.errors import ResourceError, StorageError


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster(2) as opened:
        yield opened


def square(number: int) -> int:
    return number * number


def test_workers_give_what_inline_gives(cluster: Cluster) -> None:
    items = range(50)
    inline = [(outcome.item, outcome.result) for outcome in run_inline(square, items)]
    spread = [(outcome.item, outcome.result) for outcome in run_on_workers(cluster.client, square, items)]
    assert sorted(spread) == inline


def test_the_window_is_bounded(cluster: Cluster) -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(40):
            drawn += 1
            yield number

    ahead = []
    for done, _ in enumerate(run_on_workers(cluster.client, square, items()), start=1):
        ahead.append(drawn - done)
    assert max(ahead) <= 4


def test_one_compute_thread_a_worker(cluster: Cluster) -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"]
    [outcome] = run_on_workers(cluster.client, threads_of, [names])
    assert outcome.result == ["1", "1", "1", 1]
    assert list(cluster.client.nthreads().values()) == [1, 1]


def threads_of(names: list[str]) -> list[object]:
    import SimpleITK as sitk

    return [*(os.environ.get(name) for name in names), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()]


def kill_own_worker(item: tuple[int, bool]) -> int:
    number, deadly = item
    if deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


def test_a_deadly_item_is_lost_and_no_neighbour_with_it(cluster: Cluster) -> None:
    items = [(number, number == 3) for number in range(8)]
    outcomes = list(run_on_workers(cluster.client, kill_own_worker, items))
    lost = [outcome for outcome in outcomes if isinstance(outcome, Lost)]
    assert [(outcome.item, outcome.deaths) for outcome in lost] == [((3, True), 3)]
    assert sorted(outcome.result for outcome in outcomes if isinstance(outcome, Done)) == [0, 1, 2, 4, 5, 6, 7]


def kill_once(item: tuple[int, str]) -> int:
    number, marker = item
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_the_loss_of_a_worker_is_transient(cluster: Cluster, tmp_path: Path) -> None:
    items = [(number, str(tmp_path / "died")) for number in range(6)]
    outcomes = list(run_on_workers(cluster.client, kill_once, items))
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert sorted(outcome.result for outcome in outcomes) == list(range(6))


def full(number: int) -> int:
    raise StorageError("store_full", "the disk of the store is full")


def test_a_fault_of_the_run_is_raised_with_its_type(cluster: Cluster) -> None:
    with pytest.raises(StorageError) as raised:
        list(run_on_workers(cluster.client, full, range(4)))
    assert raised.value.kind == "store_full"
    with pytest.raises(StorageError):
        list(run_inline(full, range(4)))


def test_no_scheduler_is_said() -> None:
    with pytest.raises(ResourceError) as raised, open_cluster(External("tcp://127.0.0.1:9", wait_s=1)):
        pass
    assert raised.value.kind == "no_scheduler"
