"""Many writers, a reader and a compaction at once; and SIGKILL at random points of an append.

The processes import the store alone and are forked from one that has done so: starts cost milliseconds.
"""

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from cvtbatch.pipelines.stores.upkeep import collect_garbage
from cvtbatch.store import FeatureStore, rewriting
from cvtbatch.store.objects import list_objects
from tests.support.store_rows import row

WRITERS = 4
BATCHES = 10
ROWS = 6
KILLS = 20


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.test_writers", "pytest", "jsonschema"])
    return context


def aws_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def batch(first: int) -> list[dict[str, object]]:
    return [row("specs", spec_id=f"vol-{first + number:04d}", kind="volume") for number in range(ROWS)]


def write(environment: Mapping[str, str], url: str, writer: int) -> None:
    os.environ.update(environment)
    table = FeatureStore(url).table("specs")
    for number in range(BATCHES):
        # Half of every batch is in the next one too, and a part in those of the other writers.
        table.append(batch((number * WRITERS + writer) * ROWS // 2))


def read(environment: Mapping[str, str], url: str, done: Event) -> None:
    os.environ.update(environment)
    table = FeatureStore(url).table("specs")
    before: set[str] = set()
    while not done.is_set():
        names = table.read(["spec_id"])["spec_id"].to_pylist()
        assert len(names) == len(set(names)), "a row is there twice"
        assert before <= set(names), "a row is gone"
        before = set(names)
        time.sleep(0.1)


def compact(environment: Mapping[str, str], url: str, done: Event) -> None:
    os.environ.update(environment)
    while not done.is_set():
        assert rewriting.compact(FeatureStore(url).table("specs"), 2**26).files_after >= 0
        time.sleep(0.3)


def test_writers_a_reader_and_a_compaction_at_once(store_url: str, processes: ForkServerContext) -> None:
    FeatureStore.open_for_writing(store_url).table("specs")
    done, environment = processes.Event(), aws_variables()
    writers = [processes.Process(target=write, args=(environment, store_url, writer)) for writer in range(WRITERS)]
    others = [processes.Process(target=task, args=(environment, store_url, done)) for task in (read, compact)]
    for process in (*others, *writers):
        process.start()
    for process in writers:
        process.join(200)
    done.set()
    for process in others:
        process.join(30)
    assert [process.exitcode for process in (*writers, *others)] == [0] * (WRITERS + 2)
    rows = FeatureStore(store_url).table("specs").read(["spec_id", "sequence"]).to_pylist()
    expected = {f"vol-{first * ROWS // 2 + number:04d}" for first in range(WRITERS * BATCHES) for number in range(ROWS)}
    assert Counter(row["spec_id"] for row in rows) == Counter(expected)
    # No append was empty, and none was given the number of another.
    assert sorted({row["sequence"] for row in rows}) == list(range(1, max(row["sequence"] for row in rows) + 1))


def append_for_ever(url: str, first: int, acknowledged: str) -> None:
    table = FeatureStore(url).table("specs")
    with Path(acknowledged).open("ab", buffering=0) as journal:
        journal.write(b"ready\n")
        while True:
            table.append(batch(first))
            journal.write(f"{first}\n".encode())
            first += ROWS


def test_twenty_kills_lose_and_double_nothing(tmp_path: Path, processes: ForkServerContext) -> None:
    url, journal = str(tmp_path / "store"), tmp_path / "acknowledged"
    FeatureStore.open_for_writing(url)
    journal.touch()
    dice = random.Random(11)
    unacknowledged = 0
    for kill in range(KILLS):
        firsts = [int(line) for line in journal.read_text().split() if line != "ready"]
        # From the batch that was not acknowledged, which may be there.
        writer = processes.Process(target=append_for_ever, args=(url, len(firsts) * ROWS, str(journal)))
        writer.start()
        while journal.read_text().count("ready") <= kill:
            assert writer.is_alive()
            time.sleep(0.001)
        time.sleep(dice.uniform(0.0, 0.12))
        writer.kill()
        writer.join()
        acknowledged = [int(line) for line in journal.read_text().split() if line != "ready"]
        assert acknowledged == [number * ROWS for number in range(len(acknowledged))]
        counts = Counter(FeatureStore(url).table("specs").read(["spec_id"])["spec_id"].to_pylist())
        assert not counts or max(counts.values()) == 1
        # At most one batch more than was acknowledged, and that whole.
        assert len(counts) in {len(acknowledged) * ROWS, (len(acknowledged) + 1) * ROWS}
        assert set(counts) == {f"vol-{number:04d}" for number in range(len(counts))}
        unacknowledged += len(counts) > len(acknowledged) * ROWS
    assert len(counts) > KILLS, "the kills fell on nothing"
    assert unacknowledged, "no kill fell between a commit and its acknowledgement"
    table = FeatureStore(url).table("specs")
    left = {entry.key for entry in list_objects(FeatureStore(url).location)}
    now = max(entry.modified for entry in list_objects(FeatureStore(url).location))
    removed = set(collect_garbage(url, 0, False, now.replace(year=now.year + 1))["keys"])
    data_files = {key for key in left - removed if key.startswith("tables/specs/part")}
    assert data_files == set(table.files_at(table.pin().version))
    assert FeatureStore(url).table("specs").read(["spec_id"]).num_rows == len(counts)
