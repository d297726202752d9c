"""Memory on real workers of differing limits: who needs more goes where it is, or is refused; who takes more is ended alone."""

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from cvtbatch.engine import Done, Lost, TooLarge, require_memory
from cvtbatch.engine.settings import LOCAL_SETTINGS
from cvtbatch.engine.submission import run_on_workers

MB = 1 << 20
SMALL_BYTES, LARGE_BYTES = 400 * MB, 1000 * MB


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = str(tmp_path_factory.mktemp("workers"))
    with (
        dask.config.set(LOCAL_SETTINGS),
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=":0",
            local_directory=folder,
            silence_logs="CRITICAL",
        ) as cluster,
    ):
        spec = cluster.new_spec
        for name, limit in enumerate((SMALL_BYTES, LARGE_BYTES)):
            cluster.worker_spec[name] = {**spec, "options": {**spec["options"], "memory_limit": limit}}
        cluster.scale(2)
        with Client(cluster, set_as_default=False) as opened:
            opened.wait_for_workers(2)
            yield opened


def hold(needed_bytes: int) -> int:
    require_memory(needed_bytes)
    return limit_bytes()


def limit_bytes() -> int:
    from distributed import get_worker

    return int(get_worker().memory_manager.memory_limit)


def test_an_item_goes_to_a_worker_that_can_hold_it_or_is_refused_with_the_figures(client: Client) -> None:
    needs = [MB, 600 * MB, 5000 * MB] * 3
    outcomes = list(run_on_workers(client, hold, needs))
    held = [(outcome.item, outcome.result) for outcome in outcomes if isinstance(outcome, Done)]
    assert {result for item, result in held if item == 600 * MB} == {LARGE_BYTES}
    assert sorted(item for item, _ in held) == [MB] * 3 + [600 * MB] * 3
    refused = [outcome for outcome in outcomes if isinstance(outcome, TooLarge)]
    assert [outcome.item for outcome in refused] == [5000 * MB] * 3
    for outcome in refused:
        assert outcome.largest_bytes == LARGE_BYTES
        assert 5000 * MB < outcome.needed_bytes < 6000 * MB


def take(item: tuple[int, int]) -> int:
    number, megabytes = item
    held = []
    for _ in range(megabytes // 20):
        # Touched, so that it is there.
        held.append(b"\1" * (20 * MB))
        Path("/proc/self/oom_score_adj").write_text("1000")
    return number + len(held) * 0


def test_an_item_over_the_limit_ends_its_worker_and_no_neighbour(client: Client) -> None:
    items = [(number, 3000 if number == 3 else 0) for number in range(12)]
    outcomes = list(run_on_workers(client, take, items))
    assert [outcome.item[0] for outcome in outcomes if isinstance(outcome, Lost)] == [3]
    assert sorted(outcome.item[0] for outcome in outcomes if isinstance(outcome, Done)) == [0, 1, 2, *range(4, 12)]
